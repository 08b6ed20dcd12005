// Streamlit calls the function again after every run and cleans up only when the component leaves
// the page, so the listener is made once and asks for the bindings and the way back each time.
// A focused element that uses the key itself keeps it, also inside a component's shadow root.
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
