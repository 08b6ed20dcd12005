"""The end of the lessons: predictions beside answers, where to go next, a sheet to print."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import streamlit as st

from clair.app.kit.content import content
from clair.app.kit.exports import export_panel
from clair.app.kit.layout import header, sentence
from clair.app.kit.page_list import PAGES
from clair.app.kit.presenter import presenting
from clair.app.kit.results import draw_blocks
from clair.app.pages import lessons
from clair.app.pages.lesson_steps import answer
from clair.app.pages.lessons import Place
from clair.figures.palette import ThemeName
from clair.lessons.course import courses
from clair.report.export import Export
from clair.report.lesson import Answered
from clair.report.lesson_summary import summary_blocks, summary_export, summary_sentence

#: Links to go on with.
MOST = 3


def end_of_lessons(theme: ThemeName) -> None:
    """Draw the page after the last step."""
    header("What you predicted")
    seen = [place for place in lessons.every_place() if lessons.revealed(place)]
    if not seen:
        st.info(content("lessons")["none"], icon=":material/info:")
    else:
        with st.spinner("Computing the answers"):
            answered = [_answered(place) for place in seen]
        sentence(summary_sentence(answered))
        if not presenting():
            export_panel("lessons_end", summary_taken(seen, answered))
        draw_blocks(summary_blocks(answered), theme)
    st.header("What to try next", anchor=False)
    for place in unseen(seen):
        st.button(
            f"{place.course.title}, step {place.number}: {place.step.title}",
            key=f"lesson_go_{place.word}",
            icon=":material/school:",
            type="tertiary",
            on_click=lessons.go,
            args=(place,),
        )
    files = {page.stem: page.file for page in PAGES}
    for key in following(seen):
        one = content("lessons")["next"][key]
        st.page_link(files[one["page"]], label=one["words"], icon=":material/arrow_forward:")


def unseen(seen: Sequence[Place]) -> list[Place]:
    """Choose the first step without an answer of each course, of courses begun first."""
    first: dict[str, Place] = {}
    for place in lessons.every_place():
        if place not in seen:
            first.setdefault(place.course_key, place)
    begun = {place.course_key for place in seen}
    return sorted(first.values(), key=lambda place: place.course_key not in begun)[:MOST]


def following(seen: Sequence[Place]) -> list[str]:
    """Choose the courses whose page comes next: those seen last, or the first without any."""
    known = [key for key in courses() if any(place.course_key == key for place in seen)]
    return (known or list(courses()))[-MOST:]


def _answered(place: Place) -> Answered:
    course = place.course
    return Answered(
        course.title,
        place.number,
        len(course.steps),
        place.step,
        answer(place),
        lessons.guess(place),
    )


def summary_taken(seen: Sequence[Place], answered: Sequence[Answered]) -> Export:
    """Build the downloads of the summary."""
    places = ", ".join(f'("{place.course_key}", {place.number})' for place in seen)
    python = "\n".join(
        (
            "from clair.app.pages.lesson_steps import answer",
            "from clair.app.pages.lessons import Place",
            "",
            f"steps = [{places}]",
            "answers = {Place(*step).word: answer(Place(*step)) for step in steps}",
            "for word, value in answers.items():",
            '    print(f"{word:<14} {value:.6g}")',
        )
    )
    here = (st.context.url or "").split("?")[0].rstrip("/")
    base = here if here.endswith("/lessons") else "/lessons"
    link = f"{base}?{urlencode(lessons.END | lessons.stored_answers())}"
    return summary_export(answered, content("lessons"), python, link)
