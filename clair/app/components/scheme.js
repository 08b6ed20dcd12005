// Streamlit calls the function again after every run and cleans up only when the component leaves
// the page, so the watch is made once and asks for the theme of the latest run each time.
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
