"""What was predicted and which answers were shown, as one short word for an address."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from clair.lessons.course import courses

#: A course's key and the number of a step in it, from 1.
Spot = tuple[str, int]

_ENTRY = re.compile(r"([a-z]+)\.([0-9]{1,2})(?:-([0-9]{1,3}(?:\.[0-9]{1,3})?))?(~?)")
_LONGEST = 1000  # characters that are read; all steps of all courses need fewer


def written(guesses: Mapping[Spot, float | None], told: Collection[Spot]) -> str:
    """Write predictions and shown answers in characters that an address keeps as they are.

    Examples
    --------
    >>> written({("liars", 1): 7.0, ("averaging", 3): 2.5}, {("liars", 1)})
    'averaging.3-2.5_liars.1-7~'
    """
    entries = []
    for key, course in courses().items():
        for number in range(1, len(course.steps) + 1):
            spot = (key, number)
            guess = guesses.get(spot)
            said = "" if guess is None else f"-{guess:g}"
            shown = "~" if spot in told else ""
            if said or shown:
                entries.append(f"{key}.{number}{said}{shown}")
    return "_".join(entries)


def read(text: str) -> tuple[dict[Spot, float], set[Spot]]:
    """Read predictions and shown answers from what `written` made; ignore anything else.

    Examples
    --------
    >>> read("averaging.3-2.5_liars.99_liars.1-77~_<b>")
    ({('averaging', 3): 2.5}, {('liars', 1)})
    """
    guesses: dict[Spot, float] = {}
    told: set[Spot] = set()
    for entry in text[:_LONGEST].split("_"):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            continue
        key, number, guess, shown = match[1], int(match[2]), match[3], match[4]
        if key not in courses() or not 1 <= number <= len(courses()[key].steps):
            continue
        if guess is not None and courses()[key].steps[number - 1].allows(float(guess)):
            guesses[key, number] = float(guess)
        if shown:
            told.add((key, number))
    return guesses, told
