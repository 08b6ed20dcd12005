const shown = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("ol")
  const item = (parent, className) => {
    const li = document.createElement("li")
    if (className) li.className = className
    parent.append(li)
    return li
  }
  const button = (parent, className, text, label, place) => {
    const made = document.createElement("button")
    made.type = "button"
    made.className = className
    made.textContent = text
    if (label) { made.setAttribute("aria-label", label); made.title = label }
    made.onclick = () => setTriggerValue("go", place)
    parent.append(made)
    return made
  }
  const focused = parentElement.activeElement?.dataset?.place
  list.replaceChildren()
  for (const course of data.courses) {
    const now = course.key === data.course
    const li = item(list, now ? "course now" : "course")
    button(li, "name", course.title, null, [course.key, 1]).dataset.place = course.key
    const steps = document.createElement("ol")
    steps.className = "steps"
    li.append(steps)
    course.steps.forEach((step, i) => {
      const n = i + 1
      const label = `Step ${n} of ${course.steps.length}: ${step.title}`
        + (step.seen ? " (answered)" : "")
      const className = step.seen ? "step seen" : "step"
      const made = button(item(steps), className, String(n), label, [course.key, n])
      made.dataset.place = `${course.key}.${n}`
      if (now && n === data.step) made.setAttribute("aria-current", "step")
    })
  }
  if (focused) parentElement.querySelector(`[data-place="${focused}"]`)?.focus()
  // A new step starts at its top, also where the last one was scrolled down to its Next button.
  const place = `${data.course}.${data.step}`
  const before = shown.get(parentElement)
  shown.set(parentElement, place)
  const moved = before !== undefined && before !== place
  if (moved) list.parentElement.scrollIntoView({ block: "nearest" })
}
