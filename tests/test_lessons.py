"""The courses: exactly one prediction is right, what the texts claim holds, bad files are named."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clair.app.pages import lab
from clair.app.pages.lesson_steps import RUNS, settings
from clair.app.pages.lessons import Place, neighbour, place_of
from clair.lessons.course import COURSES, FOLDER, CourseError, courses, read_course
from clair.lessons.progress import read, written
from clair.lessons.quantities import QUANTITIES
from clair.report.lab import VIEWS
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.scenario import Scenario, run_scenario

PLACES = [Place(key, n + 1) for key, c in courses().items() for n in range(len(c.steps))]
every_step = pytest.mark.parametrize("place", PLACES, ids=lambda place: place.word)


@cache
def evidence(place: Place) -> Any:
    """Compute the result of a step, without the app's caches."""
    if place.course.source != "lab":
        return RUNS[place.course.source].default_outcome()
    return run_scenario(lab.scenario_of(settings(place.step)))


@cache
def computed(place: Place, name: str) -> float:
    """Compute a quantity of a step."""
    return QUANTITIES[name].compute(evidence(place))


def test_there_are_six_courses_of_fifteen_to_twenty_five_steps_in_all() -> None:
    assert len(courses()) == 6
    assert 15 <= len(PLACES) <= 25
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(COURSES)


@every_step
def test_exactly_one_prediction_is_right(place: Place) -> None:
    step, value = place.step, computed(place, place.step.answer)
    assert math.isfinite(value)
    if step.number is None:
        fitting = [i for i in range(len(step.choices)) if step.fits(i, value)]
        assert fitting == [step.right_choice(value)]
        # Far enough from both ends of its range to stay there on another machine.
        ends = [choice.below for choice in step.choices[:-1]]
        assert min(abs(value - end) for end in ends) > 1e-4
    else:
        number = step.number
        grid = np.arange(number.low, number.high + number.step / 2, number.step)
        assert number.low <= value <= number.high
        fits = [step.fits(float(x), value) for x in grid]
        assert any(fits)
        assert np.mean(fits) < 0.4, "a guess without a thought should not fit"
        assert not step.fits(number.middle, value), "nor should the slider untouched"


@every_step
def test_what_the_texts_claim_holds(place: Place) -> None:
    assert place.step.holds, "every step claims something"
    for claim in place.step.holds:
        value = computed(place, claim.quantity)
        assert claim.at_least <= value <= claim.at_most, (claim.quantity, value)


@every_step
def test_settings_are_valid_controls_with_a_result(place: Place) -> None:
    controls = {control.key: control for control in (*lab.SCENARIO, *lab.OPTIONS)}
    for key, value in place.step.values.items():
        assert key in controls
        assert controls[key].valid(value), (key, value)
        assert value != controls[key].default, f"{key} is {value} anyway"
    assert lab.obstacle(settings(place.step)) is None
    shown = VIEWS if place.course.source == "lab" else ("verdict", "comparison")
    assert place.step.view in shown


@every_step
def test_texts_are_short_plain_and_free_of_answers(place: Place) -> None:
    step = place.step
    assert 2 <= sum(step.text.count(mark) for mark in (". ", "? ")) + 1 <= 4
    assert step.question.endswith("?")
    for text in (step.title, step.text, step.question, step.why, step.look_for):
        assert "!" not in text
        assert "—" not in text
    assert step.look_for[0].islower() or step.look_for.startswith(("FedAvg", "CLAIR", "PCA"))
    said = QUANTITIES[step.answer].say(computed(place, step.answer))
    for text in (step.title, step.text, step.question):
        assert not re.search(rf"(?<![\w.]){re.escape(said)}(?![\w.]*\d)", text), said


def test_every_quantity_is_used_and_says_its_number() -> None:
    used = {p.step.answer for p in PLACES} | {c.quantity for p in PLACES for c in p.step.holds}
    assert used == set(QUANTITIES)
    for quantity in QUANTITIES.values():
        assert quantity.sentence.count("{}") == 1


def test_surprises_and_losses_are_told() -> None:
    """Check that lessons show cases where the usual guess, or CLAIR itself, is wrong."""
    losses = {
        "averaging.1": ("clair_over_fedavg", 1.1, math.inf),
        "split.4": ("clair_over_local", 1.2, math.inf),
        "liars.2": ("found", 0, 0),
        "liars.3": ("found", 0, 0),
        "liars.4": ("found", 0, 0),
        "attacker.2": ("found", 1, 1),
        "attacker.3": ("found", 0, 0),
        "language.2": ("healed", 10, 50),
        "model.4": ("shops_gain", -3, 0),
    }
    words = {place.word: place for place in PLACES}
    for word, (name, low, high) in losses.items():
        assert low <= computed(words[word], name) <= high


def test_survived_stops_at_the_first_wrong_verdict() -> None:
    quantity = QUANTITIES["survived"].compute
    clear = run_scenario(Scenario(spec=ProblemSpec(n_clients=7)))
    assert quantity(clear) == 3
    drowned = run_scenario(Scenario(spec=ProblemSpec(n_clients=7, noise=0.3)))
    assert quantity(drowned) == 0


def test_a_ratio_without_meaning_is_refused() -> None:
    exact = run_scenario(Scenario(spec=ProblemSpec(n_clients=7, noise=0.0)))
    with pytest.raises(ValueError, match="local makes no error"):
        QUANTITIES["fedavg_over_local"].compute(exact)


GOOD = """
title = "T"
about = "A"
source = "lab"
[[step]]
title = "S"
text = "One. Two."
question = "Q?"
why = "W"
look_for = "l"
view = "errors"
answer = "found"
set = { noise = 0.1 }
choices = [{ text = "none", below = 1 }, { text = "some" }]
holds = [{ quantity = "found", at_least = 1 }]
"""


def test_ranges_decide_which_prediction_fits(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    three = '{ text = "one", below = 2 }, { text = "more" }]'
    path.write_text(GOOD.replace('{ text = "some" }]', three), encoding="utf-8")
    step = read_course(path).steps[0]
    assert [step.right_choice(value) for value in (-9.0, 0.0, 1.0, 1.9, 2.0, 99.0)] == [
        *(0, 0, 1, 1, 2, 2)
    ]
    assert step.fits(1, 1.5)
    assert not step.fits(0, 1.5)
    line = "number = { low = 0, high = 9, step = 1, tolerance = 1 }\nholds"
    text = GOOD.replace("holds", line)
    path.write_text("\n".join(x for x in text.splitlines() if "choices" not in x))
    step = read_course(path).steps[0]
    assert [step.fits(guess, 4.0) for guess in (2, 3, 4, 5, 6)] == [False, True, True, True, False]


def changed(old: str, new: str) -> Callable[[str], str]:
    """Make an edit that fails if it does not find what it changes."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text + "x = = 1", "not valid TOML"),
        (changed('source = "lab"', 'source = "digits"'), "source must be one of lab, copying, llm"),
        (lambda text: text.split("[[step]]")[0], "at least one"),
        (changed('title = "S"\n', ""), "step 1: title must be a text"),
        (changed('why = "W"', 'wy = "W"'), "step 1: unknown key wy"),
        (changed('answer = "found"', 'answer = "luck"'), "answer must be one of"),
        (changed('answer = "found"', 'answer = "healed"'), "answer must be one of"),
        (changed('{ text = "some" }', '{ text = "some", below = 3 }'), "every choice but the last"),
        (changed("below = 1 }", "below = true }"), "below must be a number"),
        (changed('{ text = "none", below = 1 }, ', ""), "2 to 5 choices, got 1"),
        (
            changed('{ text = "some" }', '{ text = "b", below = 1 }, { text = "c" }'),
            "below must rise",
        ),
        (
            changed(
                "choices =", "number = { low = 0, high = 1, step = 1, tolerance = 0 }\nchoices ="
            ),
            "either choices or number",
        ),
        (
            changed(
                'choices = [{ text = "none", below = 1 }, { text = "some" }]',
                "number = { low = 2, high = 1, step = 1, tolerance = 0 }",
            ),
            "low must be below high",
        ),
        (changed(", at_least = 1", ""), "a claim needs"),
        (
            lambda text: changed('"found"', '"healed"')(changed('"lab"', '"copying"')(text)),
            "a recorded run cannot be changed",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_rule(
    tmp_path: Path, edit: Callable[[str], str], words: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert read_course(path).steps[0].values == {"noise": 0.1}
    path.write_text(edit(GOOD), encoding="utf-8")
    with pytest.raises(CourseError, match=r"^mine\.toml") as caught:
        read_course(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("course", "number", "word"),
    [
        ("liars", "2", "liars.2"),
        ("liars", "9", "liars.1"),
        ("liars", "0", "liars.1"),
        ("liars", "two", "liars.1"),
        ("liars", "٢", "liars.1"),
        ("liars", None, "liars.1"),
        ("<script>", "3", "averaging.1"),
        (None, "3", "averaging.1"),
    ],
)
def test_a_mangled_place_is_the_first_step_of_what_can_be_made_out(
    course: str | None, number: str | None, word: str
) -> None:
    assert place_of(course, number).word == word


def test_next_and_back_run_through_all_courses() -> None:
    place, walked = PLACES[0], [PLACES[0]]
    while (following := neighbour(place, 1)) is not None:
        assert neighbour(following, -1) == place
        place = following
        walked.append(place)
    assert walked == PLACES
    assert neighbour(PLACES[0], -1) is None


def test_every_prediction_survives_an_address() -> None:
    guesses, told = {}, set()
    for place in PLACES:
        number = place.step.number
        guesses[place.course_key, place.number] = float(
            len(place.step.choices) - 1 if number is None else number.high
        )
        told.add((place.course_key, place.number))
    word = written(guesses, told)
    assert re.fullmatch(r"[\w.~-]+", word), "characters that an address keeps as they are"
    assert read(word) == (guesses, told)
    assert len(word) < 400
    assert read("") == ({}, set())
    assert written({("liars", 1): None}, set()) == ""


@pytest.mark.parametrize(
    "text",
    [
        "liars.1-10~",  # beyond the slider
        "liars.1-2.5~",  # between two of its places
        "liars.3-4~",  # no such choice
        "liars.3-1.5~",
        "liars.1--1~",
        "liars.1-nan~",
        "liars.1-1e9~",
        "liars.1-٢~",
        "liars.0-1~",
        "liars.5-1~",
        "nobody.1-1~",
        "<script>alert(1)</script>",
        "_-_~_.",
        "liars.1" * 100_000,
    ],
)
def test_what_an_address_cannot_mean_is_passed_over(text: str) -> None:
    guesses, told = read(f"{text}_averaging.1-2")
    assert guesses == ({("averaging", 1): 2.0} if len(text) < 1000 else {})
    assert told <= {("liars", 1), ("liars", 3)}
