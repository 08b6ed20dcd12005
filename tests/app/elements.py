"""What AppTest has no name for."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from streamlit.testing.v1 import AppTest


def charts(app: AppTest) -> dict[str, dict[str, Any]]:
    """Figures on the screen by the key of their chart, as plotly.js gets them."""
    drawn = {}
    for element in app.get("bidi_component"):
        if element.proto.component_name == "clair_chart":
            key = element.proto.id.rsplit("-", 1)[-1]
            drawn[key] = json.loads(json.loads(element.proto.json)["spec"])
    return drawn


def bare(markup: str) -> str:
    """Text without tags, as it is read."""
    return html.unescape(re.sub("<[^>]*>", "", markup))


def sentence(app: AppTest) -> str:
    """The plain sentence under the title."""
    bodies = [element.proto.body for element in app.get("html")]
    return bare(next(body for body in bodies if body.startswith('<p class="clair-sentence">')))


def prose(app: AppTest) -> str:
    """Everything that is written on the page."""
    elements = [*app.markdown, *app.caption, *app.warning, *app.info, *app.error]
    bodies = [element.proto.body for element in app.get("html")]
    return bare("\n".join([*(str(element.value) for element in elements), *bodies]))
