"""Where a visitor is in the lessons, what was predicted, and the way out and back again.

The place is in the address (``course=liars&step=2``) and in the session, which counts if the
address names no place. Predictions and shown answers (``said=liars.1-7~``) are in both as well, so
that they survive a reload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from clair.app.kit.glossary import marked
from clair.app.kit.state import ignore
from clair.lessons.course import Course, Step, courses
from clair.lessons.progress import read, written

PAGE = "pages/lessons.py"
COURSE, STEP, LESSON, SAID = "course", "step", "lesson", "said"
#: The address of what comes after the last step.
END = {COURSE: "summary"}

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
    """Find the step that an address names.

    An unknown course counts as the first one, an unknown number as step 1.
    """
    if course is None or course not in courses():
        return Place(next(iter(courses())), 1)
    numbers = {str(n): n for n in range(1, len(courses()[course].steps) + 1)}
    return Place(course, numbers.get(number or "", 1))


def here() -> Place:
    """Return the visitor's current place, and correct the address."""
    _remember()
    if ended():
        return st.session_state.get(_PLACE) or every_place()[-1]
    if COURSE in st.query_params or STEP in st.query_params:
        place = place_of(st.query_params.get(COURSE), st.query_params.get(STEP))
        _say_unknown(place)
    else:
        place = st.session_state.get(_PLACE) or place_of(None, None)
    st.session_state[_PLACE] = place
    # An address from the browser's history is kept, even if predictions have changed since: writing
    # them would add an entry to the history, and the visitor could not go back beyond it.
    if any(st.query_params.get(key) != value for key, value in place.address.items()):
        _write(place)
    # The browser's Back brings along the parameter of the page that was left.
    if LESSON in st.query_params:
        del st.query_params[LESSON]
    return place


def ended() -> bool:
    """Tell whether the visitor is beyond the last step."""
    return bool(st.query_params.get(COURSE) == END[COURSE])


def _say_unknown(place: Place) -> None:
    """Say which part of the address names no course or step."""
    course, number = st.query_params.get(COURSE), st.query_params.get(STEP)
    if course is not None and course not in courses():
        ignore("Course", course, f"one of {', '.join(courses())}")
    elif course is None:
        ignore("Step", str(number), "given with a course")
    elif number is not None and number != str(place.number):
        ignore("Step", number, f"a whole number from 1 to {len(place.course.steps)}")


def go(place: Place) -> None:
    """Make `place` the current one; a callback too."""
    st.session_state[_PLACE] = place
    _write(place)


def finish() -> None:
    """Go beyond the last step; a callback."""
    _write_address(END)


def stored_answers() -> dict[str, str]:
    """Write predictions and shown answers as parameters of an address; empty without any."""
    guesses = {(p.course_key, p.number): v for p, v in st.session_state.get(_GUESSES, {}).items()}
    word = written(guesses, {(place.course_key, place.number) for place in seen()})
    return {SAID: word} if word else {}


def _write(place: Place) -> None:
    _write_address(place.address)


def _write_address(address: dict[str, str]) -> None:
    wanted = address | stored_answers()
    if any(st.query_params.get(key) != value for key, value in wanted.items()):
        st.query_params.update(wanted)
    for key in (STEP, SAID):
        if key not in wanted and key in st.query_params:
            del st.query_params[key]


def _remember() -> None:
    """Take over predictions and shown answers from the address of a reloaded page, once."""
    if _GUESSES in st.session_state:
        return
    text = st.query_params.get(SAID, "")
    guesses, told = read(text)
    st.session_state[_GUESSES] = {Place(*spot): value for spot, value in guesses.items()}
    st.session_state[_REVEALED] = {Place(*spot) for spot in told}
    if text != stored_answers().get(SAID, ""):
        del st.query_params[SAID]
        st.query_params.update(stored_answers())


def every_place() -> list[Place]:
    """List all steps of all courses, in order."""
    return [Place(key, n + 1) for key, c in courses().items() for n in range(len(c.steps))]


def neighbour(place: Place, by: int) -> Place | None:
    """Find the place `by` steps further through all courses; None beyond either end."""
    every = every_place()
    index = every.index(place) + by
    return every[index] if 0 <= index < len(every) else None


def move(name: str) -> None:
    """Go to the "next" step or "back" to the one before, or "reveal" the answer; a callback.

    After the last step comes the summary.
    """
    if ended():
        if name == "back":
            go(here())
        return
    now: Place = st.session_state[_PLACE]
    if name == "reveal":
        reveal(now)
    elif (place := neighbour(now, 1 if name == "next" else -1)) is not None:
        go(place)
    elif name == "next":
        finish()


def guess(place: Place) -> float | None:
    """Return the prediction: index of a choice, or a number; None without one."""
    value: float | None = st.session_state.get(_GUESSES, {}).get(place)
    return value


def predict(place: Place, value: Any) -> None:
    """Keep a prediction."""
    st.session_state.setdefault(_GUESSES, {})[place] = None if value is None else float(value)
    _write(place)


def revealed(place: Place) -> bool:
    """Tell whether the answer is on the page."""
    return place in seen()


def seen() -> frozenset[Place]:
    """Collect the steps whose answer is on their page."""
    return frozenset(st.session_state.get(_REVEALED, ()))


def reveal(place: Place, value: Any = None) -> None:
    """Show the answer to the prediction `value`, or to the one kept so far, if any; a callback."""
    if value is not None:
        predict(place, value)
    st.session_state.setdefault(_REVEALED, set()).add(place)
    _write(place)


def hide(place: Place) -> None:
    """Take the answer away again, for the next audience; a callback."""
    st.session_state.get(_REVEALED, set()).discard(place)
    _write(place)


def back_to_lesson() -> None:
    """Draw a link to the step from which the visitor left, on the page that was opened."""
    word = st.query_params.get(LESSON)
    if word is None:
        return
    course, _, number = word.partition(".")
    place = place_of(course, number)
    if place.word != word:
        ignore("Lesson", word, "a course and a step, such as liars.2")
        del st.query_params[LESSON]
    else:
        st.page_link(
            PAGE,
            label=f"Back to the lesson, step {place.number} of “{place.course.title}”",
            icon=":material/arrow_back:",
            # if that page was reloaded, only its address still has the predictions
            query_params=place.address | (stored_answers() or _kept()),
        )


def _kept() -> dict[str, str]:
    return {SAID: st.query_params[SAID]} if SAID in st.query_params else {}


def prose(text: str, before: str = "") -> None:
    """Write large text with notes on its terms, after a word or two in bold."""
    lead = f"<strong>{before}</strong> " if before else ""
    st.html(f'<p class="lesson-text">{lead}{marked(text)}</p>')
