"""A visitor of the app, and what AppTest has no name for."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

APP = str(Path(__file__).parents[2] / "router.py")


def visit(page: str, **params: str) -> AppTest:
    """Open a page by its stem, as a fresh visitor with these parameters in the address does."""
    app = AppTest.from_file(APP, default_timeout=240)
    app.query_params.update(params)
    app.run()
    # again: an AppTest starts on the Overview, which drops other pages' parameters except a job
    app.query_params.update({key: value for key, value in params.items() if key != "job"})
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    return app


def charts(app: AppTest) -> dict[str, dict[str, Any]]:
    """Collect the figures on the screen by the key of their chart, as plotly.js gets them."""
    drawn = {}
    for element in app.get("bidi_component"):
        if element.proto.component_name == "clair_chart":
            key = element.proto.id.rsplit("-", 1)[-1]
            drawn[key] = json.loads(json.loads(element.proto.json)["spec"])
    return drawn


def bare(markup: str) -> str:
    """Read text without its tags."""
    return html.unescape(re.sub("<[^>]*>", "", markup))


def sentence(app: AppTest) -> str:
    """Read the plain sentence under the title."""
    bodies = [element.proto.body for element in app.get("html")]
    return bare(next(body for body in bodies if body.startswith('<p class="clair-sentence">')))


def prose(app: AppTest) -> str:
    """Read everything that is written on the page."""
    elements = [*app.markdown, *app.caption, *app.warning, *app.info, *app.error]
    bodies = [element.proto.body for element in app.get("html")]
    bodies = [body for body in bodies if not body.startswith("<style>")]
    return bare("\n".join([*(str(element.value) for element in elements), *bodies]))
