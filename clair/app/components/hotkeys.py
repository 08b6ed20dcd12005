"""Keys of the keyboard as buttons: Next and Back without the mouse."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from clair.app.components import component

# Not `st.button(shortcut=...)`: with it a radio button chosen with the mouse keeps the arrows, so
# that a presenter's remote changes the prediction of a lesson instead of the step.
_KEYS = component("hotkeys")


def hotkeys(
    key: str, bindings: Mapping[str, str], on_press: Callable[[str], None] | None = None
) -> str | None:
    """Listen to the keyboard; draws nothing, so put it where an empty line does not matter.

    A press reruns the page. To set the value of a widget, or anything else that the page reads
    before it comes here, use `on_press`: like a button's callback it runs before the page does. The
    value returned suits what comes after this line only.

    Keys are left alone while something has the focus that uses them itself (a text field, slider,
    row of options, tab, menu or dialog), with a modifier such as Ctrl or Shift, and while held
    down. The space bar and Enter still press a focused button or link. Where the arrows are bound,
    a radio button chosen with the mouse gives the focus up; chosen by key, it keeps the arrows.

    Parameters
    ----------
    key : str
        Name in the session state; one set of keys on a page.
    bindings : mapping of str to str
        ``KeyboardEvent.key``, for example ``"ArrowRight"``, to the name the key stands for.
    on_press : callable, optional
        Called with the name before the page runs.

    Returns
    -------
    name : str or None
        Of the key pressed just before this run, None in any other run.
    """

    def pressed() -> None:
        if on_press is not None and (name := st.session_state[key].pressed) is not None:
            on_press(str(name))

    result = _KEYS(
        key=key,
        data=dict(bindings),
        on_pressed_change=pressed,
        width="content",
        height="content",
    )
    return None if result.pressed is None else str(result.pressed)
