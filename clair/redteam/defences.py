"""What the red team is up against, and what an attack costs honest clients there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from clair.aggregation import GLOBAL_RULES, GlobalRule, assumed_attackers
from clair.method.fit import fit
from clair.method.linalg import block_grams, block_norms
from clair.method.metrics import DetectionScores, detection_scores
from clair.method.refinement import principal_subspace, refine
from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.matrix_model import Problem, ProblemSpec, sample_problem

Judged = tuple[np.ndarray, np.ndarray]
HONEST = AttackPlan((Tactic(),))
ROUNDING = 1e-6


class Defence(NamedTuple):
    """What the red team is up against.

    Attributes
    ----------
    label : str
        Name for people.
    run : callable
        ``run(updates, rank, quick)`` -> the clients' estimates and who is flagged; `quick` allows a
        faster way to the same estimates.
    pooling : str
        Pooling of the oracle that the defence is compared with.
    """

    label: str
    run: Callable[[np.ndarray, int | str, bool], Judged]
    pooling: str = "none"


def _clair(
    updates: np.ndarray, rank: int | str, quick: bool, *, same: bool = True, **options: Any
) -> Judged:
    # Where residuals judge and the subspace is polished, the solver affects nothing but the split.
    solver = "irls" if quick and same else "convex"
    result = fit(updates, rank, solver=solver, **options)
    return np.asarray(result.refined), result.flagged


def _pca(updates: np.ndarray, rank: int | str, quick: bool) -> Judged:
    everybody = np.ones(len(updates), dtype=bool)
    number = int(rank) if rank != "auto" else fit(updates, "auto", solver="irls").rank
    basis = principal_subspace(block_grams(updates), number)
    return refine([updates], [basis], everybody)[0], ~everybody


def _global(rule: GlobalRule, updates: np.ndarray, rank: int | str, quick: bool) -> Judged:
    flat = updates.reshape(len(updates), -1)
    combined = rule(flat, assumed_attackers(len(updates))).reshape(updates.shape[1:])
    return np.broadcast_to(combined, updates.shape), np.zeros(len(updates), dtype=bool)


DEFENCES: dict[str, Defence] = {
    "clair": Defence("CLAIR", _clair),
    "clair_eb": Defence("CLAIR + pooling", partial(_clair, pooling="eb"), "eb"),
    "clair_screen": Defence(
        "CLAIR + coefficient screen", partial(_clair, screen_coefficients=True)
    ),
    "clair_norms": Defence(
        "CLAIR, contamination norms", partial(_clair, same=False, detector="norms")
    ),
    "fedavg": Defence("FedAvg", partial(_global, GLOBAL_RULES["fedavg"])),
    "median": Defence("Coordinate median", partial(_global, GLOBAL_RULES["median"])),
    "trimmed_mean": Defence("Trimmed mean", partial(_global, GLOBAL_RULES["trimmed_mean"])),
    "geometric_median": Defence(
        "Geometric median", partial(_global, GLOBAL_RULES["geometric_median"])
    ),
    "krum": Defence("Krum", partial(_global, GLOBAL_RULES["krum"])),
    "multi_krum": Defence("Multi-Krum", partial(_global, GLOBAL_RULES["multi_krum"])),
    "pca": Defence("PCA, nobody flagged", _pca),
}


@dataclass(frozen=True)
class Trial:
    """One plan against the defence on one draw.

    Attributes
    ----------
    seed : int
        Seed of the draw: ``sample_problem(replace(spec, seed=seed), plan)`` repeats it.
    harm : float
        Root mean square error of the truly honest clients over that of the oracle, which is told
        who is honest and the true subspace; >= 0. Where the oracle makes no error but rounding, as
        without noise, `ROUNDING` of a typical update takes its place.
    detection : DetectionScores
    held, flagged : ndarray of bool, shape (n_clients,)
        The attacker's clients, and those the defence flagged.
    """

    seed: int
    harm: float
    detection: DetectionScores
    held: np.ndarray
    flagged: np.ndarray


def evaluate(
    plan: AttackPlan | None,
    spec: ProblemSpec,
    defence: str = "clair",
    rank: int | str = "auto",
    *,
    quick: bool = False,
) -> Trial:
    """Try one plan on the draw of a spec.

    Parameters
    ----------
    plan : AttackPlan or None
        None leaves the attacker's clients honest.
    spec : ProblemSpec
        With at least one contaminated client; its attack is ignored.
    defence : str
        A key of `DEFENCES`.
    rank : int or "auto"
    quick : bool
        Use the faster solver where verdict and refinement do not depend on it.

    Returns
    -------
    Trial

    Examples
    --------
    >>> trial = evaluate(AttackPlan((Tactic(size=100),)), ProblemSpec(), "fedavg")
    >>> trial.harm > 10
    True
    """
    problem = sample_problem(spec, plan or HONEST)
    estimates, flagged = DEFENCES[defence].run(problem.updates, rank, quick)
    typical = float(np.sqrt(spec.rank * (1 + spec.heterogeneity**2)))
    least = max(_rmse(_oracle(problem, defence), problem), ROUNDING * typical)
    return Trial(
        seed=spec.seed,
        harm=_rmse(estimates, problem) / least,
        detection=detection_scores(flagged, problem.contaminated),
        held=problem.contaminated,
        flagged=flagged,
    )


def _oracle(problem: Problem, defence: str) -> np.ndarray:
    pooling = DEFENCES[defence].pooling
    return refine([problem.updates], [problem.subspace], ~problem.contaminated, pooling=pooling)[0]


def _rmse(estimates: np.ndarray, problem: Problem) -> float:
    honest = ~problem.contaminated
    errors = block_norms(estimates[honest] - problem.true_updates[honest])
    return float(np.sqrt(np.mean(errors**2)))
