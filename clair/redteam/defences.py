"""What the red team is up against, and what an attack costs honest clients there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from clair.aggregation import GlobalRule, assumed_attackers
from clair.method.concentration import SCORE_FLOOR
from clair.method.detection import detect_updates
from clair.method.evidence import Evidence
from clair.method.fit import fit
from clair.method.linalg import block_grams, block_norms
from clair.method.metrics import DetectionScores, detection_scores
from clair.method.refinement import principal_subspace, refine
from clair.methods import GLOBAL_RULES
from clair.redteam.former import former_evidence, former_refinement
from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.matrix_model import Problem, ProblemSpec, sample_problem

HONEST = AttackPlan((Tactic(),))
ROUNDING = 1e-6


class Judged(NamedTuple):
    """What a defence makes of the updates.

    Attributes
    ----------
    estimates : ndarray of shape (n_clients, d_out, d_in)
        What each client ends up with.
    flagged : ndarray of bool, shape (n_clients,)
    evidence : sequence of Evidence
        What it judged by; empty where it judges nobody.
    """

    estimates: np.ndarray
    flagged: np.ndarray
    evidence: Sequence[Evidence] = ()


class Defence(NamedTuple):
    """What the red team is up against.

    Attributes
    ----------
    label : str
        Name for people.
    run : callable
        ``run(updates, rank, quick)`` -> `Judged`; `quick` allows a faster way to the same
        estimates.
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
    return Judged(np.asarray(result.refined), result.flagged, result.evidence)


def _former(updates: np.ndarray, rank: int | str, quick: bool) -> Judged:
    number = _rank(updates, rank)
    evidence = former_evidence(updates, number)
    estimates = former_refinement(updates, evidence.flagged, number)
    return Judged(estimates, evidence.flagged, (evidence,))


def _rank(updates: np.ndarray, rank: int | str) -> int:
    """Return the rank given, or the one that CLAIR chooses."""
    return int(rank) if rank != "auto" else fit(updates, "auto", solver="irls").rank


def _pca(updates: np.ndarray, rank: int | str, quick: bool) -> Judged:
    everybody = np.ones(len(updates), dtype=bool)
    basis = principal_subspace(block_grams(updates), _rank(updates, rank))
    return Judged(refine([updates], [basis], everybody)[0], ~everybody)


def _global(rule: GlobalRule, updates: np.ndarray, rank: int | str, quick: bool) -> Judged:
    flat = updates.reshape(len(updates), -1)
    combined = rule(flat, assumed_attackers(len(updates))).reshape(updates.shape[1:])
    return Judged(np.broadcast_to(combined, updates.shape), np.zeros(len(updates), dtype=bool))


DEFENCES: dict[str, Defence] = {
    "clair": Defence("CLAIR", _clair),
    "clair_eb": Defence("CLAIR + pooling", partial(_clair, pooling="eb"), "eb"),
    "clair_screen": Defence(
        "CLAIR + coefficient screen", partial(_clair, screen_coefficients=True)
    ),
    "clair_norms": Defence(
        "CLAIR, contamination norms", partial(_clair, same=False, detector="norms")
    ),
    "clair_former": Defence("CLAIR, former rule", _former),
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
    suspicion : float
        How far the attacker's clients stand out; see `suspicion`. Where the defence judges nobody,
        in the evidence that CLAIR would have at the true rank.
    """

    seed: int
    harm: float
    detection: DetectionScores
    held: np.ndarray
    flagged: np.ndarray
    suspicion: float


def suspicion(evidence: Sequence[Evidence], held: np.ndarray) -> float:
    """Compare the most suspicious of the attacker's clients with the most suspicious honest one.

    Parameters
    ----------
    evidence : sequence of Evidence
    held : ndarray of bool, shape (n_clients,)
        The attacker's clients.

    Returns
    -------
    float
        Ratio of their scores, the largest over all kinds of evidence that have a size; above 1 the
        attacker stands out, below 1 an honest client looks worse.
    """
    sized = [np.maximum(kind.scores, SCORE_FLOOR) for kind in evidence if kind.kind != "inside"]
    return max(float(scores[held].max() / scores[~held].max()) for scores in sized)


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
    judged = DEFENCES[defence].run(problem.updates, rank, quick)
    evidence = judged.evidence or detect_updates(problem.updates, spec.rank).evidence
    return Trial(
        seed=spec.seed,
        harm=_rmse(judged.estimates, problem) / _least(problem, defence),
        detection=detection_scores(judged.flagged, problem.contaminated),
        held=problem.contaminated,
        flagged=judged.flagged,
        suspicion=suspicion(evidence, problem.contaminated),
    )


def harm_without(spec: ProblemSpec, defence: str = "clair", rank: int | str = "auto") -> float:
    """Compute the harm where the attacker's clients stay away: what the defence does by itself.

    Parameters
    ----------
    spec : ProblemSpec
        At least three of its clients are honest.
    defence : str
    rank : int or "auto"

    Returns
    -------
    float
        Error of the honest clients over that of the oracle, as in `Trial`.
    """
    problem = sample_problem(spec, HONEST)
    honest = ~problem.contaminated
    alone = replace(
        problem,
        updates=problem.updates[honest],
        true_updates=problem.true_updates[honest],
        contaminated=problem.contaminated[honest],
    )
    judged = DEFENCES[defence].run(alone.updates, rank, False)
    return _rmse(judged.estimates, alone) / _least(problem, defence)


def _least(problem: Problem, defence: str) -> float:
    """Compute the oracle's error, at least that of rounding."""
    spec = problem.spec
    typical = float(np.sqrt(spec.rank * (1 + spec.heterogeneity**2)))
    return max(_rmse(_oracle(problem, defence), problem), ROUNDING * typical)


def _oracle(problem: Problem, defence: str) -> np.ndarray:
    pooling = DEFENCES[defence].pooling
    return refine([problem.updates], [problem.subspace], ~problem.contaminated, pooling=pooling)[0]


def _rmse(estimates: np.ndarray, problem: Problem) -> float:
    honest = ~problem.contaminated
    errors = block_norms(estimates[honest] - problem.true_updates[honest])
    return float(np.sqrt(np.mean(errors**2)))
