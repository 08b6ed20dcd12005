"""Lessons: short courses that ask before they tell."""

from __future__ import annotations

import streamlit as st

from clair.app.components.hotkeys import hotkeys
from clair.app.components.lesson_map import lesson_map
from clair.app.kit.exports import export_panel
from clair.app.kit.layout import column, ensure_router, header, inject_css
from clair.app.kit.presenter import presenting
from clair.app.kit.scheme import current_theme
from clair.app.pages import lessons
from clair.app.pages.lesson_answer import hide_button, show_answer, show_on_stage
from clair.app.pages.lesson_steps import ask, explore, settings_words
from clair.app.pages.lesson_take import lesson_export

ensure_router()
place = lessons.here()
step, theme = place.step, current_theme()
before, after = lessons.neighbour(place, -1), lessons.neighbour(place, 1)
inject_css("lessons")

on_stage, told = presenting(), lessons.revealed(place)
with st.container() if on_stage and told else column(920):
    if not on_stage:
        lesson_map(place, lessons.seen(), lessons.go)
    st.caption(f"{place.course.title}, step {place.number} of {len(place.course.steps)}")
    header(step.title)
    if on_stage and told:
        show_on_stage(place, theme)
    else:
        lessons.prose(step.text)
        st.header(step.question, anchor=False)
        if told:
            show_answer(place, theme)
        else:
            with st.container(key="lesson_ask"):
                ask(place)
    words = settings_words(step)
    if words and not on_stage:
        st.caption(f"Settings of this step: {words}. All else as the lab opens.")
    with st.container(
        horizontal=True,
        horizontal_alignment="distribute",
        vertical_alignment="center",
        key="lesson_ways",
    ):
        st.button(
            "Back",
            key="lesson_back",
            icon=":material/arrow_back:",
            help="Key: left arrow.",
            disabled=before is None,
            on_click=lessons.move,
            args=("back",),
        )
        explore(place)
        if told and not on_stage:
            export_panel("lesson", lesson_export(place))
        if on_stage and told:
            hide_button(place)
        same = after is not None and after.course_key == place.course_key
        st.button(
            "Next" if same or after is None else f"Next: {after.course.title}",
            key="lesson_next",
            icon=":material/arrow_forward:",
            icon_position="right",
            help="Key: right arrow.",
            disabled=after is None,
            on_click=lessons.move,
            args=("next",),
        )
    keys = {"ArrowRight": "next", "ArrowLeft": "back", "Enter": "reveal"}
    keys |= {"PageDown": "next", "PageUp": "back"}  # what a presenter's remote sends
    hotkeys("lesson_keys", keys, lessons.move)
