"""The map of the lessons: courses side by side, their steps as numbers to go to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import streamlit as st

from clair.app.components import component
from clair.app.pages.lessons import Place
from clair.lessons.course import courses

# Streamlit's pagination has neither marks for the steps that are answered nor several courses.
_MAP = component("lesson_map")


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
