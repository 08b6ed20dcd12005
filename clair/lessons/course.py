"""Courses, their steps and predictions, read from the TOML files beside this module.

A course never says which prediction is right: the options cut the number line into ranges, and the
computed quantity falls into one of them.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from clair.lessons.quantities import QUANTITIES, SOURCES

FOLDER = Path(__file__).parent / "courses"
#: Order of the courses.
COURSES = ("averaging", "split", "liars", "attacker", "language", "model")


class CourseError(ValueError):
    """A course file breaks a rule; the message names the file, the place and the rule."""


@dataclass(frozen=True)
class Choice:
    """One of a few predictions: the quantity is below `below`, and not in an earlier choice."""

    text: str
    below: float


@dataclass(frozen=True)
class Number:
    """A prediction by slider, in the unit of the quantity.

    Attributes
    ----------
    low, high, step : float
        Of the slider.
    tolerance : float
        A prediction this near to the computed number fits.
    """

    low: float
    high: float
    step: float
    tolerance: float

    @property
    def middle(self) -> float:
        """Where the slider starts: an end would be a hint."""
        return self.low + self.step * round((self.high - self.low) / self.step / 2)


@dataclass(frozen=True)
class Claim:
    """Something a text says, as a quantity and the range it must lie in."""

    quantity: str
    at_least: float = -math.inf
    at_most: float = math.inf


@dataclass(frozen=True)
class Step:
    """One idea: a situation, a question, and what to look for in the answer.

    Attributes
    ----------
    title, text, question : str
        What stands on the page before the prediction; `text` is two to four sentences.
    why, look_for : str
        What stands there afterwards: why it is so, and one line about the chart.
    view : str
        Chart shown at the reveal.
    answer : str
        Name of the quantity that is asked for.
    choices : tuple of Choice
        Empty where a number is asked for.
    number : Number or None
    values : mapping
        Controls of the page that the step sets; the others have their defaults.
    holds : tuple of Claim
        What the texts claim.
    also : tuple of str
        Quantities that the texts mention and the chart does not show; given with the answer.
    """

    title: str
    text: str
    question: str
    why: str
    look_for: str
    view: str
    answer: str
    choices: tuple[Choice, ...]
    number: Number | None
    values: Mapping[str, Any]
    holds: tuple[Claim, ...]
    also: tuple[str, ...] = ()

    def right_choice(self, value: float) -> int:
        """Find the choice whose range holds `value`, and return its index."""
        return next(i for i, choice in enumerate(self.choices) if value < choice.below)

    def allows(self, prediction: float) -> bool:
        """Tell whether a prediction is possible: one of the choices, or a place of the slider."""
        if self.number is None:
            return prediction in range(len(self.choices))
        steps = (prediction - self.number.low) / self.number.step
        inside = self.number.low <= prediction <= self.number.high
        return inside and abs(steps - round(steps)) < 1e-6

    def fits(self, prediction: float, value: float) -> bool:
        """Tell whether a prediction agrees with the computed `value`.

        Parameters
        ----------
        prediction : float
            Index of a choice, or a number on the slider.
        value : float
        """
        if self.number is None:
            return int(prediction) == self.right_choice(value)
        return abs(prediction - value) <= self.number.tolerance + 1e-9


@dataclass(frozen=True)
class Course:
    """A few steps about one thing.

    Attributes
    ----------
    key, title, about : str
    source : str
        Whose results the course is about, one of `SOURCES`.
    steps : tuple of Step
    """

    key: str
    title: str
    about: str
    source: str
    steps: tuple[Step, ...]


@cache
def courses() -> Mapping[str, Course]:
    """Read all courses by key, in order.

    Raises
    ------
    CourseError
        If a file breaks a rule.
    """
    return {key: read_course(FOLDER / f"{key}.toml") for key in COURSES}


def read_course(path: Path) -> Course:
    """Read one course.

    Raises
    ------
    CourseError
        If the file is not TOML or breaks a rule.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{path.name}: not valid TOML: {error}") from error
    top = _Table(path.name, table, {"title", "about", "source", "step"})
    source = top.text("source")
    top.rule(source in SOURCES, f"source must be one of {', '.join(SOURCES)}, got {source!r}")
    steps = table.get("step", [])
    top.rule(bool(steps), "a course needs at least one [[step]]")
    return Course(
        key=path.stem,
        title=top.text("title"),
        about=top.text("about"),
        source=source,
        steps=tuple(_step(f"{path.name}, step {i}", one, source) for i, one in enumerate(steps, 1)),
    )


class _Table:
    """A table of a file; its errors say where in the file it is."""

    def __init__(self, where: str, table: Any, known: set[str]) -> None:
        self.where, self.table = where, table
        self.rule(isinstance(table, dict), f"must be a table, got {table!r}")
        unknown = sorted(set(table) - known)
        self.rule(
            not unknown, f"unknown key {', '.join(unknown)}; known: {', '.join(sorted(known))}"
        )

    def rule(self, holds: bool, message: str) -> None:
        if not holds:
            raise CourseError(f"{self.where}: {message}")

    def text(self, key: str) -> str:
        value = self.table.get(key)
        self.rule(isinstance(value, str) and bool(value.strip()), f"{key} must be a text")
        return " ".join(str(value).split())

    def real(self, key: str, default: float | None = None) -> float:
        value = self.table.get(key, default)
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        self.rule(good, f"{key} must be a number, got {value!r}")
        return float(value)

    def quantity(self, key: str, source: str) -> str:
        name = self.text(key)
        known = [k for k, q in QUANTITIES.items() if q.source == source]
        self.rule(name in known, f"{key} must be one of {', '.join(known)}, got {name!r}")
        return name


def _step(where: str, table: Any, source: str) -> Step:
    known = {field.name for field in fields(Step)} - {"values"} | {"set"}
    step = _Table(where, table, known)
    values = table.get("set", {})
    step.rule(isinstance(values, dict), f"set must be a table, got {values!r}")
    step.rule(
        source == "lab" or not values,
        "set changes the lab's problem; a recorded run cannot be changed",
    )
    step.rule(
        ("choices" in table) != ("number" in table),
        "a step needs either choices or number, and not both",
    )
    number = table.get("number")
    return Step(
        title=step.text("title"),
        text=step.text("text"),
        question=step.text("question"),
        why=step.text("why"),
        look_for=step.text("look_for"),
        view=step.text("view"),
        answer=step.quantity("answer", source),
        choices=_choices(where, table.get("choices", [])) if number is None else (),
        number=None if number is None else _number(where, number),
        values=values,
        holds=tuple(_claim(where, claim, source) for claim in table.get("holds", [])),
        also=_also(where, table.get("also", []), source),
    )


def _also(where: str, names: Any, source: str) -> tuple[str, ...]:
    listed = _Table(where, {"also": names}, {"also"})
    listed.rule(isinstance(names, list), f"also must be a list of quantities, got {names!r}")
    return tuple(_Table(where, {"also": n}, {"also"}).quantity("also", source) for n in names)


def _choices(where: str, tables: Any) -> tuple[Choice, ...]:
    """Read choices whose ranges follow each other without a gap, over the whole number line."""
    choices = []
    for i, table in enumerate(tables):
        entry = _Table(f"{where}, choice {i + 1}", table, {"text", "below"})
        last = i == len(tables) - 1
        entry.rule(last != ("below" in table), "every choice but the last one needs below")
        choices.append(Choice(entry.text("text"), entry.real("below", math.inf)))
    limits = [choice.below for choice in choices]
    whole = _Table(where, {}, set())
    whole.rule(2 <= len(choices) <= 5, f"there must be 2 to 5 choices, got {len(choices)}")
    whole.rule(limits == sorted(set(limits)), f"below must rise from choice to choice: {limits}")
    return tuple(choices)


def _number(where: str, table: Any) -> Number:
    entry = _Table(f"{where}, number", table, {field.name for field in fields(Number)})
    number = Number(*(entry.real(field.name) for field in fields(Number)))
    entry.rule(number.low < number.high, "low must be below high")
    entry.rule(0 < number.step <= number.high - number.low, "step must fit between low and high")
    entry.rule(number.tolerance >= 0, f"tolerance must be >= 0, got {number.tolerance:g}")
    return number


def _claim(where: str, table: Any, source: str) -> Claim:
    entry = _Table(f"{where}, holds", table, {field.name for field in fields(Claim)})
    entry.rule(len(table) > 1, "a claim needs at_least, at_most or both")
    return Claim(
        entry.quantity("quantity", source),
        entry.real("at_least", -math.inf),
        entry.real("at_most", math.inf),
    )
