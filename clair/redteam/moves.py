"""Where plans come from: known attacks, chance, and changes of plans that did harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.attacks import PLANS

#: Largest foreign part that is tried; a mean, for example, can be moved without bound.
LARGEST = 100.0
MAX_GROUPS = 3
_DIGITS = 3

Draw = Callable[[np.random.Generator], float]


def _one_of(*values: float) -> Draw:
    return lambda rng: float(rng.choice(values))


def _size(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(0.05), np.log(LARGEST))))


#: How each number of a tactic is drawn afresh.
FRESH: dict[str, Draw] = {
    "share": lambda rng: float(rng.uniform(0.05, 1)),
    "own": _one_of(1, 1, 0, 0, -1, 0.5, -0.3, 3, 10),
    "tilt": lambda rng: float(rng.choice([0, rng.uniform()])),
    "size": lambda rng: float(rng.choice([0, _size(rng), _size(rng)])),
    "directions": lambda rng: float(rng.choice([0, 1, 1, 2, 3, 4, 6])),
    "agree": lambda rng: float(rng.choice([0, 1, 1, rng.uniform()])),
    "alike": lambda rng: float(rng.choice([0, 1, 1, rng.uniform()])),
    "inside": lambda rng: float(rng.choice([0, 0, 1, rng.uniform()])),
    "spike": lambda rng: float(rng.choice([0, 1, rng.uniform(0, 3)])),
    "ladder": lambda rng: float(rng.choice([1, rng.uniform(1, 1.4)])),
    "copy": _one_of(0, 0, 1, -1, 0.5),
    "echo": lambda rng: float(rng.choice([0, 1, rng.uniform(-3, 3)])),
    "mean": _one_of(0, 0, 1, -1),
    "deviation": lambda rng: float(rng.choice([0, rng.uniform(-3, 3)])),
    "noise": lambda rng: float(rng.choice([0, 1, rng.uniform()])),
}


def _known() -> tuple[AttackPlan, ...]:
    quiet = (
        Tactic(echo=1, noise=0),
        Tactic(size=0.4, directions=0, noise=0),
        Tactic(tilt=0.2, noise=0),
        Tactic(size=0.06, directions=5, ladder=1.09, echo=1, noise=0),
        Tactic(own=0, copy=-1, size=0, directions=0, ladder=1.12, noise=0),
        Tactic(own=0, size=10, directions=3, alike=0),
        Tactic(own=-1),
        Tactic(own=0, mean=1, deviation=-1, noise=0),
        Tactic(size=LARGEST),
    )
    groups = (
        (Tactic(own=0, copy=1, noise=0), Tactic(own=0, copy=1, size=0.3, noise=0)),
        # far too little outside the subspace beside far too much
        (Tactic(share=0.3, own=1e-4, noise=0), Tactic(own=0, size=10, directions=3, alike=0)),
    )
    plans = (*((tactic,) for tactic in quiet), *groups)
    return (*PLANS.values(), *(AttackPlan(tactics) for tactics in plans))


#: Known attacks, which anybody who has read about them would try first.
KNOWN = _known()


def _clean(name: str, value: float) -> float | int:
    """Clip a number to the field's range and round it so that it can be read."""
    limits = next(item.metadata for item in fields(Tactic) if item.name == name)
    high = LARGEST if name == "size" else limits["high"]
    value = min(max(value, limits["low"]), high)
    return round(value) if name == "directions" else float(f"{value:.{_DIGITS}g}")


def _with(tactic: Tactic, name: str, value: float) -> Tactic:
    changed: dict[str, Any] = {name: _clean(name, value)}
    return replace(tactic, **changed)


def _perturbed(tactic: Tactic, name: str, rng: np.random.Generator) -> Tactic:
    """Change a number a little; draw it afresh if it is 0, or by chance."""
    value = getattr(tactic, name)
    if value == 0 or rng.random() < 0.3:
        return _with(tactic, name, FRESH[name](rng))
    if name == "directions":
        return _with(tactic, name, value + rng.choice([-1, 1]))
    if name == "ladder":
        return _with(tactic, name, 1 + (value - 1 or 0.05) * np.exp(0.5 * rng.standard_normal()))
    return _with(tactic, name, value * np.exp(0.4 * rng.standard_normal()))


def tidy(plan: AttackPlan) -> AttackPlan:
    """Reset the numbers of a plan that make no difference."""
    tactics = []
    for tactic in plan.tactics:
        if len(plan.tactics) == 1:
            tactic = replace(tactic, share=1)
        if tactic.own == 0:
            tactic = replace(tactic, tilt=0)
        if tactic.size == 0 and tactic.ladder == 1:
            tactic = replace(tactic, directions=1, agree=1, alike=1, inside=0, spike=1)
        elif tactic.directions == 0:
            tactic = replace(tactic, agree=1)
        tactics.append(tactic)
    return AttackPlan(tuple(tactics))


def random_plan(rng: np.random.Generator) -> AttackPlan:
    """Draw a plan of one or two groups, each with two to five numbers that are not honest."""
    tactics = []
    for _ in range(int(rng.choice([1, 1, 2]))):
        tactic = Tactic()
        for name in rng.choice(list(FRESH), size=int(rng.integers(2, 6)), replace=False):
            tactic = _with(tactic, str(name), FRESH[str(name)](rng))
        tactics.append(tactic)
    return tidy(AttackPlan(tuple(tactics)))


def moved(plan: AttackPlan, rng: np.random.Generator) -> AttackPlan:
    """Change a plan: some numbers of a group, and perhaps split or drop a group."""
    tactics = list(plan.tactics)
    at = int(rng.integers(len(tactics)))
    kind = rng.random()
    if kind < 0.1 and len(tactics) < MAX_GROUPS:
        half = _with(tactics[at], "share", tactics[at].share / 2)
        tactics[at : at + 1] = [half, half]
    elif kind < 0.2 and len(tactics) > 1:
        del tactics[at]
        at = 0
    for name in rng.choice(list(FRESH), size=int(rng.integers(1, 4)), replace=False):
        tactics[at] = _perturbed(tactics[at], str(name), rng)
    return tidy(AttackPlan(tuple(tactics)))


def louder(plan: AttackPlan, factor: float) -> AttackPlan:
    """Scale a plan's strength; attackers look for the loudest that is not noticed."""
    tactics = []
    for tactic in plan.tactics:
        for name in ("tilt", "size", "echo", "deviation"):
            tactic = _with(tactic, name, factor * getattr(tactic, name))
        tactics.append(_with(tactic, "ladder", 1 + factor * (tactic.ladder - 1)))
    return tidy(AttackPlan(tuple(tactics)))


def crossed(first: AttackPlan, second: AttackPlan, rng: np.random.Generator) -> AttackPlan:
    """Combine two plans: a group of each side by side, or numbers of both in one group."""
    one = first.tactics[int(rng.integers(len(first.tactics)))]
    other = second.tactics[int(rng.integers(len(second.tactics)))]
    if rng.random() < 0.5:
        share = float(rng.uniform(0.05, 0.5))
        return tidy(AttackPlan((_with(one, "share", share), _with(other, "share", 1 - share))))
    for name in FRESH:
        if rng.random() < 0.5:
            one = _with(one, name, getattr(other, name))
    return tidy(AttackPlan((one,)))
