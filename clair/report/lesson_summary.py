"""The end of the lessons: what was predicted, beside what was computed, to look at or to print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from clair.lessons.course import courses
from clair.report.blocks import Block, Fact, Facts, Words
from clair.report.document import Report, Screen, Section
from clair.report.export import Export
from clair.report.lesson import FORMAT, Answered
from clair.report.provenance import made_with
from clair.report.recipe import Recipe
from clair.report.tables import Table, table

TITLE = "What I predicted, and what was computed"


def fits(one: Answered) -> bool | None:
    """Tell whether a prediction fits; None without one."""
    return None if one.guess is None else one.step.fits(one.guess, one.value)


def summary_sentence(answered: Sequence[Answered]) -> str:
    """Say how many predictions there are, and how many fit."""
    facts = {fact.label: fact.value for fact in summary_facts(answered)}
    seen = f"{facts['answers seen']} answers seen"
    if facts["predictions"] == "0":
        return f"{seen}, and nothing predicted."
    return f"{seen}; {facts['predictions that fit']} predictions fit."


def summary_facts(answered: Sequence[Answered]) -> tuple[Fact, ...]:
    """Count answers seen, courses finished, predictions and those that fit."""
    steps = sum(len(course.steps) for course in courses().values())
    whole = sum(len(found) == found[0].of for _, found in _courses(answered))
    made = [one for one in answered if one.guess is not None]
    right = sum(bool(fits(one)) for one in made)
    return (
        Fact(f"{len(answered)} of {steps}", "answers seen"),
        Fact(f"{whole} of {len(courses())}", "courses finished"),
        Fact(str(len(made)), "predictions"),
        Fact(f"{right} of {len(made)}" if made else "–", "predictions that fit"),
    )


def summary_blocks(answered: Sequence[Answered]) -> tuple[Block, ...]:
    """Show the counts, then a list for each course."""
    blocks: list[Block] = [Facts(summary_facts(answered))]
    for course, found in _courses(answered):
        blocks += [Words(course, "heading"), Words("\n".join(_line(one) for one in found))]
    return tuple(blocks)


def _courses(answered: Sequence[Answered]) -> list[tuple[str, list[Answered]]]:
    return [(name, list(found)) for name, found in groupby(answered, key=lambda one: one.course)]


def _line(one: Answered) -> str:
    if one.predicted is None:
        said = "no prediction"
    else:
        said = f"predicted: {one.predicted}, {'which fits' if fits(one) else 'which does not fit'}"
    return f"* **{one.step.title}.** {one.step.question} {one.sentence} ({said})"


def summary_table(answered: Sequence[Answered]) -> Table:
    """Collect a row for each answer."""
    return table(
        "predictions",
        "Predictions",
        (
            ("course", "Course"),
            ("step", "Step"),
            ("question", "Question"),
            ("prediction", "Prediction"),
            ("computed", "Computed"),
            ("fits", "Fits"),
        ),
        [
            (one.course, one.number, one.step.question, one.predicted, one.value, fits(one))
            for one in answered
        ],
    )


def summary_export(
    answered: Sequence[Answered], words: Mapping[str, Any], python: str, link: str
) -> Export:
    """Build the downloads: a sheet to print, a table, numbers.

    Parameters
    ----------
    answered : sequence of Answered
        In the order of the courses.
    words : mapping
        ``name``, ``method`` and ``limits``: the line for a name, and what is always true.
    python : str
        Computes the answers.
    link : str
        Opens the page.
    """
    recipe = Recipe(python)

    def report() -> Report:
        facts, *lists = summary_blocks(answered)
        assert isinstance(facts, Facts)
        return Report(
            page="Lessons",
            title=TITLE,
            sentence=summary_sentence(answered),
            recipe=recipe,
            screen=Screen(link=link),
            facts=facts.facts,
            sections=(
                Section("Who", (words["name"],)),
                Section("Course by course", blocks=tuple(lists)),
            ),
            method=(words["method"],),
            limits=(words["limits"],),
            made_with=made_with(),
        )

    return Export(
        name="clair-lessons",
        recipe=recipe,
        report=report,
        tables={"Predictions": lambda: summary_table(answered)},
        numbers=lambda: {
            "format": FORMAT,
            "kind": "lessons",
            "answers": [
                {
                    "course": one.course,
                    "step": one.number,
                    "question": one.step.question,
                    "prediction": one.predicted,
                    "quantity": one.step.answer,
                    "answer": float(one.value),
                    "fits": fits(one),
                }
                for one in answered
            ],
        },
    )
