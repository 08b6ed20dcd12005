"""Contamination models that act on matrix-valued updates.

Every attack has one signature, ``attack(honest, context, rng)``: it receives what the contaminated
clients would honestly have sent and returns what they send instead. Attackers are omniscient: the
context holds the benign clients' updates and the true subspace, as a worst-case adversary would
know them.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from clair.method.linalg import block_norms, orthonormal
from clair.simulation.attack_plan import AttackContext, AttackPlan, Tactic

Attack = Callable[[np.ndarray, AttackContext, np.random.Generator], np.ndarray]


def _sized(blocks: np.ndarray, context: AttackContext) -> np.ndarray:
    """Give every block the Frobenius norm ``scale * magnitude``."""
    target = context.scale * context.magnitude
    return blocks * (target / block_norms(blocks))[:, None, None]


def _low_rank_blocks(
    shape: tuple[int, ...], context: AttackContext, rng: np.random.Generator
) -> np.ndarray:
    n, d_out, d_in = shape
    left = rng.standard_normal((n, d_out, context.rank))
    return _sized(left @ rng.standard_normal((n, context.rank, d_in)), context)


def random(honest: np.ndarray, context: AttackContext, rng: np.random.Generator) -> np.ndarray:
    """Add a dense Gaussian matrix to the honest update."""
    return honest + _sized(rng.standard_normal(honest.shape), context)


def low_rank(honest: np.ndarray, context: AttackContext, rng: np.random.Generator) -> np.ndarray:
    """Add a random matrix of the benign rank, each attacker its own."""
    return honest + _low_rank_blocks(honest.shape, context, rng)


def colluding(honest: np.ndarray, context: AttackContext, rng: np.random.Generator) -> np.ndarray:
    """Add updates that share one false subspace, with coefficients as varied as benign ones."""
    n, d_out, d_in = honest.shape
    false_subspace = orthonormal(rng.standard_normal((d_out, context.rank)))
    common = rng.standard_normal((context.rank, d_in))
    own = rng.standard_normal((n, context.rank, d_in))
    return honest + _sized(false_subspace @ (common + context.heterogeneity * own), context)


def identical(honest: np.ndarray, context: AttackContext, rng: np.random.Generator) -> np.ndarray:
    """Add one and the same low-rank matrix at every attacker."""
    return honest + _low_rank_blocks((1, *honest.shape[1:]), context, rng)


def replace(honest: np.ndarray, context: AttackContext, rng: np.random.Generator) -> np.ndarray:
    """Discard the honest update and send a random low-rank one."""
    return _low_rank_blocks(honest.shape, context, rng)


def sign_flip(honest: np.ndarray, context: AttackContext, rng: np.random.Generator) -> np.ndarray:
    """Send the honest update reversed; it stays in the shared subspace, so norms do not show it."""
    return -context.scale * honest


def scaled(honest: np.ndarray, context: AttackContext, rng: np.random.Generator) -> np.ndarray:
    """Send the honest update times ten times ``scale``; it stays in the shared subspace too."""
    return 10.0 * context.scale * honest


def alie(honest: np.ndarray, context: AttackContext, rng: np.random.Generator) -> np.ndarray:
    """Send the benign mean shifted by z benign standard deviations ("a little is enough").

    All attackers send the same. z is the largest shift that still hides among the benign clients,
    times ``scale`` (Baruch, Baruch, Goldberg, NeurIPS 2019, algorithm 3).
    """
    n_attackers, n_benign = len(honest), len(context.benign)
    n = n_attackers + n_benign
    supporters = n // 2 + 1 - n_attackers
    z = max(0.0, NormalDist().inv_cdf((n_benign - supporters) / n_benign))
    shifted = context.benign.mean(axis=0) - context.scale * z * context.benign.std(axis=0)
    return np.broadcast_to(shifted, honest.shape).copy()


class AttackInfo(NamedTuple):
    """An attack and the words it is shown with.

    Attributes
    ----------
    run : callable
        ``run(honest, context, rng)`` -> ndarray of the shape of `honest`: a function, or an
        `AttackPlan` of attackers who know the detector.
    label : str
        Short name for people.
    description : str
        One sentence without jargon.
    """

    run: Attack
    label: str
    description: str


ATTACKS: dict[str, AttackInfo] = {
    "low_rank": AttackInfo(
        low_rank, "Low rank", "Each attacker adds its own random low-rank matrix."
    ),
    "random": AttackInfo(
        random, "Random", "Each attacker adds a random matrix with no structure at all."
    ),
    "colluding": AttackInfo(
        colluding,
        "Colluding",
        "The attackers agree on one false subspace and look like a second benign group.",
    ),
    "identical": AttackInfo(
        identical, "Identical", "All attackers add exactly the same low-rank matrix."
    ),
    "replace": AttackInfo(
        replace, "Replace", "Attackers throw their work away and send a random low-rank update."
    ),
    "sign_flip": AttackInfo(
        sign_flip,
        "Sign flip",
        "Attackers send their honest update reversed; it stays inside the shared subspace.",
    ),
    "scaled": AttackInfo(
        scaled,
        "Scaled",
        "Attackers send their honest update ten times too large; it stays inside the subspace.",
    ),
    "alie": AttackInfo(
        alie,
        "A little is enough",
        "Attackers all send the benign average, shifted by just less than honest clients differ.",
    ),
    "one_direction": AttackInfo(
        AttackPlan((Tactic(own=0, size=1, alike=0, noise=0),)),
        "One direction",
        "Attackers send updates of honest size along one false direction, and without noise.",
    ),
    "decoy": AttackInfo(
        AttackPlan(
            (
                Tactic(share=0, size=40, agree=0, alike=0),
                Tactic(size=1, directions=3, agree=0, alike=0),
            )
        ),
        "Decoy",
        "One attacker is very loud and draws all attention; the others add something of modest "
        "size.",
    ),
    "ladder": AttackInfo(
        AttackPlan((Tactic(size=0.1, agree=0, alike=0, ladder=1.09),)),
        "Ladder",
        "Each attacker is a little louder than the one before, so that no gap opens between them.",
    ),
    "copies": AttackInfo(
        AttackPlan((Tactic(own=0, copy=1, noise=0),)),
        "Copies",
        "All attackers send the same copy of one honest client's update, so that it counts many "
        "times.",
    ),
    "echo": AttackInfo(
        AttackPlan((Tactic(echo=1, noise=0),)),
        "Shared noise",
        "Honest updates, but in place of their own noise all attackers send one honest client's.",
    ),
    "silent": AttackInfo(
        AttackPlan((Tactic(own=0),)),
        "Silent",
        "Attackers send nothing but noise, so that less of the shared subspace shows.",
    ),
    "tilt": AttackInfo(
        AttackPlan((Tactic(tilt=0.4, noise=0),)),
        "Tilt",
        "Honest coefficients in a subspace that the attackers have turned a little, without noise.",
    ),
    "ordinary": AttackInfo(
        AttackPlan((Tactic(size=1, spike=0.8, noise=0),)),
        "Ordinary shape",
        "All add one false direction, made so that its entries are spread like honest ones.",
    ),
    "framing": AttackInfo(
        AttackPlan((Tactic(own=0, copy=1, size=1, agree=0, alike=0),)),
        "Framing",
        "Attackers dress as one honest client: its update plus something false, to have it "
        "flagged too.",
    ),
}

#: The plans among them.
PLANS: dict[str, AttackPlan] = {
    key: info.run for key, info in ATTACKS.items() if isinstance(info.run, AttackPlan)
}
