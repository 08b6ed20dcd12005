// On a phone Streamlit's menu lies over the page and stays open after a choice; and the button that
// opens it, or the folded settings, is two arrows without a word.
const PHONE = "(max-width: 768px)"
const known = new WeakMap()

function label() {
  const button = document.querySelector("[data-testid=stExpandSidebarButton]")
  const own = document.querySelector("[data-testid=stSidebarUserContent]")
  const settings = own !== null && own.innerText.trim() !== ""
  const name = matchMedia(PHONE).matches ? (settings ? "Menu and settings" : "Menu") : "Settings"
  if (button && button.getAttribute("aria-label") !== name) button.setAttribute("aria-label", name)
}

export default function ({ parentElement }) {
  label()
  if (known.has(parentElement)) return known.get(parentElement)
  const chosen = ({ target }) => {
    const link = target instanceof Element && target.closest("[data-testid=stSidebarNavLink]")
    if (link && matchMedia(PHONE).matches) {
      // after Streamlit has followed the link
      setTimeout(() => document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click())
    }
  }
  const watch = setInterval(label, 500)
  document.addEventListener("click", chosen)
  const stop = () => {
    clearInterval(watch)
    document.removeEventListener("click", chosen)
    known.delete(parentElement)
  }
  known.set(parentElement, stop)
  return stop
}
