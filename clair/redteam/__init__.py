"""The red team: a search for the attack that does honest clients the most harm.

The attacker knows everything: the shared subspace, the honest updates, the defence. It tries plans
of a small family (`clair.simulation.attack_plan`), keeps the most harmful and changes them a
little, as an evolution strategy does. Its findings are measured on draws that the search never saw.
It finds bad attacks, but perhaps not the worst, so the harm it reports is a lower bound.

The rule by which CLAIR judged before (`clair.redteam.former`) is a defence like the others, to show
what each part of the present rule is for.

The evidence of shape needs three modules (`clair.method.shape.MIN_SHAPE_MODULES`); problems have
one unless more are asked for. Where halves are sent, the attacker's clients send the same attack
twice: no plan says how else they might lie.
"""

from clair.redteam.defences import DEFENCES, Trial, evaluate
from clair.redteam.evolution import search
from clair.redteam.result import (
    Attempt,
    Finding,
    RedTeamConfig,
    RedTeamResult,
    SearchProgress,
)

__all__ = [
    "DEFENCES",
    "Attempt",
    "Finding",
    "RedTeamConfig",
    "RedTeamResult",
    "SearchProgress",
    "Trial",
    "evaluate",
    "search",
]
