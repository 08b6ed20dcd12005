"""Presenter mode: large type and nothing but the page, kept from page to page and in the link."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from clair.app.components.hotkeys import hotkeys
from clair.app.components.menu import tidy_menu
from clair.app.kit.controls import show
from clair.app.kit.scheme import follow_scheme
from clair.app.kit.state import Control, assign

#: Name in the address; ``present=1`` opens a page on stage.
PARAMETER = "present"
_ON = "_presenting"
# What the keys turn: the switch of the views (None where there are only parts), and of the parts.
_VIEW, _PART = "_view", "_part"
_TURN = {"ArrowRight": "next", "PageDown": "next", "ArrowLeft": "back", "PageUp": "back"}


def presenting() -> bool:
    """Tell whether this visitor is in presenter mode."""
    return bool(st.session_state.get(_ON, False))


def sync_from_url() -> None:
    """Make the mode and the address agree; call before the page runs.

    Streamlit empties the address on the way to another page; the mode stays and is written anew.
    """
    raw = st.query_params.get(PARAMETER)
    if raw is not None:
        st.session_state[_ON] = raw.strip().lower() in ("1", "true")
    for name in (_VIEW, _PART):
        st.session_state.pop(name, None)
    _write()


def set_presenting(on: bool) -> None:
    """Enter or leave presenter mode; a callback."""
    st.session_state[_ON] = on
    _write()


def _write() -> None:
    wanted = "1" if presenting() else None
    if st.query_params.get(PARAMETER) == wanted:
        return
    if wanted is None:
        del st.query_params[PARAMETER]
    else:
        st.query_params[PARAMETER] = wanted


def _pressed(name: str) -> None:
    if name in _TURN.values():
        _turn(1 if name == "next" else -1)
    else:
        set_presenting(name == "toggle" and not presenting())


def present_button(page: str = "frame") -> None:
    """Draw the button that enters and leaves presenter mode, and listen to its keys."""
    with st.container(horizontal=True, gap=None, width="content"):
        _button(page, presenting())


def _button(page: str, on: bool) -> None:
    bindings = {"p": "toggle", "P": "toggle"}
    if on:
        bindings |= {"Escape": "leave"} | (_TURN if _VIEW in st.session_state else {})
    st.button(
        "Leave" if on else "Present",
        key=f"{page}_present",
        type="tertiary",
        icon=":material/close:" if on else ":material/slideshow:",
        help="Back to the whole page. Keys: p or Escape."
        if on
        else "Large type and nothing else, for a projector. Key: p.",
        on_click=set_presenting,
        args=(not on,),
    )
    hotkeys(f"{page}_present_keys", bindings, on_press=_pressed)
    # here, because every page has this button
    follow_scheme(f"{page}_scheme")
    tidy_menu(f"{page}_menu")


def register_views(view: Control | None = None) -> None:
    """Let the keys turn the parts of this page on stage, then its views; call before `header`.

    The keys are the arrows, and Page Up and Page Down, which a presenter's remote sends.

    Parameters
    ----------
    view : Control, optional
        The switch of the page's views.
    """
    st.session_state[_VIEW] = view


def _turn(step: int) -> None:
    for control in (st.session_state.get(_PART), st.session_state.get(_VIEW)):
        if control is None:
            continue
        now = st.session_state.get(control.key, control.default)
        at = control.ids.index(now) + step
        if 0 <= at < len(control.ids):
            assign((control,), {control.key: control.ids[at]})
            return


def stage_part(key: str, parts: Mapping[str, Callable[[], None]]) -> None:
    """Draw one part of a page that is too long for the stage, and the switch between them.

    Parameters
    ----------
    key : str
        Name in the session state and in the address; one key always has the same titles.
    parts : mapping of title to callable
    """
    control = Control(
        key,
        "Part",
        "segment",
        next(iter(parts)),
        "Which part of the page is shown.",
        options=tuple((title, title) for title in parts),
    )
    st.session_state[_PART] = control
    parts[show(control, label=False)]()
