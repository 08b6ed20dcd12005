// A preset sets many controls. Streamlit adds a history entry for each, so that Back would undo them
// one at a time, and has no setting for it. Here all changes on one page without a new press or key
// make one entry.
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

// The clipboard interface exists on https and localhost only; a selected text field works on a
// server in the local network too.
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
