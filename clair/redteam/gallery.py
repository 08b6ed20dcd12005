"""Named attacks as plans: those that the Red team page opens on, and the rows of its table."""

from __future__ import annotations

from typing import NamedTuple

from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.attacks import ATTACKS, PLANS


class NamedPlan(NamedTuple):
    """An attack with its name and one sentence without jargon."""

    label: str
    plan: AttackPlan
    description: str


def _known(key: str) -> NamedPlan:
    info = ATTACKS[key]
    return NamedPlan(info.label, PLANS[key], info.description)


#: In the order of the table.
GALLERY: dict[str, NamedPlan] = {
    "masking": NamedPlan(
        "Loud decoy",
        AttackPlan(
            (
                Tactic(share=0.125, size=100, agree=0, alike=0),
                Tactic(share=0.875, size=3, directions=3, agree=0, alike=0),
            )
        ),
        "One client is so loud that the others, who are loud too, look ordinary beside it.",
    ),
    "captured": NamedPlan(
        "Agree, loudly",
        AttackPlan((Tactic(size=10, directions=3, agree=1, alike=0.7),)),
        "All push hard towards the same three false directions.",
    ),
    "noiseless": NamedPlan(
        "Turn, without noise",
        AttackPlan((Tactic(tilt=0.4, noise=0),)),
        "Honest coefficients in directions that are turned a little, sent without noise.",
    ),
    "flip": NamedPlan(
        "Sign flip",
        AttackPlan((Tactic(own=-1),)),
        "The honest update reversed: it stays inside the shared subspace.",
    ),
    "tenfold": NamedPlan(
        "Ten times too large",
        AttackPlan((Tactic(own=10),)),
        "The honest update, ten times too large.",
    ),
    "one_direction": _known("one_direction"),
    "ordinary": _known("ordinary"),
    "copies": _known("copies"),
    "echo": _known("echo"),
    "ladder": _known("ladder"),
    "silent": _known("silent"),
    "framing": _known("framing"),
    "shift": NamedPlan(
        "A little is enough",
        AttackPlan((Tactic(own=0, mean=1, deviation=-1, noise=0),)),
        "All send the honest mean, shifted by one standard deviation of every entry.",
    ),
    "dense": NamedPlan(
        "Hidden in noise",
        AttackPlan((Tactic(size=0.4, directions=0, agree=1, alike=1),)),
        "All add the same dense matrix, no larger than their noise.",
    ),
}
