"""Keys of the keyboard as buttons: Next and Back without the mouse."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

# Streamlit calls the function again after every run and cleans up only when the component leaves
# the page, so the listener is made once and asks for the bindings and the way back each time.
# A focused element that uses the key itself keeps it, also inside a component's shadow root.
_JS = r"""
const OWN_KEYS = [
  "input", "textarea", "select", "audio", "video", "[contenteditable]:not([contenteditable=false])",
  ...["slider", "radio", "radiogroup", "tab", "tablist", "combobox", "listbox", "option", "menu",
    "menuitem", "grid", "tree", "spinbutton", "textbox", "searchbox", "dialog",
  ].map((role) => `[role=${role}]`),
].join(",")
const RADIO = "input[type=radio], [role=radio], [role=radiogroup]"
const RADIO_KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", " "]
const PRESSED_BY_SPACE = "button, a[href], summary, [role=button], [role=link], [role=switch]"
const listening = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  const known = listening.get(parentElement)
  if (known) {
    Object.assign(known, { data, setTriggerValue })
    return known.stop
  }
  const now = { data, setTriggerValue }
  const press = (event) => {
    const name = Object.hasOwn(now.data, event.key) ? now.data[event.key] : undefined
    if (name === undefined || event.defaultPrevented || event.repeat || event.isComposing) return
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return
    const path = event.composedPath().filter((part) => part instanceof Element)
    const uses = (part) => part.matches(RADIO)
      ? RADIO_KEYS.includes(event.key) : part.matches(OWN_KEYS)
    if (path.some(uses)) return
    const presses = event.key === " " || event.key === "Enter"
    if (presses && path.some((part) => part.matches(PRESSED_BY_SPACE))) return
    event.preventDefault()
    now.setTriggerValue("pressed", name)
  }
  // Who chooses with the mouse does not need the focus on the choice; the arrows are free again.
  let byPointer = false
  const hold = (event) => { byPointer = event.type === "pointerdown" }
  const leave = ({ target }) => {
    const chosen = target instanceof Element && target.matches("input[type=radio]")
    if (byPointer && chosen && "ArrowRight" in now.data) setTimeout(() => target.blur())
  }
  document.addEventListener("pointerdown", hold, true)
  document.addEventListener("keydown", hold, true)
  document.addEventListener("focusin", leave)
  now.stop = () => {
    document.removeEventListener("pointerdown", hold, true)
    document.removeEventListener("keydown", hold, true)
    document.removeEventListener("focusin", leave)
    document.removeEventListener("keydown", press)
    listening.delete(parentElement)
  }
  document.addEventListener("keydown", press)
  listening.set(parentElement, now)
  return now.stop
}
"""

_KEYS = st.components.v2.component("clair_hotkeys", html="<span hidden></span>", js=_JS)


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
