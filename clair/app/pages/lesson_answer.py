"""What a lesson shows after the reveal: the number, the prediction beside it, a chart."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from clair.app.kit.glossary import marked
from clair.app.kit.results import draw_blocks
from clair.app.pages import copying, lessons
from clair.app.pages.lesson_steps import also_computed, answer, evidence
from clair.app.pages.lessons import Place, prose
from clair.federated.task_result import TaskResult
from clair.figures.palette import ThemeName
from clair.lessons.course import Number
from clair.lessons.quantities import QUANTITIES
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


def show_answer(place: Place, theme: ThemeName) -> None:
    """Show the prediction against the number, why it is so, and what to look for in a chart."""
    _told(place)
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


def show_on_stage(place: Place, theme: ThemeName) -> None:
    """Show the answer beside the one chart that shows it, so that nothing has to be scrolled."""
    left, right = st.columns([2, 3], gap="large")
    with left, st.container(key="lesson_stage"):
        st.html(f'<h2 class="lesson-question">{marked(place.step.question)}</h2>')
        _told(place)
        prose(place.step.look_for, before="Look for")
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
    return next(plots_of(_run_blocks(view, found)))


def _run_blocks(view: str, run: TaskResult) -> Sequence[Block]:
    """Choose what a step about the run of text copying shows."""
    if view == "verdict":
        return verdict_view("lesson", run).blocks()
    return worth_view("lesson", run, copying.measures(run)).blocks()


def _told(place: Place) -> None:
    """Show where the prediction lies beside the number, and both in words."""
    with st.spinner("Computing the answer"):
        value = answer(place)
    marks = _options(place, value) if place.step.number is None else _line(place, value)
    word, said = verdict(place, value)
    # A live region of its own, so that a screen reader reads the answer out when it appears.
    st.html(
        f'{marks}<div class="lesson-answer" role="status"><p class="word">{word}</p>'
        f"<p>{said}</p></div>"
    )


def _also(place: Place) -> None:
    """Show the numbers that the words mention and the chart does not show."""
    if said := also_computed(place):
        prose(" ".join(said), before="Also computed:")


def verdict(place: Place, value: float) -> tuple[str, str]:
    """Say whether the prediction fits, and write the computed number as HTML."""
    step, made = place.step, lessons.guess(place)
    quantity = QUANTITIES[step.answer]
    said = quantity.sentence.format(f"<strong>{quantity.say(value)}</strong>")
    if made is None:
        return "Here is the answer", said
    if step.number is None:
        mine = f"“{html.escape(step.choices[int(made)].text)}”"
    else:
        mine = quantity.say(made)
    near = step.number is not None and abs(made - value) <= 2 * step.number.tolerance
    if step.fits(made, value):
        word = "Your prediction fits"
    else:
        word = "Close" if near else "It turned out otherwise"
    return word, f"{said} You predicted {mine}."


def _options(place: Place, value: float) -> str:
    """Write the options as HTML, with the computed and the predicted one marked."""
    right, made = place.step.right_choice(value), lessons.guess(place)
    items = []
    for i, choice in enumerate(place.step.choices):
        tags = ["✓ computed"] * (i == right) + ["your prediction"] * (i == made)
        kind = "right" if i == right else "mine" if i == made else "other"
        items.append(
            f'<div role="listitem" class="{kind}"><span>{html.escape(choice.text)}</span>'
            f'<span class="tag">{" · ".join(tags)}</span></div>'
        )
    return f'<div class="lesson-options" role="list">{"".join(items)}</div>'


def _line(place: Place, value: float) -> str:
    """Draw the slider's range as HTML: computed number, what counts as fitting, prediction."""
    number, made = place.step.number, lessons.guess(place)
    assert number is not None
    quantity = QUANTITIES[place.step.answer]
    left, right = _at(number, value - number.tolerance), _at(number, value + number.tolerance)
    spoken = f"Computed: {quantity.say(value)}."
    mine = ""
    if made is not None:
        spoken += f" Your prediction: {quantity.say(made)}."
        mine = _mark("mine", number, made, f"you: {quantity.say(made)}")
    return (
        f'<div class="lesson-line" role="img" aria-label="{spoken}"><div class="track">'
        f'<i class="band" style="left:{left:.1f}%;width:{right - left:.1f}%"></i>{mine}'
        f"{_mark('right', number, value, f'computed: {quantity.say(value)}')}</div>"
        f'<div class="ends"><span>{quantity.say(number.low)}</span>'
        f"<span>{quantity.say(number.high)}</span></div></div>"
    )


def _mark(kind: str, number: Number, value: float, label: str) -> str:
    at = _at(number, value)
    # Near an end the words grow inwards.
    side = "start" if at < 15 else "end" if at > 85 else "middle"
    return (
        f'<i class="{kind}" style="left:{at:.1f}%"></i>'
        f'<b class="{kind} {side}" style="left:{at:.1f}%">{label}</b>'
    )


def _at(number: Number, value: float) -> float:
    """Compute a number's place on the line, in percent of the line's length."""
    return min(max((value - number.low) / (number.high - number.low), 0.0), 1.0) * 100


def _chart(place: Place, theme: ThemeName) -> None:
    found, view = evidence(place), place.step.view
    if place.course.source != "lab":
        blocks = _run_blocks(view, found)
    elif view == "errors":
        blocks = (main_plot(place), method_words(METHODS))
    else:
        blocks = VIEWS[view].blocks(found)
    draw_blocks(blocks, theme)
