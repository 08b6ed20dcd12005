"""Two scenarios beside each other: which is ahead at what, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from clair.method.metrics import DetectionScores
from clair.sentences import ROUNDING, TIE, amount, count, listing, times
from clair.simulation.scenario import ScenarioResult

Ahead = Literal["A", "B", ""]
# Contests about what CLAIR does; the others are about what happens without it.
_CLAIRS_OWN = ("found", "clair", "gain")


@dataclass(frozen=True)
class Comparison:
    """One thing that two scenarios can be compared at.

    Attributes
    ----------
    key, name : str
        `name` completes "ahead in ...".
    a, b : float
        The two values.
    texts : tuple of str
        Both values as they are shown.
    ahead : {"A", "B", ""}
        Whose value is the better one; nobody's if they differ by no more than
        `clair.sentences.TIE`. Between unlike problems that says which is harder, not who is better.
    """

    key: str
    name: str
    a: float
    b: float
    texts: tuple[str, str]
    ahead: Ahead


def contests(a: ScenarioResult, b: ScenarioResult) -> tuple[Comparison, ...]:
    """Compare two results at finding the poisoned clients, at errors, and at what CLAIR gains."""
    errors = {
        "clair": ("CLAIR's error", a.chosen, b.chosen),
        "local": ("the error of training alone", "local", "local"),
        "fedavg": ("the error of plain averaging", "fedavg", "fedavg"),
    }
    rows = []
    if a.detection.n_contaminated and b.detection.n_contaminated:  # else there is nobody to find
        found = a.detection.f1, b.detection.f1
        rows.append(_contest("found", "finding the poisoned", *found, _found(a), _found(b)))
    for key, (name, first, second) in errors.items():
        values = a.error_of(first).mean, b.error_of(second).mean
        rows.append(_contest(key, name, *values, *map(amount, values), less_is_better=True))
    gains = _gain(a), _gain(b)
    if None not in gains:
        values = float(gains[0] or 0), float(gains[1] or 0)
        rows.append(
            _contest("gain", "CLAIR's gain over training alone", *values, *map(times, values))
        )
    return tuple(rows)


def pair_sentence(a: ScenarioResult, b: ScenarioResult, changes: Sequence[str]) -> str:
    """Say in what B differs from A, and what that does to the honest clients' errors.

    Parameters
    ----------
    a, b : ScenarioResult
    changes : sequence of str
        Phrases such as "noise is 0.3 instead of 0.03", one for each setting that differs.
    """
    if not changes:
        return "A and B have the same settings, so every number is the same."
    rows = {row.key: row for row in contests(a, b)}
    told = (
        f"In B, {listing(changes)}"
        if len(changes) <= 2
        else f"B differs from A in {len(changes)} settings"
    )
    clair, average = _moved(rows["clair"]), _moved(rows["fedavg"])
    extra = {"clair": "without more", "clair_eb": "with pooling", "clair_halves": "with halves"}
    plain = [result.chosen == "clair" for result in (a, b)]
    if a.chosen == b.chosen:
        note = ""
    elif any(plain):
        side, chosen = ("B", b.chosen) if plain[0] else ("A", a.chosen)
        note = f" ({extra[chosen]} in {side})"
    else:
        note = f" ({extra[a.chosen]} in A, {extra[b.chosen]} in B)"
    return f"{told}: CLAIR's error{note} {clair}, and that of plain averaging {average}."


def same_problem(a: ScenarioResult, b: ScenarioResult) -> bool:
    """Tell whether both worked on the same updates, so that one can do better than the other."""
    return (a.scenario.spec, a.scenario.plan) == (b.scenario.spec, b.scenario.plan)


def ahead_sentence(a: ScenarioResult, b: ScenarioResult) -> str:
    """Say who does better at what; of unlike problems, which is harder and what CLAIR gains.

    Errors without CLAIR are not compared: the same updates give the same errors, and other updates
    are another task.
    """
    rows = {row.key: row for row in contests(a, b)}
    if same_problem(a, b):
        return _who_does_better([row for key, row in rows.items() if key in _CLAIRS_OWN])
    alone = rows["local"].texts
    told = "Two different problems: "
    told += (
        f"training alone leaves an error of {alone[0]} in both"
        if not rows["local"].ahead and alone[0] == alone[1]
        else f"training alone leaves an error of {alone[0]} in A and {alone[1]} in B"
    )
    if "gain" in rows:
        gain = rows["gain"]
        told += "; CLAIR's gain over that is " + (
            f"{gain.texts[0]} in both"
            if gain.texts[0] == gain.texts[1]
            else f"{gain.texts[0]} in A and {gain.texts[1]} in B"
        )
        told += " (below 1× is a loss)" if min(gain.a, gain.b) < 1 else ""
    if "found" in rows:
        found = rows["found"].texts
        told += f". Poisoned clients found: {found[0]} in A, {found[1]} in B"
    return f"{told}."


def _who_does_better(rows: Sequence[Comparison]) -> str:
    parts = []
    for side, own, other in (("A", 0, 1), ("B", 1, 0)):
        names = [
            f"{row.name} ({row.texts[own]} against {row.texts[other]})"
            for row in rows
            if row.ahead == side
        ]
        if names:
            parts.append(f"**{side} is ahead** in {listing(names)}")
    alike = [row.name for row in rows if not row.ahead]
    if alike:
        parts.append(f"{'no' if parts else 'No'} difference beyond {TIE:.0%} in {listing(alike)}")
    return f"The same updates, treated differently. {'; '.join(parts)}."


def _contest(
    key: str,
    name: str,
    a: float,
    b: float,
    text_a: str,
    text_b: str,
    *,
    less_is_better: bool = False,
) -> Comparison:
    ahead: Ahead = ""
    if abs(a - b) > max(TIE * max(abs(a), abs(b)), ROUNDING):
        ahead = "A" if (a < b) == less_is_better else "B"
    return Comparison(key, name, a, b, (text_a, text_b), ahead)


def _found(result: ScenarioResult) -> str:
    scores: DetectionScores = result.detection
    text = f"{scores.n_correct} of {scores.n_contaminated}"
    if scores.false_alarms:
        text += f" with {count(scores.false_alarms, 'false alarm')}"
    return text + (f" ({scores.suspects} suspect)" if scores.suspects else "")


def _gain(result: ScenarioResult) -> float | None:
    """Divide the error of training alone by CLAIR's; None where either is zero."""
    clair, local = result.error_of(result.chosen).mean, result.error_of("local").mean
    return None if min(clair, local) < ROUNDING else local / clair


def _moved(row: Comparison) -> str:
    if row.texts[0] == row.texts[1]:
        return f"stays at {row.texts[0]}"
    if not row.ahead:
        return f"hardly moves ({row.texts[0]} to {row.texts[1]})"
    return f"{'rises' if row.b > row.a else 'falls'} from {row.texts[0]} to {row.texts[1]}"
