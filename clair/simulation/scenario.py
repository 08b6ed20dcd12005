"""One scenario of the matrix model from its settings to everything a page shows of it.

The settings are a small frozen value, so they can key a cache, a link or a report.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clair.baselines import MethodError, compare
from clair.method.fit import ClairFit, fit
from clair.method.metrics import DetectionScores, detection_scores, principal_angles
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.matrix_model import Problem, ProblemSpec, sample_halves, sample_problem

#: Method that each pooling runs.
CHOSEN = {"none": "clair", "eb": "clair_eb", "halves": "clair_halves"}


@dataclass(frozen=True)
class Scenario:
    """A problem and the options CLAIR meets it with.

    Attributes
    ----------
    spec : ProblemSpec
        What is drawn, seed included.
    rank, solver, side, pooling, detector, polish, screen_coefficients
        As in `clair.fit`; with pooling "halves" every client also sends two half-data updates.
    threshold : float or "auto"
        As in `clair.fit`.
    plan : AttackPlan, optional
        What the poisoned clients do instead of the attack that `spec` names.
    """

    spec: ProblemSpec = field(default_factory=ProblemSpec)
    rank: int | str = "auto"
    solver: str = "convex"
    side: str = "output"
    pooling: str = "none"
    detector: str = "residual"
    threshold: float | str = "auto"
    polish: bool = True
    screen_coefficients: bool = False
    plan: AttackPlan | None = None

    @property
    def fit_options(self) -> dict[str, Any]:
        """Keyword arguments of `clair.fit`."""
        return {
            "rank": self.rank,
            "solver": self.solver,
            "side": self.side,
            "pooling": self.pooling,
            "detector": self.detector,
            "threshold": self.threshold,
            "polish": self.polish,
            "screen_coefficients": self.screen_coefficients,
        }


@dataclass(frozen=True)
class ScenarioResult:
    """The results of a scenario, and the truth that no method has seen.

    Attributes
    ----------
    scenario : Scenario
    problem : Problem
    fit : ClairFit
    errors : tuple of MethodError
        Error over the truly benign clients, by method.
    detection : DetectionScores
    angles : ndarray of shape (min(fit.rank, spec.rank),) or None
        Principal angles between recovered and true subspace in degrees, ascending; None with
        ``side="input"``, where this model has no true subspace.
    poisoned_left : int
        How many poisoned clients of the draw are missing (`without_poisoned`).
    """

    scenario: Scenario
    problem: Problem
    fit: ClairFit
    errors: tuple[MethodError, ...]
    detection: DetectionScores
    angles: np.ndarray | None
    poisoned_left: int = 0

    def error_of(self, method: str) -> MethodError:
        """Look up the errors of one method.

        Raises
        ------
        KeyError
            If the method was not compared.
        """
        for entry in self.errors:
            if entry.method == method:
                return entry
        raise KeyError(method)

    @property
    def chosen(self) -> str:
        """Key of the CLAIR variant the options ask for."""
        return CHOSEN[self.scenario.pooling]


def run_scenario(scenario: Scenario) -> ScenarioResult:
    """Draw the problem, fit CLAIR and compare it with every other method.

    Examples
    --------
    >>> result = run_scenario(Scenario())
    >>> result.detection.exact
    True
    """
    problem = sample_problem(scenario.spec, scenario.plan)
    halves = sample_halves(problem) if scenario.pooling == "halves" else None
    return _judged(scenario, problem, halves)


def _judged(
    scenario: Scenario, problem: Problem, halves: tuple[np.ndarray, np.ndarray] | None
) -> ScenarioResult:
    fitted = fit(problem.updates, halves=halves, **scenario.fit_options)
    same_side = scenario.side == "output"
    return ScenarioResult(
        scenario=scenario,
        problem=problem,
        fit=fitted,
        errors=compare(problem, result=fitted, halves=halves),
        detection=detection_scores(fitted.flagged, problem.contaminated, fitted.suspect),
        angles=principal_angles(fitted.subspace, problem.subspace) if same_side else None,
    )


def without_poisoned(result: ScenarioResult) -> ScenarioResult:
    """Judge the same problem anew without its poisoned clients.

    Raises
    ------
    ValueError
        If fewer than three clients would stay.
    """
    full, stays = result.problem, ~result.problem.contaminated
    if stays.sum() < 3:
        raise ValueError(f"honest clients must be at least 3, got {stays.sum()}")
    problem = replace(
        full,
        updates=full.updates[stays],
        true_updates=full.true_updates[stays],
        contaminated=full.contaminated[stays],
    )
    halves = None
    if result.scenario.pooling == "halves":
        first, second = sample_halves(full)
        halves = first[stays], second[stays]
    alone = _judged(result.scenario, problem, halves)
    return replace(alone, poisoned_left=int((~stays).sum()))
