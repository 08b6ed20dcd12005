"""One step of a lesson on the page: the question, the prediction, and what the numbers say."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from clair.lessons.course import Step
from clair.lessons.quantities import QUANTITIES, Unit, without_honest
from clair.palette import PAPERS, ThemeName, role_style
from clair.scenario import Scenario, ScenarioResult
from clair.ui import copying, lab, lessons, results
from clair.ui.lab_views import VIEWS
from clair.ui.lessons import LESSON, Place
from clair.ui.state import Control, open_screen

#: Page, controls and name of what a course is about.
TARGETS: dict[str, tuple[str, Sequence[Control], str]] = {
    "lab": ("pages/lab.py", lab.CONTROLS, "the Subspace lab"),
    "copying": ("pages/copying.py", copying.CONTROLS, "Text copying"),
}
#: Panels of the recorded run that a step may show.
PANELS = ("comparison", "verdict")
_FORMATS: dict[Unit, str] = {
    "times": "%g times",
    "clients": "%d",
    "directions": "%d",
    "degrees": "%g°",
    "percent": "%d%%",
    "points": "%g points",
}


def settings(step: Step) -> dict[str, Any]:
    """Values of all controls of the lab in a step."""
    return {control.key: control.default for control in lab.CONTROLS} | dict(step.values)


def evidence(place: Place) -> Any:
    """The result that a step is about: a `ScenarioResult`, or the recorded run of text copying."""
    step = place.step
    if place.course.source == "copying":
        return copying.PAGE.default_outcome()
    scenario = lab.scenario_of(settings(step))
    return _thinned(scenario, step.honest_leave) if step.honest_leave else lab.solve(scenario)


@st.cache_resource(max_entries=16, show_spinner=False)
def _thinned(scenario: Scenario, leave: int) -> ScenarioResult:
    return without_honest(lab.solve(scenario), leave)


@st.cache_data(max_entries=64, show_spinner="Computing the answer")
def answer(place: Place) -> float:
    """The computed answer of a step."""
    return QUANTITIES[place.step.answer].compute(evidence(place))


def settings_words(step: Step) -> str:
    """The controls a step sets, as on the lab's page."""
    controls = {control.key: control for control in lab.CONTROLS}
    words = [
        f"{controls[key].label} {_say(controls[key], value)}" for key, value in step.values.items()
    ]
    if step.honest_leave:
        words.append(f"{step.honest_leave} honest clients fewer")
    return " · ".join(words)


def _say(control: Control, value: Any) -> str:
    if control.options:
        return f"“{control.label_of(value)}”"
    return control.format % value if control.format else str(value)


def ask(place: Place) -> None:
    """The prediction, and the button that checks it."""
    step, done = place.step, lessons.revealed(place)
    key = f"lesson_guess_{place.word}"
    made = lessons.guess(place)
    if step.number is None:
        if key not in st.session_state and made is not None:
            st.session_state[key] = int(made)
        st.radio(
            step.question,
            range(len(step.choices)),
            format_func=lambda i: step.choices[i].text,
            index=None,
            key=key,
            disabled=done,
            label_visibility="collapsed",
            width="stretch",
            on_change=_keep,
            args=(place, key),
        )
    else:
        if key not in st.session_state:
            st.session_state[key] = _start(step) if made is None else _typed(step, made)
        st.slider(
            step.question,
            *_typed_range(step),
            step=_typed(step, step.number.step),
            format=_FORMATS[QUANTITIES[step.answer].unit],
            key=key,
            disabled=done,
            label_visibility="collapsed",
            on_change=_keep,
            args=(place, key),
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if done:
            st.button(
                "Hide the answer",
                key=f"lesson_hide_{place.word}",
                type="tertiary",
                icon=":material/visibility_off:",
                on_click=lessons.hide,
                args=(place,),
            )
            return
        value = st.session_state[key]
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
            help="The answer without a prediction.",
            on_click=lessons.reveal,
            args=(place,),
        )


def _keep(place: Place, key: str) -> None:
    lessons.predict(place, st.session_state[key])


def _whole(step: Step) -> bool:
    number = step.number
    return number is not None and all(x == int(x) for x in (number.low, number.high, number.step))


def _typed(step: Step, value: float) -> float:
    return int(value) if _whole(step) else float(value)


def _typed_range(step: Step) -> tuple[float, float]:
    assert step.number is not None
    return _typed(step, step.number.low), _typed(step, step.number.high)


def _start(step: Step) -> float:
    """Middle of the slider: an end would be a hint."""
    assert step.number is not None
    low, high, by = step.number.low, step.number.high, step.number.step
    return _typed(step, low + by * round((high - low) / by / 2))


def verdict(place: Place, value: float) -> tuple[str, str]:
    """Whether the prediction fits, in a word and in a sentence."""
    step, made = place.step, lessons.guess(place)
    quantity = QUANTITIES[step.answer]
    said = f"{quantity.label} <strong>{quantity.say(value)}</strong>."
    if step.number is None:
        right = step.choices[step.right_choice(value)].text
        said += f" That is: “{html.escape(right)}”."
    if made is None:
        return "Here is the answer", said
    if step.number is None:
        mine = f"“{html.escape(step.choices[int(made)].text)}”"
    else:
        mine = quantity.say(made)
    if step.fits(made, value):
        return "Your prediction fits", f"{said} You predicted {mine}."
    near = step.number is not None and abs(made - value) <= 2 * step.number.tolerance
    return "Close" if near else "It turned out otherwise", f"{said} You predicted {mine}."


def show_answer(place: Place, theme: ThemeName) -> None:
    """The number, why it is so, and the chart with what to look for."""
    step, found = place.step, evidence(place)
    value = answer(place)
    word, said = verdict(place, value)
    st.html(
        f'<div class="lesson-answer" role="status"><p class="word">{word}</p><p>{said}</p></div>'
    )
    with st.container(key="lesson_why"):
        st.markdown(step.why)
    st.subheader("Look for", anchor=False)
    with st.container(key="lesson_look"):
        st.markdown(step.look_for[0].upper() + step.look_for[1:])
    if place.course.source == "lab":
        VIEWS[step.view](found, theme)
    elif step.view == "verdict":
        results.verdict_panel("lesson", found, theme, reveal=True)
    else:
        results.comparison_panel("lesson", found, theme, copying.measures(found))


def explore(place: Place) -> None:
    """Button that opens the page the step is about, with the step's settings."""
    page, controls, name = TARGETS[place.course.source]
    values: Mapping[str, Any] = {}
    if place.course.source == "lab":
        values = {**place.step.values, "view": place.step.view}
    hint = f"Opens {name} with the settings of this step, and a link back."
    if place.step.honest_leave:
        hint += " The honest clients who left are there again: the lab always has a majority."
    st.button(
        "Explore freely",
        key=f"lesson_explore_{place.word}",
        icon=":material/science:",
        help=hint,
        on_click=open_screen,
        args=(page, controls, values, {LESSON: place.word}),
    )


def look(theme: ThemeName) -> None:
    """Large type and option cards; the theme's settings reach neither."""
    paper, accent = PAPERS[theme], role_style("recovered", theme).color
    st.html(f"""<style>
.st-key-lesson_text p, .st-key-lesson_why p, .st-key-lesson_look p
  {{ font-size: 1.2rem; line-height: 1.6; max-width: 46rem; }}
.st-key-lesson_ask [role=radiogroup] {{ gap: .6rem; width: 100%; max-width: 46rem; }}
.st-key-lesson_ask [role=radiogroup] label {{ width: 100%; margin: 0; padding: .7rem 1rem;
  border: 1px solid {paper.grid}; border-radius: 6px; background: {paper.surface}; }}
.st-key-lesson_ask [role=radiogroup] label:hover {{ border-color: {paper.muted}; }}
.st-key-lesson_ask [role=radiogroup] label:has(input:checked)
  {{ border-color: {accent}; box-shadow: inset 4px 0 0 {accent}; }}
.st-key-lesson_ask [role=radiogroup] label p {{ font-size: 1.1rem; }}
.lesson-answer {{ border-left: 4px solid {accent}; background: {paper.surface};
  padding: 1rem 1.25rem; border-radius: 0 6px 6px 0; font-size: 1.2rem; line-height: 1.55; }}
.lesson-answer p {{ margin: 0; max-width: 46rem; }}
.lesson-answer .word {{ color: {accent}; font-weight: 650; margin-bottom: .25rem; }}
</style>""")
