"""State of the board story: which slide, which draw, and the ways between them.

The story has no widget that could hold these two. The address says where the visitor is when the
page is opened, reloaded or led to by the browser's Back; Next and the other ways go on from the
session state and write the address, because a second press can be on its way before the browser has
the address that the first one leads to.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from clair.board import SLIDES, Story, tell
from clair.ui.copy_link import copy_link
from clair.ui.hotkeys import hotkeys
from clair.ui.layout import current_theme
from clair.ui.present import present_button, presenting, set_presenting
from clair.ui.state import Control, keep, open_screen
from clair.ui.takeaway import TakeAway, take_away

SLIDE = Control(
    "slide",
    "Slide",
    "int",
    1,
    "Which slide of the story.",
    low=1,
    high=len(SLIDES),
    step=1,
)
DRAW = Control(
    "draw",
    "Draw",
    "number",
    0,
    "Which five hospitals are drawn. The same number gives the same story.",
    low=0,
    high=9999,
    step=1,
)
CONTROLS: tuple[Control, ...] = (SLIDE, DRAW)

# Name in the session state; keys of controls there belong to widgets, other pages' too.
_AT = "_board_at"
_KEYS = {
    "ArrowRight": "next",
    "PageDown": "next",
    " ": "next",
    "ArrowLeft": "back",
    "PageUp": "back",
    "Home": "first",
    "End": "last",
}


def where() -> dict[str, int]:
    """Slide and draw of the address; what breaks a rule there goes, and its default counts."""
    values = {}
    for control in CONTROLS:
        raw = st.query_params.get(control.key)
        valid = raw is not None and control.from_url(raw) is not None
        if raw is not None and not valid:
            del st.query_params[control.key]
        values[control.key] = int(float(raw)) if valid and raw is not None else control.default
        _set(control, values[control.key])
    return values


def go(changes: Mapping[str, int]) -> None:
    """Set slide or draw; a callback."""
    before = _latest()
    after = {**before, **changes}
    if after == before:
        return
    address = st.query_params.to_dict()
    for control in CONTROLS:
        value = after[control.key]
        _set(control, value)
        address.pop(control.key, None)
        if value != control.default:
            address[control.key] = control.to_url(value)
    # Sent even where it says nothing new here: the browser may hold a later one.
    st.query_params.from_dict(address)


def _set(control: Control, value: int) -> None:
    st.session_state.setdefault(_AT, {})[control.key] = value
    keep(control, value)


def _latest() -> dict[str, int]:
    """Where the visitor is or will be once all presses so far have had their effect."""
    return {control.key: control.default for control in CONTROLS} | st.session_state.get(_AT, {})


def turn(name: str) -> None:
    """Go where a key or button points; a callback."""
    slide, last = _latest()["slide"], len(SLIDES)
    target = {"next": slide + 1, "back": slide - 1, "first": 1, "last": last}[name]
    go({"slide": min(max(target, 1), last)})


def draw_others() -> None:
    """The next draw, from the first slide on; a callback."""
    go({"slide": 1, "draw": (_latest()["draw"] + 1) % (int(DRAW.high or 0) + 1)})


def open_on_stage() -> None:
    """Open the story from another page, in presenter mode; a callback."""
    set_presenting(True)
    open_screen("pages/board.py", CONTROLS, {})


# A resource, not data: results are frozen values that nobody changes.
@st.cache_resource(max_entries=16, show_spinner="Drawing five hospitals …")
def story_of(draw: int) -> Story:
    """Story of a draw, computed once for all visitors."""
    return tell(draw)


def bar(slide: int, take: TakeAway) -> None:
    """Row under the slide: Back, where we are, Next, other hospitals, presenter mode.

    On stage nothing can be copied or taken away.
    """
    st.button(
        "Back",
        key="board_back",
        icon=":material/arrow_back:",
        on_click=turn,
        args=("back",),
        disabled=slide == 1,
        help="Keys: left arrow, Page Up.",
    )
    st.markdown(f"{slide} / {len(SLIDES)}", width="content")
    st.button(
        "Next",
        key="board_next",
        type="primary",
        icon=":material/arrow_forward:",
        icon_position="right",
        on_click=turn,
        args=("next",),
        disabled=slide == len(SLIDES),
        help="Keys: right arrow, Page Down, space bar.",
    )
    hotkeys("board_keys", _KEYS, on_press=turn)
    st.space("stretch")
    st.button(
        "Draw other hospitals",
        key="board_draw",
        type="tertiary",
        icon=":material/casino:",
        on_click=draw_others,
        help="Five new hospitals, one of them poisoned; all numbers are computed anew.",
    )
    if not presenting():
        copy_link("board_copy_link", current_theme())
        take_away("board", take)
    present_button("board")
