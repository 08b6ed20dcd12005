"""What the Overview says: entry points, limits and words, kept as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from clair.app.kit.content import content
from clair.app.kit.exports import screen_of
from clair.app.kit.state import Control, Preset
from clair.app.pages import lab
from clair.report.document import Screen

_PREFIX = "demo_"

#: Controls of the opening picture: some of the lab's, under keys of their own, because a preset
#: opened from here sets the lab's.
CONTROLS: tuple[Control, ...] = tuple(
    replace(control, key=_PREFIX + control.key)
    for control in lab.OPENED
    if control.key == "clients" or control.key in lab.OPENING
)


def lab_values(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Set the lab's values to what is chosen here, everything else to its default."""
    values = {control.key: control.default for control in lab.CONTROLS}
    return values | {key.removeprefix(_PREFIX): value for key, value in chosen.items()}


#: Methods of the second picture.
METHODS: tuple[str, ...] = ("local", "fedavg", "median", "pca", "clair", "fedavg_benign")


# On a phone tiles stay wide enough to be told apart. Many of them scroll sideways, and a line says
# so. The drawing ignores the finger, because plotly.js would catch it and stop the scrolling.
_PHONE_CSS = """
@media (max-width: 640px) {
  .st-key-overview_split { overflow-x: auto; scrollbar-width: thin; }
  .st-key-overview_split .clair-chart { min-width: WIDTHrem; }
  .st-key-overview_split .nsewdrag { pointer-events: none !important; }
  .st-key-overview_split::before { content: "HINT"; position: sticky; left: 0;
    font-size: 0.875rem; }
}
.st-key-overview_board button, .st-key-overview_board button p { text-align: left; }
"""
_TILE = 2.2  # rem


def phone_css(n_clients: int) -> str:
    """Write the CSS of the opening picture and the board story's link on a narrow screen."""
    hint = "The strips go on to the right." if n_clients > 10 else ""
    return _PHONE_CSS.replace("WIDTH", f"{_TILE * n_clients:g}").replace("HINT", hint)


@dataclass(frozen=True)
class Limit:
    """Something CLAIR cannot do, and the preset of the lab that shows it."""

    title: str
    text: str
    preset: str


LIMITS = tuple(Limit(**one) for one in content("overview")["limits"])
ENTRIES: tuple[str, ...] = ("opening", "colluders", "exact", "clean", "screened")


def preset(key: str) -> Preset:
    """Find a preset of the lab by its key.

    Raises
    ------
    KeyError
        If there is none.
    """
    return {entry.key: entry for entry in lab.PRESETS}[key]


def screen(chosen: Mapping[str, Any]) -> Screen:
    """Describe the settings, with a link that has its host even at the app's root."""
    made = screen_of("overview", CONTROLS, chosen)
    root = (st.context.url or "").split("?")[0].rstrip("/")
    known = made.link.startswith("http")
    return made if known else replace(made, link=f"{root}{made.link}")
