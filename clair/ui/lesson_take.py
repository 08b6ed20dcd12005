"""The downloads of a step of a lesson, once its answer is shown."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st

from clair.reports.document import Report
from clair.reports.lesson import (
    Answered,
    lab_step_recipe,
    run_step_recipe,
    step_json,
    step_report,
)
from clair.ui import copying, lessons
from clair.ui.lesson_answer import main_chart
from clair.ui.lesson_steps import also_computed, answer, evidence, settings
from clair.ui.lessons import Place
from clair.ui.parcels import of_lab
from clair.ui.takeaway import TakeAway
from clair.ui.trained import take_of as of_run


def parcel(place: Place) -> TakeAway:
    """Build the downloads of a step: question, prediction, answer, chart, and the result."""
    step, found, guess = place.step, evidence(place), lessons.guess(place)
    answered = Answered(
        place.course.title,
        place.number,
        len(place.course.steps),
        step,
        answer(place),
        guess,
        also_computed(place),
    )
    if place.course.source == "lab":
        whole = of_lab(found, settings(step))
        recipe = lab_step_recipe(found.scenario, step)
    else:
        whole = of_run(copying.PAGE, found)
        recipe = run_step_recipe(whole.recipe, step)
    here = (st.context.url or "").split("?")[0].rstrip("/")
    base = here if here.endswith("/lessons") else "/lessons"
    link = f"{base}?{urlencode(place.address)}"

    def report() -> Report:
        made = step_report(answered, whole.report(), main_chart(place, "light"), recipe)
        return replace(made, screen=replace(made.screen, link=link))

    return TakeAway(
        name=f"clair-lesson-{place.word.replace('.', '-')}",
        recipe=recipe,
        report=report,
        tables=whole.tables,
        numbers=lambda: step_json(answered, whole.numbers()),
    )
