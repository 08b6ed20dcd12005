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

from clair.method.admm import OVER_RELAXATION, ModuleState
from clair.method.eigen import leading_eigenpairs
from clair.method.linalg import block_norms, block_soft_threshold, median
from clair.method.moments import GramsOrMoments, as_moments

PENALTY_STEP = 2.0
BALANCE = 5.0
# A square computed as a difference of larger terms is partly rounding below this share of them.
CANCELLATION = 1e-13


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
        """Convert the record to that of the same iteration on updates `unit` times as large."""
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
    """Compute each client's norm over all modules, ndarray of shape (n_clients,)."""
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
    solver = SplitSolver(modules, lam)
    solver.run(tol=tol, max_iter=max_iter, progress=progress)
    return solver.result()


class SplitSolver:
    """`decompose` in instalments: a run to a loose tolerance can be carried on to a tight one.

    Parameters
    ----------
    modules : sequence of ndarray, each of shape (n_clients, d, b)
    lam : float
        As of `decompose`.
    """

    def __init__(self, modules: Sequence[np.ndarray], lam: float) -> None:
        self.lam = lam
        self._states = [ModuleState(blocks) for blocks in modules]
        self._size = max(_norm(modules), np.finfo(float).tiny)
        # A threshold of a few per cent of the largest singular value moves the spectrum at once.
        top = max(state.largest() for state in self._states)
        self._penalty = 10.0 / top if top > 0 else 1.0
        self._factors = np.zeros(len(modules[0]))
        self._share = np.zeros(len(modules[0]))
        self._squares = np.zeros((3, len(modules[0])))
        self._history: list[IterationRecord] = []
        self._status = "max_iter"
        # Of each module's low-rank part, descending, zeros included.
        self.singular_values: list[np.ndarray] = []

    def run(self, *, tol: float, max_iter: int, progress: Progress | None = None) -> None:
        """Iterate until both residuals are below `tol`; see `decompose`.

        Iterations of earlier runs count, and are reported to `progress` first.
        """
        history, self._status = self._history, "max_iter"
        if progress is not None:
            for record in history:
                progress(record)
        for state in self._states:
            state.insist(False)
        while True:
            if history and max(history[-1].primal_residual, history[-1].dual_residual) < tol:
                if all(state.exact for state in self._states):
                    self._status = "converged"
                    break
                # A partial decomposition may miss values above the threshold, so check in full.
                for state in self._states:
                    state.insist(True)
            elif history:
                self._balance(history[-1])
            if len(history) >= max_iter:
                break
            history.append(self._iterate())
            if progress is not None:
                progress(history[-1])

    def _balance(self, last: IterationRecord) -> None:
        """Choose the next step's penalty by the residuals of the last."""
        if last.primal_residual > BALANCE * last.dual_residual:
            self._penalty = last.penalty * PENALTY_STEP
        elif last.dual_residual > BALANCE * last.primal_residual:
            self._penalty = last.penalty / PENALTY_STEP

    def _iterate(self) -> IterationRecord:
        history, previous, penalty = self._history, self._factors, self._penalty
        if history:
            self._share = (1 - previous) * (history[-1].penalty / penalty)
        before = self._squares[2]
        values = self.singular_values = [
            state.step(previous, self._share, 1 / penalty) for state in self._states
        ]
        squares = self._states[0].squares.copy()
        for state in self._states[1:]:
            squares += state.squares
        self._squares = squares
        norms = np.sqrt(squares[2])
        factors = block_soft_threshold(norms, self.lam / penalty)
        self._factors = factors
        gap, moved = self._residuals(squares, before, previous)
        dual = penalty * float(np.sqrt((1 - factors) ** 2 @ squares[2]))
        return IterationRecord(
            len(history) + 1,
            float(sum(v.sum() for v in values) + self.lam * (factors @ norms)),
            gap / self._size,
            penalty * moved / max(dual, np.finfo(float).tiny),
            penalty,
            values[0],
            factors * norms,
        )

    def _residuals(
        self, squares: np.ndarray, before: np.ndarray, previous: np.ndarray
    ) -> tuple[float, float]:
        """Compute the norms of ``M - L - S`` and of the multipliers' difference over the penalty.

        The second is ``S - S_before + (1 - a) (M - L - S_before)``, a the over-relaxation: the
        multiplier that makes L optimal and the one that makes S optimal differ by it, with
        over-relaxation even where S stands still. Both follow from inner products of R = M - L
        and the states T, as S = f T and T = a R + own T_before, unless too much cancels.
        """
        a, f, e = OVER_RELAXATION, self._factors, previous
        b = 2 - a
        rest, across, now = squares
        own = self._share - (a - 1) * e
        rest_now = f @ (a * rest + own * across)
        before_now = (f * e) @ (a * across + own * before)
        whole, sent, sent_before = rest.sum(), (f * f) @ now, (e * e) @ before
        gap = whole - 2 * rest_now + sent
        size = sent + b**2 * sent_before + (a - 1) ** 2 * whole
        moved = size - 2 * b * before_now - 2 * (a - 1) * rest_now
        moved += 2 * b * (a - 1) * (e @ across)
        if gap <= CANCELLATION * (whole + sent):
            gap = sum(state.gap(f) for state in self._states)
        if moved <= CANCELLATION * size:
            moved = sum(state.moved(f, e) for state in self._states)
        return float(np.sqrt(gap)), float(np.sqrt(moved))

    def result(self) -> Decomposition:
        """Build the decomposition at the present iteration."""
        history, factors = self._history, self._factors
        pull = history[-1].penalty * (1 - factors)
        return Decomposition(
            tuple(state.low_rank() for state in self._states),
            tuple(state.scaled(factors) for state in self._states),
            tuple(state.scaled(pull) for state in self._states),
            self.lam,
            history[-1].objective,
            self._status,
            len(history),
            tuple(history),
        )


def median_subspace(
    grams: Sequence[GramsOrMoments],
    rank: int,
    *,
    tol: float = 1e-9,
    max_iter: int = 60,
    progress: Progress | None = None,
    coarse: bool = False,
) -> tuple[tuple[np.ndarray, ...], tuple[IterationRecord, ...], str]:
    """Find the subspace of least summed distance to the client blocks (fast median subspace).

    Parameters
    ----------
    grams : sequence of Moments, or of ndarray of shape (n_clients, d, d)
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
    moments = as_moments(grams)
    energy = np.sum([one.energy for one in moments], axis=0)
    # A zero update lies in every subspace; the floor keeps its weight finite.
    floor = 1e-10 * median(energy) ** 0.5 + np.finfo(float).tiny
    weights = np.ones(moments[0].n_clients)
    history: list[IterationRecord] = []
    previous, status = np.inf, "max_iter"
    subspaces: list[np.ndarray | None] = [None] * len(moments)
    for iteration in range(1, max_iter + 1):
        pairs = [
            leading_eigenpairs(one.weighted(weights), rank, basis, coarse=coarse)
            for one, basis in zip(moments, subspaces, strict=True)
        ]
        subspaces = [basis for _, basis in pairs]
        distances = np.sqrt(
            sum(one.outside(basis) for one, (_, basis) in zip(moments, pairs, strict=True))
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
