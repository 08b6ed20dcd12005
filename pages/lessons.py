"""Lessons: short courses that ask before they tell, alone or in a class."""

from __future__ import annotations

import streamlit as st

from clair.app.components.hotkeys import hotkeys
from clair.app.components.lesson_map import lesson_map
from clair.app.kit.exports import export_panel
from clair.app.kit.layout import column, ensure_router, header, inject_css
from clair.app.kit.presenter import presenting
from clair.app.kit.scheme import current_theme
from clair.app.pages import class_stage, classes, lessons
from clair.app.pages.lesson_answer import hide_button, show_answer, show_on_stage
from clair.app.pages.lesson_end import end_of_lessons
from clair.app.pages.lesson_steps import answer, ask, explore, settings_words
from clair.app.pages.lesson_take import lesson_export

ensure_router()
place, mine = lessons.here(), classes.held()
step, theme = place.step, current_theme()
before, after = lessons.neighbour(place, -1), lessons.neighbour(place, 1)
inject_css("lessons", *["classroom"] * (mine is not None))

on_stage, told = presenting(), lessons.revealed(place)
heard, of_class = None, False
if mine is not None and not lessons.ended():
    of_class = classes.view() != "lesson"
    classes.publish(mine, place, answer(place) if told and not of_class else None)
    heard = class_stage.heard(mine)


def step_of_lesson() -> None:
    """Draw the question, or its answer."""
    if told and on_stage:
        show_on_stage(place, theme, heard)
        return
    lessons.prose(step.text)
    st.header(step.question, anchor=False)
    if told:
        show_answer(place, theme, heard)
    elif mine is not None:
        class_stage.ask_class(mine, place)
    else:
        with st.container(key="lesson_ask"):
            ask(place)


def ways() -> None:
    """Draw the way back, out and on."""
    if of_class:
        class_stage.ways()
        _next("The lesson")
        return
    st.button(
        "Back",
        key="lesson_back",
        icon=":material/arrow_back:",
        help="Key: left arrow.",
        disabled=before is None,
        on_click=classes.move,
        args=("back",),
    )
    explore(place)
    if told and on_stage:
        hide_button(place)
    elif told:
        export_panel("lesson", lesson_export(place))
    if mine is not None:
        class_stage.ways()
    last = after is None or after.course_key != place.course_key
    if last and after is not None and not on_stage:
        st.button(
            "What you predicted",
            key="lesson_finish",
            type="tertiary",
            icon=":material/checklist:",
            help="All predictions so far beside the computed answers.",
            on_click=lessons.finish,
        )
    following = "What you predicted" if after is None else f"Next: {after.course.title}"
    _next(following if last else "Next")


def _next(label: str) -> None:
    st.button(
        label,
        key="lesson_next",
        icon=":material/arrow_forward:",
        icon_position="right",
        help="Key: right arrow.",
        on_click=classes.move,
        args=("next",),
    )


def end() -> None:
    """Draw what comes after the last step."""
    end_of_lessons(theme)
    st.button(
        "Back",
        key="lesson_back",
        icon=":material/arrow_back:",
        help="Key: left arrow.",
        on_click=lessons.move,
        args=("back",),
    )


def step_of_course() -> None:
    """Draw a step of a course, or what a class shows instead."""
    st.caption(f"{place.course.title}, step {place.number} of {len(place.course.steps)}")
    beside = header(class_stage.title(place) if of_class else step.title)
    if mine is None:
        with beside:
            class_stage.open_button(place)
    if of_class and mine is not None:
        class_stage.draw(mine)
    else:
        step_of_lesson()
    # the other courses tell recorded runs, which have no settings of the lab
    words = settings_words(step) if place.course.source == "lab" else ""
    if words and not on_stage and not of_class:
        st.caption(f"Settings of this step: {words}. All else as the lab opens.")
    with st.container(
        horizontal=True,
        horizontal_alignment="distribute",
        vertical_alignment="center",
        key="lesson_ways",
    ):
        ways()


with st.container() if on_stage and (told or mine) else column(920):
    if not on_stage:
        lesson_map(place, lessons.seen(), classes.go)
    if lessons.ended():
        end()
    else:
        step_of_course()
    keys = {"ArrowRight": "next", "ArrowLeft": "back", "Enter": "reveal"}
    keys |= {"PageDown": "next", "PageUp": "back"}  # what a presenter's remote sends
    hotkeys("lesson_keys", keys, classes.move)
