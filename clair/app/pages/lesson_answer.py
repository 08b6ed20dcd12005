"""What a lesson shows after the reveal: the number, the prediction beside it, a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from clair.app.kit.glossary import marked
from clair.app.kit.results import draw_blocks
from clair.app.pages import lessons
from clair.app.pages.lesson_marks import Heard, answer_box, compared, marks
from clair.app.pages.lesson_steps import RUNS, also_computed, answer, evidence
from clair.app.pages.lessons import Place, prose
from clair.federated.task_result import TaskResult
from clair.figures.comparison import task_comparison
from clair.figures.palette import ThemeName
from clair.report.blocks import Block, Plot, plot, plots_of
from clair.report.lab import VIEWS
from clair.report.lab import main_plot as lab_plot
from clair.report.overview import worth
from clair.report.tasks import verdict_view, worth_view
from clair.report.verdict import method_words

#: Methods that the lessons explain; the lab draws all.
METHODS = (
    "local",
    "fedavg",
    "median",
    "pca",
    "clair",
    "clair_eb",
    "fedavg_benign",
    "clair_oracle",
)
#: The same where clients are trained.
TRAINED = (*METHODS, "fedavg_finetuned", "kept_finetuned")


def show_answer(place: Place, theme: ThemeName, heard: Heard | None = None) -> None:
    """Show the prediction against the number, why it is so, and what to look for in a chart.

    The predictions of a class take the place of the visitor's own.
    """
    _told(place, heard)
    prose(place.step.why)
    _also(place)
    hide_button(place)
    prose(place.step.look_for, before="Look for")
    _chart(place, theme)


def hide_button(place: Place) -> None:
    """Draw the button that takes the answer away again."""
    st.button(
        "Hide the answer",
        key=f"lesson_hide_{place.word}",
        type="tertiary",
        icon=":material/visibility_off:",
        help="To ask again.",
        on_click=lessons.hide,
        args=(place,),
    )


def show_on_stage(place: Place, theme: ThemeName, heard: Heard | None = None) -> None:
    """Show the answer beside the one chart that shows it, so that nothing has to be scrolled.

    Before a class it is the lecturer who says why, and the phones show it.
    """
    left, right = st.columns([2, 3], gap="large")
    with left, st.container(key="lesson_stage"):
        st.html(f'<h2 class="lesson-question">{marked(place.step.question)}</h2>')
        _told(place, heard)
        prose(place.step.look_for, before="Look for")
        if heard is None:
            prose(place.step.why)
        _also(place)
    with right:
        draw_blocks((replace(main_plot(place), key="lesson_stage_chart"),), theme)


def main_plot(place: Place) -> Plot:
    """Choose the one chart that a step is about."""
    found, view = evidence(place), place.step.view
    if place.course.source == "lab":
        if view == "errors":
            return plot("lab_errors", worth, found, METHODS)
        return lab_plot(view, found)
    if view == "verdict":
        return next(plots_of(_run_blocks(place, found)))
    name, measure = next(iter(RUNS[place.course.source].measures(found).items()))
    return plot("lesson_comparison", task_comparison, found, name, measure, methods=TRAINED)


def _run_blocks(place: Place, run: TaskResult) -> Sequence[Block]:
    """Choose what a step about a recorded run shows."""
    if place.step.view == "verdict":
        return verdict_view("lesson", run).blocks()
    return worth_view("lesson", run, RUNS[place.course.source].measures(run)).blocks()


def _told(place: Place, heard: Heard | None) -> None:
    """Show where the predictions lie beside the number, and both in words."""
    with st.spinner("Computing the answer"):
        value = answer(place)
    made = lessons.guess(place) if heard is None else None
    said = answer_box(*compared(place.step, value, made))
    st.html(marks(place.step, value, made, heard) + said)


def _also(place: Place) -> None:
    """Show the numbers that the words mention and the chart does not show."""
    if said := also_computed(place):
        prose(" ".join(said), before="Also computed:")


def _chart(place: Place, theme: ThemeName) -> None:
    found, view = evidence(place), place.step.view
    if place.course.source != "lab":
        blocks = _run_blocks(place, found)
    elif view == "errors":
        blocks = (main_plot(place), method_words(METHODS))
    else:
        blocks = VIEWS[view].blocks(found)
    draw_blocks(blocks, theme)
