"""The colour scheme that a page is drawn for, and a script that asks for a redraw on a change."""

from __future__ import annotations

import streamlit as st

from clair.figures.palette import ThemeName

# Streamlit calls the function again after every run and cleans up only when the component leaves
# the page, so the watch is made once and asks for the theme of the latest run each time.
_JS = r"""
const watching = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  const known = watching.get(parentElement)
  if (known) {
    Object.assign(known, { reported: data.theme, setTriggerValue })
    return known.stop
  }
  const now = { reported: data.theme, setTriggerValue }
  const probe = document.createElement("span")
  probe.style.color = "var(--st-background-color)"
  probe.hidden = true
  parentElement.append(probe)
  const watch = setInterval(() => {
    const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number)
    const theme = 0.3 * red + 0.59 * green + 0.11 * blue < 128 ? "dark" : "light"
    if (theme !== now.reported) {
      now.reported = theme
      now.setTriggerValue("theme", theme)
    }
  }, 400)
  now.stop = () => {
    clearInterval(watch)
    probe.remove()
    watching.delete(parentElement)
  }
  watching.set(parentElement, now)
  return now.stop
}
"""

_WATCH = st.components.v2.component("clair_scheme", html="<span hidden></span>", js=_JS)


def current_theme() -> ThemeName:
    """Return "light" or "dark", as the visitor sees the page."""
    return "dark" if st.context.theme.type == "dark" else "light"


def follow_scheme(key: str) -> None:
    """Run the page again when its visitor changes the colour scheme; draws nothing.

    The server makes charts, the logo and our CSS rules for one theme, and learns of another theme
    at the next run only.

    Parameters
    ----------
    key : str
        Name in the session state; one on a page.
    """
    _WATCH(
        key=key,
        data={"theme": current_theme()},
        on_theme_change=lambda: None,
        width="content",
        height="content",
    )
