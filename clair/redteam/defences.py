"""What the red team is up against, and what an attack costs honest clients there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from clair.aggregation import GlobalRule, assumed_attackers
from clair.method.concentration import SCORE_FLOOR
from clair.method.detection import detect
from clair.method.evidence import Evidence
from clair.method.fit import fit
from clair.method.linalg import block_grams, block_norms
from clair.method.metrics import DetectionScores, detection_scores
from clair.method.moments import normalised
from clair.method.refinement import principal_subspace, refine
from clair.method.updates import dense_core
from clair.methods import GLOBAL_RULES
from clair.redteam.former import former_evidence, former_refinement
from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.matrix_model import (
    Problem,
    ProblemSpec,
    sample_halves,
    sample_modules,
    sample_problem,
)

HONEST = AttackPlan((Tactic(),))
ROUNDING = 1e-6


class Sent(NamedTuple):
    """What a defence receives.

    Attributes
    ----------
    updates : dict of module to ndarray of shape (n_clients, d_out, d_in)
    halves : callable
        Makes the updates of all clients trained on either half of their data, a pair like
        `updates`. The attacker's clients send the same attack twice.
    """

    updates: dict[str, np.ndarray]
    halves: Callable[[], tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]


class Judged(NamedTuple):
    """What a defence makes of the updates.

    Attributes
    ----------
    estimates : dict of module to ndarray of shape (n_clients, d_out, d_in)
        What each client ends up with.
    flagged : ndarray of bool, shape (n_clients,)
    evidence : sequence of Evidence
        What it judged by; empty where it judges nobody.
    """

    estimates: Mapping[str, np.ndarray]
    flagged: np.ndarray
    evidence: Sequence[Evidence] = ()


class Defence(NamedTuple):
    """What the red team is up against.

    Attributes
    ----------
    label : str
        Name for people.
    run : callable
        ``run(sent, rank, quick)`` -> `Judged`; `quick` allows a faster way to the same estimates.
    pooling : str
        Pooling of the oracle that the defence is compared with.
    """

    label: str
    run: Callable[[Sent, int | str, bool], Judged]
    pooling: str = "none"


def _clair(
    sent: Sent, rank: int | str, quick: bool, *, same: bool = True, **options: Any
) -> Judged:
    # Where residuals judge and the subspace is polished, the solver affects nothing but the split.
    solver = "irls" if quick and same else "convex"
    if options.get("pooling") == "halves":
        options["halves"] = sent.halves()
    result = fit(sent.updates, rank, solver=solver, **options)
    estimates = {name: np.asarray(result.refined[name]) for name in sent.updates}
    return Judged(estimates, result.flagged, result.evidence)


def _former(sent: Sent, rank: int | str, quick: bool) -> Judged:
    number = _rank(sent, rank)
    ((name, updates),) = sent.updates.items()
    evidence = former_evidence(updates, number)
    estimates = former_refinement(updates, evidence.flagged, number)
    return Judged({name: estimates}, evidence.flagged, (evidence,))


def _rank(sent: Sent, rank: int | str) -> int:
    """Return the rank given, or the one that CLAIR chooses."""
    return int(rank) if rank != "auto" else fit(sent.updates, "auto", solver="irls").rank


def _pca(sent: Sent, rank: int | str, quick: bool) -> Judged:
    number, modules = _rank(sent, rank), list(sent.updates.values())
    everybody = np.ones(len(modules[0]), dtype=bool)
    bases = [principal_subspace(block_grams(updates), number) for updates in modules]
    refined = refine(modules, bases, everybody)
    return Judged(dict(zip(sent.updates, refined, strict=True)), ~everybody)


def _global(rule: GlobalRule, sent: Sent, rank: int | str, quick: bool) -> Judged:
    modules = list(sent.updates.values())
    n_clients = len(modules[0])
    flat = np.concatenate([updates.reshape(n_clients, -1) for updates in modules], axis=1)
    combined = rule(flat, assumed_attackers(n_clients))
    ends = np.cumsum([updates[0].size for updates in modules])[:-1]
    estimates = {
        name: np.broadcast_to(part.reshape(updates.shape[1:]), updates.shape)
        for (name, updates), part in zip(
            sent.updates.items(), np.split(combined, ends), strict=True
        )
    }
    return Judged(estimates, np.zeros(n_clients, dtype=bool))


DEFENCES: dict[str, Defence] = {
    "clair": Defence("CLAIR", _clair),
    "clair_eb": Defence("CLAIR + pooling", partial(_clair, pooling="eb"), "eb"),
    "clair_screen": Defence(
        "CLAIR + coefficient screen", partial(_clair, screen_coefficients=True)
    ),
    "clair_halves": Defence("CLAIR + halves", partial(_clair, pooling="halves")),
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
    n_modules: int = 1,
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
    n_modules : int
        Modules of every update, >= 1, see `clair.simulation.matrix_model.sample_modules`. With
        three and more, evidence of shape counts.
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
    modules = sample_modules(spec, n_modules, plan or HONEST)
    held = modules[0].contaminated
    judged = DEFENCES[defence].run(_sent(modules, np.ones(len(held), dtype=bool)), rank, quick)
    return Trial(
        seed=spec.seed,
        harm=_rmse(judged.estimates, modules, ~held) / _least(modules, defence),
        detection=detection_scores(judged.flagged, held),
        held=held,
        flagged=judged.flagged,
        suspicion=suspicion(judged.evidence or _evidence(modules), held),
    )


def harm_without(spec: ProblemSpec, defence: str = "clair", rank: int | str = "auto") -> float:
    """Compute the harm to updates of one module where the attacker's clients stay away.

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
    modules = (sample_problem(spec, HONEST),)
    honest = ~modules[0].contaminated
    judged = DEFENCES[defence].run(_sent(modules, honest), rank, False)
    everybody = {name: np.zeros(modules[0].updates.shape) for name in judged.estimates}
    for name, estimates in judged.estimates.items():
        everybody[name][honest] = estimates
    return _rmse(everybody, modules, honest) / _least(modules, defence)


def _sent(modules: Sequence[Problem], clients: np.ndarray) -> Sent:
    """Collect what some of the clients send."""
    names = [f"module {number}" for number in range(1, len(modules) + 1)]

    def halves() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        pairs = [sample_halves(problem) for problem in modules]
        first, second = (
            {name: pair[half][clients] for name, pair in zip(names, pairs, strict=True)}
            for half in (0, 1)
        )
        return first, second

    updates = {name: one.updates[clients] for name, one in zip(names, modules, strict=True)}
    return Sent(updates, halves)


def _evidence(modules: Sequence[Problem]) -> Sequence[Evidence]:
    """Collect the evidence that CLAIR has at the true rank."""
    moments = normalised([dense_core(problem.updates).moments for problem in modules])
    return detect(moments, modules[0].spec.rank).evidence


def _least(modules: Sequence[Problem], defence: str) -> float:
    """Compute the oracle's error, at least that of rounding."""
    spec, honest = modules[0].spec, ~modules[0].contaminated
    pooling = DEFENCES[defence].pooling
    updates, bases = ([getattr(one, part) for one in modules] for part in ("updates", "subspace"))
    oracle = refine(updates, bases, honest, pooling=pooling)
    typical = float(np.sqrt(len(modules) * spec.rank * (1 + spec.heterogeneity**2)))
    error = _rmse({str(m): estimates for m, estimates in enumerate(oracle)}, modules, honest)
    return max(error, ROUNDING * typical)


def _rmse(
    estimates: Mapping[str, np.ndarray], modules: Sequence[Problem], honest: np.ndarray
) -> float:
    """Compute the root mean square error of the honest clients, over all modules together."""
    squares = sum(
        block_norms(own[honest] - problem.true_updates[honest]) ** 2
        for own, problem in zip(estimates.values(), modules, strict=True)
    )
    return float(np.sqrt(np.mean(squares)))
