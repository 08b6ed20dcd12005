"""One scenario of the matrix model from its settings to everything a page shows of it.

The settings are a small frozen value, so they can key a cache, a link or a report.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clair._validation import check_integer
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
    honest_left, poisoned_left : int
        How many honest and poisoned clients of the draw are missing (`without_honest`,
        `without_poisoned`).
    """

    scenario: Scenario
    problem: Problem
    fit: ClairFit
    errors: tuple[MethodError, ...]
    detection: DetectionScores
    angles: np.ndarray | None
    honest_left: int = 0
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
    return _judged(scenario, problem, _halves(scenario, problem))


def _halves(scenario: Scenario, problem: Problem) -> tuple[np.ndarray, np.ndarray] | None:
    return sample_halves(problem) if scenario.pooling == "halves" else None


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


def without_honest(result: ScenarioResult, leave: int) -> ScenarioResult:
    """Judge the same problem anew after some honest clients have left.

    This can leave a lying majority, which a `ProblemSpec` alone cannot describe.

    Parameters
    ----------
    result : ScenarioResult
        Of `run_scenario`.
    leave : int
        How many of the honest clients leave, the last ones first; >= 1, and two must stay.

    Raises
    ------
    ValueError
        If fewer than two honest clients or three clients would stay.
    """
    full = result.problem
    honest = np.flatnonzero(~full.contaminated)
    most = min(honest.size - 2, full.contaminated.size - 3)
    leave = check_integer("honest_leave", leave, minimum=1)
    if leave > most:
        raise ValueError(
            f"honest_leave must be at most {most} for {honest.size} honest clients "
            f"of {full.contaminated.size}, got {leave}"
        )
    stays = np.ones(full.contaminated.size, dtype=bool)
    stays[honest[-leave:]] = False
    return replace(_of_those(result, stays), honest_left=leave)


def without_poisoned(result: ScenarioResult) -> ScenarioResult:
    """Judge the same problem anew without its poisoned clients.

    Raises
    ------
    ValueError
        If fewer than three clients would stay.
    """
    stays = ~result.problem.contaminated
    if stays.sum() < 3:
        raise ValueError(f"honest clients must be at least 3, got {stays.sum()}")
    return replace(_of_those(result, stays), poisoned_left=int((~stays).sum()))


def _of_those(result: ScenarioResult, stays: np.ndarray) -> ScenarioResult:
    """Judge the clients that stay."""
    full = result.problem
    problem = replace(
        full,
        updates=full.updates[stays],
        true_updates=full.true_updates[stays],
        contaminated=full.contaminated[stays],
    )
    halves = _halves(result.scenario, full)
    if halves is not None:
        halves = halves[0][stays], halves[1][stays]
    return _judged(result.scenario, problem, halves)
