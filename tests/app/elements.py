"""What AppTest has no name for."""

from __future__ import annotations

import json
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
