"""What a step of a lesson hands out gives the numbers that the step shows."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from clair.__main__ import main
from clair.app.pages import lab, lessons
from clair.app.pages.lesson_steps import RUNS, answer, evidence
from clair.app.pages.lesson_take import lesson_export
from clair.app.pages.lessons import Place
from clair.lessons.course import courses
from clair.lessons.quantities import QUANTITIES
from clair.report.scenario import scenario_json
from tests.snippets import run_snippet

PLACES = [Place(key, n + 1) for key, c in courses().items() for n in range(len(c.steps))]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.word)
def test_code_of_a_step_gives_its_answer(
    place: Place, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = place.course.source
    if source in RUNS:  # a minute of training; the run itself is tested elsewhere
        module, name = RUNS[source].run.split(":")
        monkeypatch.setattr(f"{module}.{name}", lambda config: _Recorded(source))
    taken = lesson_export(place)
    names, printed = run_snippet(taken.recipe.python)
    assert names["answer"] == answer(place)
    assert f"answer: {answer(place):.6g}" in printed
    if source in RUNS:
        assert taken.recipe.command == f"python -m clair {RUNS[source].command}"
        return
    found = evidence(place)
    for mine, theirs in zip(names["result"].errors, found.errors, strict=True):
        assert mine.per_client.tolist() == theirs.per_client.tolist()
    target = tmp_path / "out.json"
    assert main([*shlex.split(taken.recipe.command)[3:], "--json", str(target)]) == 0
    capsys.readouterr()
    written = json.loads(target.read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(scenario_json(found)))


class _Recorded:
    """The recorded run as a run of its own."""

    def __init__(self, source: str) -> None:
        outcome = RUNS[source].default_outcome()
        self.contaminated, self.flagged = outcome.contaminated, outcome.flagged
        self.accuracy = outcome.accuracy

    def summary(self) -> str:
        return "recorded"


@pytest.mark.parametrize("word", ["averaging.1", "split.2", "liars.2", "language.3", "model.4"])
def test_the_report_of_a_step_says_what_the_step_says(word: str) -> None:
    key, number = word.split(".")
    place = Place(key, int(number))
    step, taken = place.step, lesson_export(place)
    page = taken.html()
    quantity = QUANTITIES[step.answer]
    said = quantity.sentence.format(quantity.say(answer(place)))
    for text in (step.title, step.question, said, place.course.title, "Reproduce this"):
        assert text.replace("'", "&#x27;") in page or text in page, text
    assert f"/lessons?course={key}&amp;step={number}" in page
    assert page.count("<div class='plot'") == 1
    numbers = json.loads(taken.json())
    assert numbers["answer"] == answer(place)
    assert numbers["prediction"] is None
    for title in taken.tables:
        assert len(taken.csv(title).splitlines()) > 5


def test_settings_of_the_lab_are_those_of_the_step() -> None:
    taken = lesson_export(Place("liars", 4))
    report = taken.report()
    changed = {one.label: one.value for one in report.screen.settings if one.changed}
    noise = next(control for control in lab.CONTROLS if control.key == "noise")
    assert changed == {noise.label: noise.words(0.3)}


@pytest.mark.parametrize(("guess", "word"), [(1.0, "it does not fit"), (2.0, "it fits")])
def test_a_prediction_goes_along(guess: float, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("averaging", 1)
    monkeypatch.setattr(lessons, "guess", {place: guess}.get)
    taken = lesson_export(place)
    text = place.step.choices[int(guess)].text
    fact = taken.report().facts[1]
    assert (fact.value, fact.label, fact.note) == (text, "your prediction", word)
    assert json.loads(taken.json())["prediction"] == text
