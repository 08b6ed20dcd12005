"""One step of a lesson: its result and its computed answer, the prediction, the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from clair.app.kit.shared import shared
from clair.app.kit.state import Control, open_screen
from clair.app.kit.trained import TrainedPage
from clair.app.pages import copying, lab, lessons, llm
from clair.app.pages.lesson_slider import slider
from clair.app.pages.lessons import LESSON, Place
from clair.lessons.course import Step
from clair.lessons.quantities import QUANTITIES

#: Page, controls and name of what a course is about.
TARGETS: dict[str, tuple[str, Sequence[Control], str]] = {
    "lab": ("pages/lab.py", lab.CONTROLS, "the Subspace lab"),
    "copying": ("pages/copying.py", copying.CONTROLS, "Text copying"),
    "llm": ("pages/llm.py", llm.CONTROLS, "Language model"),
}
#: Pages whose recorded run a course is about.
RUNS: dict[str, TrainedPage] = {"copying": copying.PAGE, "llm": llm.PAGE}


def settings(step: Step) -> dict[str, Any]:
    """Collect the values of all controls of the lab in a step."""
    return {control.key: control.default for control in lab.CONTROLS} | dict(step.values)


def evidence(place: Place) -> Any:
    """Compute the result that a step is about, or read the recorded run."""
    if (page := RUNS.get(place.course.source)) is not None:
        return page.default_outcome()
    return lab.solve(lab.scenario_of(settings(place.step)))


@shared(most=64)
def answer(place: Place) -> float:
    """Compute the answer of a step."""
    return QUANTITIES[place.step.answer].compute(evidence(place))


@shared(most=64)
def also_computed(place: Place) -> tuple[str, ...]:
    """Write sentences with the numbers that a step mentions beside its answer."""
    asked = [QUANTITIES[name] for name in place.step.also]
    return tuple(q.sentence.format(q.say(q.compute(evidence(place)))) for q in asked)


def settings_words(step: Step) -> str:
    """Write the controls that a step sets in words, as on the lab's page."""
    controls = {control.key: control for control in lab.CONTROLS}
    words = []
    for key, value in step.values.items():
        control, said = controls[key], controls[key].words(value)
        words.append(f"{control.label} “{said}”" if control.options else f"{control.label} {said}")
    return " · ".join(words)


def ask(place: Place) -> None:
    """Ask for the prediction, and draw the button that checks it."""
    key, step, made = f"lesson_guess_{place.word}", place.step, lessons.guess(place)
    if step.number is not None:
        slider(step, key, made, _keep, (place, key))
    else:
        # Streamlit forgets a widget that was not drawn for a while; what was chosen is kept.
        if key not in st.session_state:
            st.session_state[key] = None if made is None else int(made)
        st.radio(
            step.question,
            range(len(step.choices)),
            format_func=lambda i: step.choices[i].text,
            index=None,
            key=key,
            label_visibility="collapsed",
            on_change=_keep,
            args=(place, key),
            width="stretch",
        )
    value = st.session_state[key]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Check my prediction",
            key=f"lesson_check_{place.word}",
            type="primary",
            disabled=value is None,
            on_click=lessons.reveal,
            args=(place, value),
        )
        st.button(
            "Show me",
            key=f"lesson_show_{place.word}",
            type="tertiary",
            help="The answer, predicted or not. Key: Enter.",
            on_click=lessons.reveal,
            args=(place,),
        )


def _keep(place: Place, key: str) -> None:
    lessons.predict(place, st.session_state[key])


def explore(place: Place) -> None:
    """Draw the button that opens the page the step is about, with the step's settings."""
    page, controls, name = TARGETS[place.course.source]
    values: Mapping[str, Any] = {}
    if place.course.source == "lab":
        values = {**place.step.values, "view": place.step.view}
    hint = f"Opens {name} with the settings of this step, and a link back."
    st.button(
        "Explore freely",
        key=f"lesson_explore_{place.word}",
        icon=":material/science:",
        help=hint,
        on_click=open_screen,
        args=(page, controls, values, {LESSON: place.word} | lessons.stored_answers()),
    )
