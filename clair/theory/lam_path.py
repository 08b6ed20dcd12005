"""The convex program along lambda: where it recovers exactly, against where theory says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clair._threads import single_blas_thread
from clair.method.certificate import Certificate, certify
from clair.method.detection import detect_updates
from clair.method.linalg import block_grams, block_norms
from clair.method.solvers import Decomposition, decompose
from clair.method.window import lam_window
from clair.simulation.matrix_model import Problem

#: A contamination norm below this share of a typical update counts as zero.
SUPPORT = 1e-4
#: Largest relative recovery error that counts as exact.
EXACT = 1e-3
_TOL = 1e-5
_PROOF_TOL = 1e-10
_MAX_ITER = 400


def compress(blocks: np.ndarray) -> np.ndarray:
    """Leave out the null directions of client blocks on the input side.

    ``X_k = thin_k @ right_k.T`` with orthonormal right_k: nuclear norm, block norms and the
    optimum of the convex program are those of the full blocks.

    Parameters
    ----------
    blocks : ndarray of shape (n_clients, d, b)

    Returns
    -------
    ndarray of shape (n_clients, d, c)
        c is the largest numerical rank of a block.
    """
    left, values, _ = np.linalg.svd(blocks, full_matrices=False)
    rank = max(1, int((values > 1e-10 * max(float(values.max()), 1e-300)).sum(axis=1).max()))
    thin: np.ndarray = left[:, :, :rank] * values[:, None, :rank]
    return thin


@dataclass(frozen=True)
class LamPoint:
    """The convex program at one lambda.

    Attributes
    ----------
    lam : float
    error : float
        How far the split is from the true one, relative to the size of the data: honest blocks
        against their low-rank part, contaminated ones by what their low-rank part has off the true
        subspace. Below `EXACT` the recovery is exact.
    flagged : ndarray of bool, shape (n_clients,)
        The clients whose block of S is not zero.
    right_set : bool
        Whether exactly the contaminated clients are flagged.
    """

    lam: float
    error: float
    flagged: np.ndarray
    right_set: bool

    @property
    def exact(self) -> bool:
        """Right set and right split."""
        return self.right_set and self.error < EXACT


@dataclass(frozen=True)
class LamPath:
    """Results along lambda beside the window predicted from the truth.

    Attributes
    ----------
    points : tuple of LamPoint
        In increasing lambda.
    window : tuple of float
        (lam_min, lam_max) of the true split.
    """

    points: tuple[LamPoint, ...]
    window: tuple[float, float]

    @property
    def measured(self) -> tuple[float, float] | None:
        """Smallest and largest lambda with exact recovery, None if there is none."""
        exact = [point.lam for point in self.points if point.exact]
        return (exact[0], exact[-1]) if exact else None


def solve_at(
    problem: Problem, lam: float, thin: np.ndarray | None = None, tol: float = _TOL
) -> tuple[LamPoint, Decomposition]:
    """Solve the convex program at one lambda and compare with the truth.

    Parameters
    ----------
    problem : Problem
    lam : float
        > 0.
    thin : ndarray, optional
        ``compress(problem.updates)`` if it is at hand.
    tol : float
        Of the solver.
    """
    blocks = compress(problem.updates) if thin is None else thin
    with single_blas_thread():
        split = decompose([blocks], lam, tol=tol, max_iter=_MAX_ITER)
    low, rest = split.low_rank[0], split.contamination[0]
    sizes = block_norms(blocks)
    flagged = block_norms(rest) > SUPPORT * float(np.median(sizes))
    truth, basis = problem.contaminated, problem.subspace
    astray = low[truth] - basis @ (basis.T @ low[truth])
    missing = rest[~truth]  # without noise an honest block belongs to L as it is
    error = np.sqrt(np.sum(astray**2) + np.sum(missing**2)) / np.sqrt(np.sum(sizes**2))
    return LamPoint(lam, float(error), flagged, bool((flagged == truth).all())), split


def lam_grid(window: tuple[float, float]) -> tuple[float, ...]:
    """Choose values of lambda around a window: dense at its ends, reaching beyond both.

    Parameters
    ----------
    window : tuple of float
        Finite ends.
    """
    low, high = sorted(window)
    around_low = low * np.array([0.6, 0.78, 0.9, 0.97, 1.03, 1.1])
    around_high = high * np.array([0.9, 0.97, 1.03, 1.1, 1.28, 1.6])
    between = np.geomspace(low, high, 6)[1:-1]
    lams = np.concatenate([around_low, around_high, between])
    return tuple(float(lam) for lam in np.unique(lams.round(6)))


def lam_path(problem: Problem, lams: Sequence[float]) -> LamPath:
    """Solve the convex program at each lambda.

    Parameters
    ----------
    problem : Problem
    lams : sequence of float
        > 0.
    """
    thin = compress(problem.updates)
    points = tuple(solve_at(problem, lam, thin)[0] for lam in sorted(lams))
    window = lam_window([problem.updates], [problem.subspace], problem.contaminated)
    return LamPath(points, window)


@dataclass(frozen=True)
class Proof:
    """The convex program at one lambda, and what it proves about a claimed set.

    Attributes
    ----------
    point : LamPoint
    split : Decomposition
    certificate : Certificate
        For the claimed set.
    claimed : ndarray of bool, shape (n_clients,)
        The clients that the detector flags or takes for merely noisy; a server knows them without
        the truth.
    directions : int
        Rank of L.
    """

    point: LamPoint
    split: Decomposition
    certificate: Certificate
    claimed: np.ndarray
    directions: int

    @property
    def holds(self) -> bool:
        """Whether the split is proven to be the only optimum, with exactly the claimed in S."""
        return self.certificate.holds and bool((self.claimed == self.point.flagged).all())


def certificate_at(problem: Problem, lam: float) -> Proof:
    """Solve at one lambda and check the proof for the clients that the detector flags."""
    point, split = solve_at(problem, lam, tol=_PROOF_TOL)
    with single_blas_thread():
        verdict = detect_updates(problem.updates, problem.spec.rank)
        claimed = ~verdict.benign | verdict.noisy
        proof = certify(split, claimed)
        spectrum = np.linalg.eigvalsh(block_grams(split.low_rank[0]).sum(axis=0))
    assert proof is not None  # the convex solver always has a dual variable
    directions = int(np.sum(spectrum > 1e-9 * max(float(spectrum[-1]), 1e-300)))
    if np.linalg.norm(split.low_rank[0]) < 1e-6 * np.linalg.norm(problem.updates):
        directions = 0
    return Proof(point, split, proof, claimed, directions)
