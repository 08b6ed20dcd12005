"""A button that copies the address of the screen, and a script that keeps its history short.

Both are in one small component, because both need the browser; no request leaves the page.
"""

from __future__ import annotations

import streamlit as st

_HTML = """
<button type="button"><span class="label"></span></button>
<span class="said" role="status" aria-live="polite"></span>
"""

_CSS = """
:host { display: inline-block; }
button {
  font: inherit; font-size: 0.875rem; color: var(--st-text-color); cursor: pointer;
  background: transparent; border: 1px solid var(--st-border-color);
  border-radius: var(--st-button-radius); min-height: 2.5rem; padding: 0.25rem 0.75rem;
  white-space: nowrap; width: 100%;
}
button:hover { color: var(--st-primary-color); border-color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
"""

# A preset sets many controls. Streamlit adds a history entry for each, so that Back would undo them
# one at a time. Here all changes on one page without a new press or key make one entry.
_HISTORY = r"""
function oneVisitAPress() {
  if (history.clairOneVisitAPress) return
  history.clairOneVisitAPress = true
  let pressed = true
  const note = () => { pressed = true }
  for (const kind of ["pointerdown", "keydown"]) window.addEventListener(kind, note, true)
  const push = history.pushState.bind(history)
  history.pushState = (state, title, url) => {
    const samePage = new URL(url, location.href).pathname === location.pathname
    if (samePage && !pressed) history.replaceState(state, title, url)
    else push(state, title, url)
    pressed = false
  }
}
"""

# The clipboard interface exists on https and localhost only; a selected text field works on a
# server in the local network too.
_JS = r"""
export default function ({ data, parentElement }) {
  oneVisitAPress()
  const button = parentElement.querySelector("button")
  const label = parentElement.querySelector(".label")
  const said = parentElement.querySelector(".said")
  label.textContent = data.label
  const byField = (text) => {
    const field = document.createElement("textarea")
    field.value = text
    field.style.position = "fixed"
    field.style.opacity = "0"
    document.body.appendChild(field)
    field.select()
    const done = document.execCommand("copy")
    field.remove()
    return done
  }
  button.onclick = async () => {
    const text = window.location.href
    let done = false
    try {
      await navigator.clipboard.writeText(text)
      done = true
    } catch {
      done = byField(text)
    }
    button.focus()
    label.textContent = done ? data.done : data.failed
    said.textContent = label.textContent
    setTimeout(() => { label.textContent = data.label; said.textContent = "" }, 2000)
  }
}
"""

_COPY = st.components.v2.component("clair_copy_link", html=_HTML, css=_CSS, js=_HISTORY + _JS)


def copy_link(key: str) -> None:
    """Show the button; the link reopens this page with these values, seed included."""
    _COPY(
        key=key,
        data={
            "label": "Copy link",
            "done": "Link copied",
            "failed": "Copy it from the address bar",
        },
        width="content",
        height="content",
    )
