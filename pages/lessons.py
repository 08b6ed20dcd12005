"""Lessons: short courses that ask before they tell."""

from __future__ import annotations

import streamlit as st

from clair.ui import lessons
from clair.ui.hotkeys import hotkeys
from clair.ui.layout import column, guard, header
from clair.ui.lesson_answer import hide_button, show_answer, show_on_stage
from clair.ui.lesson_look import look, prose
from clair.ui.lesson_map import lesson_map
from clair.ui.lesson_steps import ask, explore, settings_words
from clair.ui.lesson_take import parcel
from clair.ui.present import presenting
from clair.ui.scheme import current_theme
from clair.ui.takeaway import take_away

guard()
place = lessons.here()
step, theme = place.step, current_theme()
before, after = lessons.neighbour(place, -1), lessons.neighbour(place, 1)
look(theme)

on_stage, told = presenting(), lessons.revealed(place)
with st.container() if on_stage and told else column(920):
    if not on_stage:
        lesson_map(place, lessons.seen(), lessons.go)
    st.caption(f"{place.course.title}, step {place.number} of {len(place.course.steps)}")
    header(step.title)
    if on_stage and told:
        show_on_stage(place, theme)
    else:
        prose(step.text)
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
            take_away("lesson", parcel(place))
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
