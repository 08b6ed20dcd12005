"""Small simulations along one setting, compared with the predictions; the Theory page draws them.

Each takes a base `ProblemSpec` and values of one field, and repeats over consecutive seeds. All
values share the draws of a seed, so curves are smooth where the truth is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from clair._threads import single_blas_thread
from clair.method.detection import Verdict, coefficient_screen, detect_updates
from clair.method.linalg import block_grams, leading_eigenvectors
from clair.method.metrics import DetectionScores, detection_scores, subspace_error
from clair.method.refinement import principal_subspace, refine
from clair.method.solvers import decompose, median_subspace
from clair.method.window import choose_lam, collapse_lam, lam_window
from clair.simulation.matrix_model import Problem, ProblemSpec, sample_problem
from clair.theory.lam_path import compress
from clair.theory.predictions import (
    PredictedErrors,
    predicted_errors,
    predicted_subspace_error,
)
from clair.theory.sets import exact_set_probability, score_model

#: Ways to a subspace that `stability` compares; "truth" is PCA on the truly benign clients.
ROUTES: tuple[str, ...] = ("convex", "irls", "polished", "truth")


@dataclass(frozen=True)
class Found:
    """A drawn problem and whom CLAIR's detector found in it.

    Attributes
    ----------
    problem : Problem
    grams : ndarray of shape (n_clients, d_out, d_out)
    verdict : Verdict
    """

    problem: Problem
    grams: np.ndarray
    verdict: Verdict

    @property
    def scores(self) -> DetectionScores:
        """Agreement with the truth."""
        return detection_scores(~self.verdict.benign, self.problem.contaminated)

    @property
    def learns_right(self) -> bool:
        """Whether exactly the honest clients have weight in the others' refined updates.

        Suspects have none, though they are not flagged.
        """
        return bool(np.array_equal(self.verdict.influence > 0, ~self.problem.contaminated))

    @property
    def basis(self) -> np.ndarray:
        """Subspace that `clair.fit` polishes, ndarray of shape (d_out, rank)."""
        weights = self.verdict.influence[:, None, None]
        return principal_subspace(weights * self.grams, self.problem.spec.rank)


@lru_cache(maxsize=16)  # remedies look at the same problems one after the other
def find(spec: ProblemSpec, rank: int | None = None) -> Found:
    """Draw a problem and run the detector, told the true rank unless `rank` is given."""
    return judged(sample_problem(spec), rank)


def judged(problem: Problem, rank: int | None = None) -> Found:
    """Run the detector, told the true rank unless `rank` is given."""
    with single_blas_thread():
        grams = block_grams(problem.updates)
        return Found(problem, grams, detect_updates(problem.updates, rank or problem.spec.rank))


@dataclass(frozen=True)
class Stability:
    """Subspace error along the noise.

    Attributes
    ----------
    noise : ndarray of shape (n,)
    error : dict of str to ndarray of shape (n,)
        Sine of the largest angle to the truth by route (`ROUTES`), in [0, 1]; 1 where the route
        has lost the subspace.
    predicted : ndarray of shape (n,)
        Of "truth".
    lost : ndarray of bool, shape (n,)
        Whether the convex program's L has fewer directions than the rank.
    collapsed : ndarray of bool, shape (n,)
        Whether lambda was below `clair.theory.collapse_lam`: then L is zero.
    exact : ndarray of bool, shape (n,)
        Whether the polish was done with exactly the honest clients.
    """

    noise: np.ndarray
    error: dict[str, np.ndarray]
    predicted: np.ndarray
    lost: np.ndarray
    collapsed: np.ndarray
    exact: np.ndarray


def stability(spec: ProblemSpec, noise: Sequence[float]) -> Stability:
    """Compute the subspace error of each route at each noise level, on one draw."""
    error = {route: np.empty(len(noise)) for route in ROUTES}
    fewer, collapsed, exact = (np.zeros(len(noise), dtype=bool) for _ in range(3))
    for i, sigma in enumerate(noise):
        found = find(replace(spec, noise=float(sigma)))
        problem, grams, heard = found.problem, found.grams, found.verdict.influence > 0
        blocks = compress(problem.updates)
        with single_blas_thread():
            kept = found.basis
            window = lam_window([problem.updates], [kept], ~heard)
            lam = choose_lam(window, spec.n_clients, spec.rank)
            split = decompose([blocks], lam, tol=1e-5, max_iter=200)
            low = block_grams(split.low_rank[0]).sum(axis=0)
            values = np.linalg.eigvalsh(low)
            fewer[i] = values[-spec.rank] <= 1e-10 * np.trace(grams.sum(axis=0))
            bases = {
                "convex": None if fewer[i] else leading_eigenvectors(low, spec.rank),
                "irls": median_subspace([grams], spec.rank, tol=1e-6)[0][0],
                "polished": kept,
                "truth": principal_subspace(grams[~problem.contaminated], spec.rank),
            }
        for route, basis in bases.items():
            error[route][i] = 1.0 if basis is None else subspace_error(basis, problem.subspace)
        collapsed[i] = lam < collapse_lam([blocks])
        exact[i] = found.learns_right
    predicted = [predicted_subspace_error(replace(spec, noise=float(s))) for s in noise]
    foretold = np.array(predicted)
    return Stability(np.asarray(noise, float), error, foretold, fewer, collapsed, exact)


@dataclass(frozen=True)
class Separation:
    """Scores of the two kinds of client along one setting.

    Attributes
    ----------
    values : ndarray of shape (n,)
    weakest, strongest : ndarray of shape (n, trials)
        Lowest score of a contaminated and highest of a benign client, over the median benign score.
    exact : ndarray of bool, shape (n, trials)
    harmless : ndarray of bool, shape (n, trials)
        Whether nobody learns from a contaminated client, flagged or not.
    predicted : ndarray of shape (n,)
        Probability of the exact set.
    separation : ndarray of shape (n,)
        Predicted ratio of a typical contaminated to a typical benign score.
    """

    values: np.ndarray
    weakest: np.ndarray
    strongest: np.ndarray
    exact: np.ndarray
    harmless: np.ndarray
    predicted: np.ndarray
    separation: np.ndarray


def separation(
    spec: ProblemSpec, name: str, values: Sequence[float], trials: int = 8
) -> Separation:
    """Compute scores and exact-set recovery as the field `name` takes `values`."""
    weakest, strongest = (np.full((len(values), trials), np.nan) for _ in range(2))
    exact, harmless = (np.zeros((len(values), trials), dtype=bool) for _ in range(2))
    specs = [replace(spec, **{name: v}) for v in values]  # type: ignore[arg-type]
    for i, point in enumerate(specs):
        for t in range(trials):
            found = find(replace(point, seed=spec.seed + t))
            bad, scores = found.problem.contaminated, found.verdict.scores
            # Without noise honest scores are nothing but rounding, so they count as equal.
            floor = 1e-9 * float(np.sqrt(np.median(np.einsum("kii->k", found.grams))))
            typical = max(float(np.median(scores[~bad])), floor)
            strongest[i, t] = max(scores[~bad].max(), floor) / typical
            if bad.any():
                weakest[i, t] = max(scores[bad].min(), floor) / typical
            exact[i, t] = found.scores.exact
            harmless[i, t] = not found.verdict.influence[bad].any()
    predicted = np.array([exact_set_probability(point) for point in specs])
    ratio = np.array([score_model(point).separation for point in specs])
    at = np.asarray(values, float)
    return Separation(at, weakest, strongest, exact, harmless, predicted, ratio)


#: Methods whose error `gain` measures.
GAIN_METHODS: tuple[str, ...] = ("local", "clair", "clair_eb", "clair_oracle")


@dataclass(frozen=True)
class Gain:
    """Error of the honest clients along one setting.

    Attributes
    ----------
    values : ndarray of shape (n,)
    measured : dict of str to ndarray of shape (n, trials)
        Root mean squared error over honest clients, by method (`GAIN_METHODS`).
    predicted : tuple of PredictedErrors
    exact : ndarray of bool, shape (n, trials)
        Whether exactly the honest clients counted; the predictions assume it.
    """

    values: np.ndarray
    measured: dict[str, np.ndarray]
    predicted: tuple[PredictedErrors, ...]
    exact: np.ndarray


def honest_errors(found: Found) -> dict[str, float]:
    """Compute the honest clients' root mean squared error by method, for one problem."""
    problem = found.problem
    benign, truth = found.verdict.benign, ~problem.contaminated
    basis, counted = found.basis, found.verdict.influence
    estimates = {
        "local": problem.updates,
        "clair": refine([problem.updates], [basis], benign, influence=counted)[0],
        "clair_eb": refine([problem.updates], [basis], benign, pooling="eb", influence=counted)[0],
        "clair_oracle": refine([problem.updates], [problem.subspace], truth)[0],
    }
    away = {key: (value - problem.true_updates)[truth] for key, value in estimates.items()}
    return {k: float(np.sqrt(np.mean(np.sum(v**2, axis=(1, 2))))) for k, v in away.items()}


def gain(spec: ProblemSpec, name: str, values: Sequence[float], trials: int = 4) -> Gain:
    """Measure and predict errors as the field `name` takes `values`."""
    measured = {method: np.empty((len(values), trials)) for method in GAIN_METHODS}
    exact = np.zeros((len(values), trials), dtype=bool)
    specs = [replace(spec, **{name: v}) for v in values]  # type: ignore[arg-type]
    for i, point in enumerate(specs):
        for t in range(trials):
            found = find(replace(point, seed=spec.seed + t))
            with single_blas_thread():
                errors = honest_errors(found)
            for method, value in errors.items():
                measured[method][i, t] = value
            exact[i, t] = found.learns_right
    predicted = tuple(predicted_errors(point) for point in specs)
    return Gain(np.asarray(values, float), measured, predicted, exact)


@dataclass(frozen=True)
class Remedy:
    """Something tried against a blind spot, and what it costs.

    Attributes
    ----------
    key : str
    found : ndarray of shape (trials,)
        Share of the contaminated clients that were flagged.
    wrong : ndarray of shape (trials,)
        Share of the honest clients flagged in the same problems.
    wrong_clean : ndarray of shape (trials,)
        Share of the clients flagged when the same clients are all honest.
    """

    key: str
    found: np.ndarray
    wrong: np.ndarray
    wrong_clean: np.ndarray


#: Remedies: none, screening coefficients, twice the clients, one rank less, contamination norms.
REMEDIES: tuple[str, ...] = ("none", "screen", "clients", "rank", "norms")
MAX_CLIENTS = 50


def remedy(spec: ProblemSpec, key: str, trials: int = 8) -> Remedy:
    """Try one remedy, on contaminated problems and on clean ones of the same seeds.

    Parameters
    ----------
    spec : ProblemSpec
    key : str
        One of `REMEDIES`. "clients" doubles them (at most `MAX_CLIENTS`), "rank" gives the detector
        one direction less (at least 1), "norms" flags by contamination norms (the convex program).
    trials : int
    """
    if key == "clients":
        spec = replace(spec, n_clients=min(2 * spec.n_clients, MAX_CLIENTS))
    result = np.zeros((3, trials))
    for t in range(trials):
        seeded = replace(spec, seed=spec.seed + t)
        scores = _with_remedy(seeded, key)
        result[0, t], result[1, t] = scores.recall, _false_share(scores, spec.n_clients)
        clean = _with_remedy(replace(seeded, poisoned_fraction=0.0), key)
        result[2, t] = _false_share(clean, spec.n_clients)
    return Remedy(key, *result)


def _false_share(scores: DetectionScores, n_clients: int) -> float:
    return scores.false_alarms / (n_clients - scores.n_contaminated)


def _with_remedy(spec: ProblemSpec, key: str) -> DetectionScores:
    if key == "norms":
        from clair.method.fit import fit

        problem = sample_problem(spec)
        result = fit(problem.updates, spec.rank, detector="norms", tol=1e-4)
        return detection_scores(result.flagged, problem.contaminated)
    found = find(spec, max(1, spec.rank - 1) if key == "rank" else None)
    if key != "screen":
        return found.scores
    kept = coefficient_screen([found.basis.T @ found.problem.updates], found.verdict.benign)
    return detection_scores(~kept, found.problem.contaminated)
