"""The map of the lessons: courses side by side, their steps as numbers to go to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import streamlit as st

from clair.app.pages.lessons import Place
from clair.lessons.course import courses

_HTML = '<nav aria-label="Lessons"><ol></ol></nav>'

_CSS = """
:host { display: block; width: 100%; }
nav { scroll-margin-top: 8rem; }
ol { list-style: none; margin: 0; padding: 0; }
nav > ol { display: grid; grid-template-columns: repeat(5, 1fr); gap: 0 1.25rem; }
.course { border-top: 3px solid var(--st-border-color); padding-top: .5rem; min-width: 0;
  display: flex; flex-direction: column; justify-content: space-between; gap: .35rem; }
.course.now { border-top-color: var(--st-primary-color); }
button { font: inherit; font-family: var(--st-font); color: var(--st-text-color); cursor: pointer;
  background: none; border: 0; padding: 0; text-align: left; }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.name { font-size: .95rem; line-height: 1.3; min-height: 2.5rem; opacity: .85;
  display: flex; align-items: flex-start; }
.name:hover { text-decoration: underline; text-underline-offset: 3px; }
.now .name { font-weight: 650; opacity: 1; }
.steps { display: flex; gap: .4rem; }
.step { width: 1.75rem; height: 1.75rem; border-radius: 50%; text-align: center;
  font-size: .85rem; line-height: 1; font-variant-numeric: tabular-nums;
  border: 1.5px solid var(--st-border-color); }
.step:hover { border-color: var(--st-text-color); }
.step.seen { border-color: var(--st-primary-color); color: var(--st-primary-color);
  font-weight: 650; }
.step[aria-current] { background: var(--st-primary-color); border-color: var(--st-primary-color);
  color: var(--st-background-color); font-weight: 650; }
@media (max-width: 640px) {
  nav > ol { grid-template-columns: 1fr 1fr; gap: .75rem 1rem; }
  .course:not(.now) .steps { display: none; }
  .course { justify-content: flex-start; }
  .name { min-height: 1.75rem; }
}
"""

_JS = r"""
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
"""

_MAP = st.components.v2.component("clair_lesson_map", html=_HTML, css=_CSS, js=_JS)


def lesson_map(place: Place, seen: Collection[Place], on_go: Callable[[Place], None]) -> None:
    """Draw the map.

    Parameters
    ----------
    place : Place
        The current step.
    seen : collection of Place
        Steps whose answer has been shown.
    on_go : callable
        Called with the step that was chosen, before the page runs.
    """

    def chosen() -> None:
        where: Any = st.session_state["lesson_map"].go
        if where is not None:
            on_go(Place(str(where[0]), int(where[1])))

    listed = [
        {
            "key": course.key,
            "title": course.title,
            "steps": [
                {"title": step.title, "seen": Place(course.key, n) in seen}
                for n, step in enumerate(course.steps, 1)
            ],
        }
        for course in courses().values()
    ]
    _MAP(
        key="lesson_map",
        data={"course": place.course_key, "step": place.number, "courses": listed},
        on_go_change=chosen,
        height="content",
    )
