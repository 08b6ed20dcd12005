"""State of the board story: which slide, which draw, and the ways between them.

No widget holds these two, so the session state does. The address is followed only in a run that no
press has caused: when the page is opened, reloaded or reached by the browser's Back. A visitor may
press again before the browser has received the address from the press before. The address that
comes with a press may therefore be old, and is written anew.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from clair.app.components.copy_link import copy_link
from clair.app.components.hotkeys import hotkeys
from clair.app.kit.exports import Export, export_panel
from clair.app.kit.presenter import present_button, presenting, set_presenting
from clair.app.kit.shared import shared
from clair.app.kit.state import Control, open_screen, remember_value
from clair.board import OF_A_DRAW, SLIDES, Story, tell

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

# Name in the session state. The keys of controls cannot be used: they belong to widgets, also to
# those of other pages.
_AT = "_board_at"
# What makes the page run again at a press: buttons, and components with the name of their trigger.
_BUTTONS = ("board_back", "board_next", "board_draw", "board_present")
_TRIGGERS = (
    ("board_keys", "pressed"),
    ("board_present_keys", "pressed"),
    ("board_copy_link", "theme"),
)
_COUNTER = 130  # pixels: the button after it stays where it is
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
    """Return the slide and draw to show, and correct the address.

    A value in the address that breaks a rule is removed, and the default counts.
    """
    if not _pressed():
        for control in CONTROLS:
            _set(control, _addressed(control))
    at = _latest()
    _write(at)
    return at


def _pressed() -> bool:
    """Tell whether a button or key of this page caused the run."""
    state = st.session_state
    return any(state.get(key) for key in _BUTTONS) or any(
        getattr(state.get(key), trigger, None) is not None for key, trigger in _TRIGGERS
    )


def _addressed(control: Control) -> int:
    """Read a control's value from the address; use the default if there is no valid one."""
    raw = st.query_params.get(control.key)
    if raw is None or control.from_url(raw) is None:
        return int(control.default)
    return int(float(raw))


def go(changes: Mapping[str, int]) -> None:
    """Set slide or draw; a callback."""
    before = _latest()
    for control in CONTROLS:
        if control.key in changes:
            _set(control, changes[control.key])
    # The address that came with the press may be older than the mode, too.
    set_presenting(presenting())
    # A step is sent even where the address says it already: the browser may hold a later one.
    _write(_latest(), always=_latest() != before)


def _write(at: Mapping[str, int], *, always: bool = False) -> None:
    """Put slide and draw into the address."""
    before = st.query_params.to_dict()
    address = {key: value for key, value in before.items() if key not in at}
    for control in CONTROLS:
        if at[control.key] != control.default:
            address[control.key] = control.to_url(at[control.key])
    if always or address != before:
        st.query_params.from_dict(address)


def _set(control: Control, value: int) -> None:
    st.session_state.setdefault(_AT, {})[control.key] = value
    remember_value(control, value)


def _latest() -> dict[str, int]:
    """Return slide and draw as they are after all presses so far."""
    return {control.key: control.default for control in CONTROLS} | st.session_state.get(_AT, {})


def turn(name: str) -> None:
    """Go where a key or button points; a callback."""
    slide, last = _latest()["slide"], len(SLIDES)
    target = {"next": slide + 1, "back": slide - 1, "first": 1, "last": last}[name]
    go({"slide": min(max(target, 1), last)})


def draw_others() -> None:
    """Go to the next draw, after the last one to the first; a callback.

    The slide stays the same, except that those about all draws lead to the first.
    """
    at = _latest()
    slide = 1 if at["slide"] > OF_A_DRAW else at["slide"]
    go({"slide": slide, "draw": (at["draw"] + 1) % (int(DRAW.high or 0) + 1)})


def open_on_stage() -> None:
    """Open the story from another page, in presenter mode; a callback."""
    set_presenting(True)
    open_screen("pages/board.py", CONTROLS, {})


@shared(most=16)
def story_of(draw: int) -> Story:
    """Compute the story of a draw, once for all visitors."""
    return tell(draw)


def bar(slide: int, draw: int, take: Export) -> None:
    """Draw the row under the slide: Back, position, Next, other hospitals, presenter mode.

    On stage the row offers no link to copy and no downloads.
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
    drawn = f", draw {draw}" if draw else ""
    st.markdown(f"{slide} / {len(SLIDES)}{drawn}", width=_COUNTER, text_alignment="center")
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
    # The last slides are about all draws, so another one would change nothing on them.
    last = slide > OF_A_DRAW
    st.button(
        "Start anew with other hospitals" if last else "Draw other hospitals",
        key="board_draw",
        type="tertiary",
        icon=":material/casino:",
        on_click=draw_others,
        help="Five new hospitals, one of them poisoned; all numbers are computed anew"
        + (", and the story begins at the first slide." if last else " on this slide."),
    )
    if not presenting():
        copy_link("board_copy_link")
        export_panel("board", take)
    present_button("board")
