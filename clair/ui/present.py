"""Presenter mode: large type and nothing but the page, kept from page to page and in the link."""

from __future__ import annotations

import streamlit as st

from clair.ui.hotkeys import hotkeys

#: Name in the address; ``present=1`` opens a page on stage.
PARAMETER = "present"
_ON = "_presenting"

# Type grows with the window, so that a full-screen page is read from the back row; a phone keeps
# what it has. The frame around the page goes.
STAGE_CSS = """
html:root { font-size: clamp(16px, 0.3vw + 0.9vmax, 30px); }
[data-testid=stHeader], [data-testid=stSidebar] { display: none; }
[data-testid=stMainBlockContainer] { padding: 1.2rem clamp(1rem, 3vw, 5rem) 1rem; }
"""


def presenting() -> bool:
    """Whether this visitor is in presenter mode."""
    return bool(st.session_state.get(_ON, False))


def settle() -> None:
    """Agree with the address on the mode; call before the page runs.

    Streamlit empties the address on the way to another page; the mode stays and is written anew.
    """
    raw = st.query_params.get(PARAMETER)
    if raw is not None:
        st.session_state[_ON] = raw.strip().lower() in ("1", "true")
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
    set_presenting(name == "toggle" and not presenting())


def present_button(page: str = "frame") -> None:
    """The button and the keys that enter and leave presenter mode."""
    with st.container(horizontal=True, gap=None, width="content"):
        _button(page, presenting())


def _button(page: str, on: bool) -> None:
    bindings = {"p": "toggle", "P": "toggle"} | ({"Escape": "leave"} if on else {})
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
