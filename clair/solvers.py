"""Splitting stacked updates into low rank plus block sparse, and fitting a robust subspace.

Two solvers of one problem. `decompose` solves the convex program

    minimise  sum_m ||L^m||_*  +  lam * sum_k sqrt(sum_m ||S_k^m||_F^2)   subject to  L + S = M

(Outlier Pursuit of Xu, Caramanis, Sanghavi 2012 with blocks of columns, joint over modules m) by
the alternating direction method of multipliers. `median_subspace` minimises the sum of distances
of the client blocks to a subspace (Lerman, Maunu 2018) by iteratively reweighted PCA.

Both know nothing of synthetic data or of who is contaminated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clair.cancellation import checkpoint
from clair.eigen import LARGE, krylov_eigenpairs, leading_eigenpairs
from clair.linalg import (
    block_norms,
    block_soft_threshold,
    hstack_blocks,
    singular_value_threshold,
    split_blocks,
)
from clair.scatter import Moments, as_scatters

OVER_RELAXATION = 1.6
PENALTY_STEP = 2.0
BALANCE = 5.0


@dataclass(frozen=True)
class IterationRecord:
    """State of a solver after one iteration.

    Attributes
    ----------
    iteration : int
        From 1.
    objective : float
        Value of the program at the current (L, S), or the sum of distances for IRLS.
    primal_residual, dual_residual : float
        Relative, >= 0; the solver stops when both are below ``tol``.
    penalty : float
        The ADMM penalty, or the smoothing of IRLS.
    singular_values : ndarray of shape (d,)
        Of the low-rank part of the first module (zeros included), descending.
    block_norms : ndarray of shape (n_clients,)
        Contamination norms, joint over modules.
    """

    iteration: int
    objective: float
    primal_residual: float
    dual_residual: float
    penalty: float
    singular_values: np.ndarray
    block_norms: np.ndarray

    def scaled(self, unit: float) -> IterationRecord:
        """The record of the same iteration on updates `unit` times as large."""
        if unit == 1:
            return self
        return replace(
            self,
            objective=unit * self.objective,
            penalty=self.penalty / unit,
            singular_values=unit * self.singular_values,
            block_norms=unit * self.block_norms,
        )


@dataclass(frozen=True)
class Decomposition:
    """Low rank plus block sparse.

    Attributes
    ----------
    low_rank, contamination : tuple of ndarray, each of shape (n_clients, d, b)
        One entry a module; their sum is the input up to the tolerance.
    dual : tuple of ndarray of the same shapes, or None
        The multiplier Q of ``L + S = M``; None from IRLS, which has none.
    lam : float
    objective : float
    status : {"converged", "max_iter"}
    n_iter : int
    history : tuple of IterationRecord
    """

    low_rank: tuple[np.ndarray, ...]
    contamination: tuple[np.ndarray, ...]
    dual: tuple[np.ndarray, ...] | None
    lam: float
    objective: float
    status: str
    n_iter: int
    history: tuple[IterationRecord, ...]


Progress = Callable[[IterationRecord], None]


def joint_norms(modules: Sequence[np.ndarray]) -> np.ndarray:
    """Norm of each client over all modules, ndarray of shape (n_clients,)."""
    if len(modules) == 1:
        return block_norms(modules[0])
    joint: np.ndarray = np.sqrt(sum(block_norms(blocks) ** 2 for blocks in modules))
    return joint


def _norm(modules: Sequence[np.ndarray]) -> float:
    return float(np.sqrt(sum(np.vdot(module, module) for module in modules)))


def decompose(
    modules: Sequence[np.ndarray],
    lam: float,
    *,
    tol: float = 1e-7,
    max_iter: int = 500,
    progress: Progress | None = None,
) -> Decomposition:
    """Solve the convex program by ADMM with over-relaxation and residual balancing.

    Parameters
    ----------
    modules : sequence of ndarray, each of shape (n_clients, d, b)
        The client blocks of each module; shapes may differ between modules.
    lam : float
        Weight of the contamination, > 0.
    tol : float
        Bound on the relative primal and dual residual.
    max_iter : int
    progress : callable, optional
        Receives an `IterationRecord` after each iteration.

    Returns
    -------
    Decomposition
        ``status`` is "max_iter" if the tolerance was not reached.

    References
    ----------
    Xu, Caramanis, Sanghavi, Robust PCA via Outlier Pursuit, IEEE Trans. Inf. Theory 2012 (program);
    Boyd et al., Distributed optimization and statistical learning via ADMM, 2011, sections 3.3 and
    3.4.1 (stopping rule and residual balancing) and 3.4.3 (over-relaxation).
    """
    n_clients = len(modules[0])
    M = [hstack_blocks(blocks) for blocks in modules]
    size = max(_norm(M), np.finfo(float).tiny)
    # A threshold of a few per cent of the largest singular value moves the spectrum at once.
    top = max(float(np.sqrt(np.linalg.eigvalsh(m @ m.T)[-1])) for m in M)
    penalty = 10.0 / top if top > 0 else 1.0
    S = [np.zeros_like(m) for m in M]
    dual = [np.zeros_like(m) for m in M]
    shrink = [_Shrinkage() for _ in M]
    history: list[IterationRecord] = []
    status = "max_iter"
    L: list[np.ndarray] = M

    for iteration in range(1, max_iter + 1):
        shrunk = [
            threshold(m - s + y / penalty, 1.0 / penalty)
            for threshold, m, s, y in zip(shrink, M, S, dual, strict=True)
        ]
        L = [low for low, _ in shrunk]
        relaxed = [
            OVER_RELAXATION * low + (1 - OVER_RELAXATION) * (m - s)
            for low, m, s in zip(L, M, S, strict=True)
        ]
        target = [m - low + y / penalty for m, low, y in zip(M, relaxed, dual, strict=True)]
        norms = joint_norms([split_blocks(t, n_clients) for t in target])
        factors = block_soft_threshold(norms, lam / penalty)
        previous = S
        S = [t * np.repeat(factors, t.shape[1] // n_clients) for t in target]
        dual = [penalty * (t - s) for t, s in zip(target, S, strict=True)]
        gap = _norm([m - low - s for m, low, s in zip(M, L, S, strict=True)])
        # By how much the multiplier that makes L optimal and the one that makes S optimal differ;
        # with over-relaxation they do even where S stands still.
        moved = _norm(
            [
                s - p + (1 - OVER_RELAXATION) * (m - low - p)
                for s, p, m, low in zip(S, previous, M, L, strict=True)
            ]
        )
        primal_residual = gap / size
        dual_residual = penalty * moved / max(_norm(dual), np.finfo(float).tiny)
        record = IterationRecord(
            iteration,
            float(sum(values.sum() for _, values in shrunk) + lam * (factors * norms).sum()),
            primal_residual,
            dual_residual,
            penalty,
            shrunk[0][1],
            factors * norms,
        )
        history.append(record)
        if progress is not None:
            progress(record)
        if max(primal_residual, dual_residual) < tol:
            if all(threshold.exact for threshold in shrink):
                status = "converged"
                break
            # Nothing above the threshold may have been overlooked: once more in full.
            shrink = [_Shrinkage(exact=True) for _ in M]
        elif primal_residual > BALANCE * dual_residual:
            penalty *= PENALTY_STEP
        elif dual_residual > BALANCE * primal_residual:
            penalty /= PENALTY_STEP

    return Decomposition(
        tuple(split_blocks(low, n_clients) for low in L),
        tuple(split_blocks(s, n_clients) for s in S),
        tuple(split_blocks(y, n_clients) for y in dual),
        lam,
        history[-1].objective,
        status,
        len(history),
        tuple(history),
    )


class _Shrinkage:
    """Singular value thresholding of a slowly changing matrix, from the last step's subspace.

    Large matrices of which few singular values exceed the threshold are not decomposed in full;
    `exact` says whether the latest result came from a full decomposition.
    """

    def __init__(self, *, exact: bool = False) -> None:
        self.exact = exact
        self._always = exact
        self._basis: np.ndarray | None = None

    def __call__(self, matrix: np.ndarray, tau: float) -> tuple[np.ndarray, np.ndarray]:
        checkpoint()
        d = len(matrix)
        if d < LARGE or self._always:
            self.exact = True
            return singular_value_threshold(matrix, tau)
        size = 2 if self._basis is None else self._basis.shape[1] + 1
        found = None
        while found is None and 5 * (size + 4) <= d:
            found = krylov_eigenpairs(
                lambda x: matrix @ (matrix.T @ x), d, size, self._basis, above=tau**2
            )
            if found is not None and found[0][size - 1] > tau**2:
                self._basis, found, size = found[1], None, 2 * size
            elif found is None:
                break
        self.exact = found is None
        if found is None:
            return singular_value_threshold(matrix, tau)
        values = np.sqrt(np.maximum(found[0], 0.0))
        kept = int(np.sum(values > tau))
        basis = found[1][:, :kept]
        self._basis = found[1][:, : max(kept, 1)]
        shrunk = np.zeros(d)
        shrunk[:kept] = values[:kept] - tau
        factors = shrunk[:kept] / values[:kept]
        return basis @ (factors[:, None] * (basis.T @ matrix)), shrunk


def median_subspace(
    grams: Sequence[Moments],
    rank: int,
    *,
    tol: float = 1e-9,
    max_iter: int = 60,
    progress: Progress | None = None,
    coarse: bool = False,
) -> tuple[tuple[np.ndarray, ...], tuple[IterationRecord, ...], str]:
    """Subspace that minimises the sum of distances of the client blocks (fast median subspace).

    Parameters
    ----------
    grams : sequence of Scatter, or of ndarray of shape (n_clients, d, d)
        Client blocks or their Gram matrices, one entry a module; a client's distance is joint over
        modules.
    rank : int
    tol : float
        Relative decrease of the objective below which to stop.
    max_iter : int
    progress : callable, optional
    coarse : bool
        Leave large eigenproblems at seven digits of the energy: enough for a pilot.

    Returns
    -------
    subspaces : tuple of ndarray of shape (d, rank)
    history : tuple of IterationRecord
        ``penalty`` holds the smoothing, ``singular_values`` those of the weighted first module, as
        many as were computed.
    status : {"converged", "max_iter"}

    References
    ----------
    Lerman, Maunu, Fast, robust and non-convex subspace recovery, Information and Inference 2018.
    """
    scatters = as_scatters(grams)
    energy = np.sum([scatter.energy for scatter in scatters], axis=0)
    # A zero update lies in every subspace; the floor keeps its weight finite.
    floor = 1e-10 * float(np.sqrt(np.median(energy))) + np.finfo(float).tiny
    weights = np.ones(scatters[0].n_clients)
    history: list[IterationRecord] = []
    previous, status = np.inf, "max_iter"
    subspaces: list[np.ndarray | None] = [None] * len(scatters)
    for iteration in range(1, max_iter + 1):
        pairs = [
            leading_eigenpairs(scatter.weighted(weights), rank, basis, coarse=coarse)
            for scatter, basis in zip(scatters, subspaces, strict=True)
        ]
        subspaces = [basis for _, basis in pairs]
        distances = np.sqrt(
            sum(scatter.outside(basis) for scatter, (_, basis) in zip(scatters, pairs, strict=True))
        )
        objective = float(distances.sum())
        change = abs(previous - objective) / max(objective, floor)
        values = np.sqrt(np.maximum(pairs[0][0], 0.0))
        record = IterationRecord(iteration, objective, change, 0.0, floor, values, distances)
        history.append(record)
        if progress is not None:
            progress(record)
        if change < tol:
            status = "converged"
            break
        previous = objective
        weights = 1 / np.maximum(distances, floor)
        weights /= weights.max()
    return tuple(basis for _, basis in pairs), tuple(history), status
