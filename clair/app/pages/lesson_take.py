"""The downloads of a step of a lesson, once its answer is shown."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st

from clair.app.kit.exports import Export, screen_of
from clair.app.kit.trained import export_of as of_run
from clair.app.pages import lab, lessons
from clair.app.pages.lesson_answer import main_plot
from clair.app.pages.lesson_steps import RUNS, also_computed, answer, evidence, settings
from clair.app.pages.lessons import Place
from clair.report.document import Report
from clair.report.lab import lab_export
from clair.report.lesson import (
    Answered,
    lab_step_recipe,
    run_step_recipe,
    step_json,
    step_report,
)


def lesson_export(place: Place) -> Export:
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
        screen = screen_of("lab", lab.CONTROLS, settings(step), lab.ALL_GROUPS)
        whole = lab_export(found, screen)
        recipe = lab_step_recipe(found.scenario, step)
    else:
        whole = of_run(RUNS[place.course.source], found)
        recipe = run_step_recipe(whole.recipe, step)
    here = (st.context.url or "").split("?")[0].rstrip("/")
    base = here if here.endswith("/lessons") else "/lessons"
    link = f"{base}?{urlencode(place.address)}"

    def report() -> Report:
        made = step_report(answered, whole.report(), main_plot(place), recipe)
        return replace(made, screen=replace(made.screen, link=link))

    return Export(
        name=f"clair-lesson-{place.word.replace('.', '-')}",
        recipe=recipe,
        report=report,
        tables=whole.tables,
        numbers=lambda: step_json(answered, whole.numbers()),
    )
