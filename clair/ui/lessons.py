"""Where a visitor is in the lessons, what was predicted, and the way out and back again.

The place is in the address (``course=liars&step=2``) and in the session, which a bare address falls
back to. Predictions live as long as the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from clair.lessons.course import Course, Step, courses

PAGE = "pages/lessons.py"
COURSE, STEP, LESSON = "course", "step", "lesson"

# Names in the session state: the latest place; predictions and reveals by place.
_PLACE = "_lesson_place"
_GUESSES = "_lesson_guesses"
_REVEALED = "_lesson_revealed"


@dataclass(frozen=True)
class Place:
    """A step of a course, counted from 1."""

    course_key: str
    number: int

    @property
    def course(self) -> Course:
        """The course this is in."""
        return courses()[self.course_key]

    @property
    def step(self) -> Step:
        """The step itself."""
        return self.course.steps[self.number - 1]

    @property
    def address(self) -> dict[str, str]:
        """The place as parameters of the lessons' address."""
        return {COURSE: self.course_key, STEP: str(self.number)}

    @property
    def word(self) -> str:
        """The place as one word, for the address of another page and for keys of widgets."""
        return f"{self.course_key}.{self.number}"


def place_of(course: str | None, number: str | None) -> Place:
    """The step that an address names; the first one of what can be made out, if it names none."""
    if course is None or course not in courses():
        return Place(next(iter(courses())), 1)
    numbers = {str(n): n for n in range(1, len(courses()[course].steps) + 1)}
    return Place(course, numbers.get(number or "", 1))


def here() -> Place:
    """Where the visitor is; corrects the address."""
    if COURSE in st.query_params or STEP in st.query_params:
        place = place_of(st.query_params.get(COURSE), st.query_params.get(STEP))
    else:
        place = st.session_state.get(_PLACE) or place_of(None, None)
    go(place)
    # The browser's Back brings the parameter of the page that was left with it.
    if LESSON in st.query_params:
        del st.query_params[LESSON]
    return place


def go(place: Place) -> None:
    """Make `place` the current one; a callback too."""
    st.session_state[_PLACE] = place
    if any(st.query_params.get(key) != value for key, value in place.address.items()):
        st.query_params.update(place.address)


def neighbour(place: Place, by: int) -> Place | None:
    """The place `by` steps further through all courses, or None beyond the first and the last."""
    every = [Place(key, n + 1) for key, c in courses().items() for n in range(len(c.steps))]
    index = every.index(place) + by
    return every[index] if 0 <= index < len(every) else None


def move(name: str) -> None:
    """Go to the "next" step or "back" to the one before, or "reveal" the answer; a callback."""
    now: Place = st.session_state[_PLACE]
    if name == "reveal":
        reveal(now)
    elif (place := neighbour(now, 1 if name == "next" else -1)) is not None:
        go(place)


def guess(place: Place) -> float | None:
    """What the visitor predicted: index of a choice, or a number; None without a prediction."""
    value: float | None = st.session_state.get(_GUESSES, {}).get(place)
    return value


def predict(place: Place, value: Any) -> None:
    """Keep a prediction."""
    st.session_state.setdefault(_GUESSES, {})[place] = None if value is None else float(value)


def revealed(place: Place) -> bool:
    """Whether the answer is on the page."""
    return place in seen()


def seen() -> frozenset[Place]:
    """Every step whose answer is on its page."""
    return frozenset(st.session_state.get(_REVEALED, ()))


def reveal(place: Place, value: Any = None) -> None:
    """Show the answer to the prediction `value`, or to the one kept so far, if any; a callback."""
    if value is not None:
        predict(place, value)
    st.session_state.setdefault(_REVEALED, set()).add(place)


def hide(place: Place) -> None:
    """Take the answer away again, for the next audience; a callback."""
    st.session_state.get(_REVEALED, set()).discard(place)


def back_to_lesson() -> None:
    """Link to the step from which the visitor left to explore, on the page that was opened."""
    word = st.query_params.get(LESSON, "")
    course, _, number = word.partition(".")
    place = place_of(course, number)
    if place.word == word:
        st.page_link(
            PAGE,
            label=f"Back to the lesson, step {place.number} of “{place.course.title}”",
            icon=":material/arrow_back:",
            query_params=place.address,
        )
