"""Solvers of the split M = L + S on compressed updates, behind the names that `fit` takes.

Another one is a frozen dataclass with the fields of these, `label` and `split`, in a file of its
own, and a line in `clair.method.choices`. Commands and controls list it by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from clair.method.certificate import STRICT, certify
from clair.method.solvers import Decomposition, Progress, SplitSolver, decompose, median_subspace
from clair.method.updates import CompressedUpdates

LAM_FACTOR = 1.2
LAM_RAISES = 8
ROUGH_TOL = 1e-3
# Directions holding less than this share of all energy do not count as directions of L.
EMPTY = 1e-12
LAM_RETRIES = 5
LAM_STEP = 1.05


@dataclass(frozen=True)
class SplitProblem:
    """What a solver is asked for.

    Attributes
    ----------
    modules : sequence of CompressedUpdates
    rank : int
        Directions that L should have in every module.
    lam : float
        Weight of the contamination, > 0.
    automatic : bool
        Whether the solver may take another weight.
    outliers : ndarray of bool, shape (n_clients,)
        Clients whose contamination is expected not to be zero.
    exact : bool
        Whether the other clients are free of noise.
    """

    modules: Sequence[CompressedUpdates]
    rank: int
    lam: float
    automatic: bool
    outliers: np.ndarray
    exact: bool


class Solver(Protocol):
    """A way to split the updates.

    Attributes
    ----------
    label : str
        Its name on a control.
    """

    label: ClassVar[str]

    def __init__(self, tol: float, max_iter: int) -> None:
        """Take the keywords of `fit` of these names."""

    def split(self, problem: SplitProblem, progress: Progress | None) -> Decomposition:
        """Split the updates of all modules."""


@dataclass(frozen=True)
class ConvexSplit:
    """The paper's convex program, solved by ADMM.

    Attributes
    ----------
    tol : float
        Relative primal and dual tolerance, > 0.
    max_iter : int
    """

    tol: float
    max_iter: int
    label: ClassVar[str] = "Convex"

    def split(self, problem: SplitProblem, progress: Progress | None) -> Decomposition:
        """Solve at the given weight, or at one near it where that may be chosen."""
        if not problem.automatic:
            return self._solve(problem, problem.lam, progress)
        found = self._without_collapse(problem, progress)
        return self._certified(problem, found, progress) if problem.exact else found

    def _solve(self, problem: SplitProblem, lam: float, progress: Progress | None) -> Decomposition:
        thin = [module.thin for module in problem.modules]
        return decompose(thin, lam, tol=self.tol, max_iter=self.max_iter, progress=progress)

    def _without_collapse(self, problem: SplitProblem, progress: Progress | None) -> Decomposition:
        """Solve at the weight, or at a larger one if L loses its subspace there.

        Noise narrows the window of weights that the noiseless theory promises: below some weight
        the low-rank part L loses its subspace, and the norms only rank clients by size.
        """
        thin = [module.thin for module in problem.modules]
        for trial in range(LAM_RAISES + 1):
            solver = SplitSolver(thin, problem.lam * LAM_FACTOR**trial)
            solver.run(tol=max(self.tol, ROUGH_TOL), max_iter=self.max_iter)
            if _collapsed(problem, solver.singular_values):
                continue
            solver.run(tol=self.tol, max_iter=self.max_iter, progress=progress)
            if trial or not _collapsed(problem, solver.singular_values):
                return solver.result()
        solver.run(tol=self.tol, max_iter=self.max_iter, progress=progress)
        return solver.result()

    def _certified(
        self, problem: SplitProblem, split: Decomposition, progress: Progress | None
    ) -> Decomposition:
        """Look for a proven optimal split at a nearby weight; keep the given one if none is.

        The estimated window is good to about 15 %, and close to one half contaminated the true one
        is narrower than that. Which end was missed can be read off the certificate.
        """
        found, low, high = split, 0.0, float("inf")
        for _ in range(LAM_RETRIES):
            certificate = certify(found, problem.outliers)
            if certificate is None or certificate.holds:
                return found
            if certificate.dual_feasibility >= STRICT:
                low = found.lam
            else:
                high = found.lam
            if low > 0 and high < float("inf"):
                lam = float(np.sqrt(low * high))
            else:
                lam = found.lam * LAM_STEP if low > 0 else found.lam / LAM_STEP
            found = self._solve(problem, lam, progress)
        certificate = certify(found, problem.outliers)
        return found if certificate is not None and certificate.holds else split


def _collapsed(problem: SplitProblem, values: Sequence[np.ndarray]) -> bool:
    """Tell whether the low-rank part of a module has fewer directions than it should."""
    return any(
        v[problem.rank - 1] ** 2 <= EMPTY * module.moments.energy.sum()
        for module, v in zip(problem.modules, values, strict=True)
    )


@dataclass(frozen=True)
class MedianSplit:
    """The projection on and off the fast median subspace; the weight is only passed on.

    Attributes
    ----------
    tol : float
        Relative decrease of the objective at which to stop, > 0.
    max_iter : int
    """

    tol: float
    max_iter: int
    label: ClassVar[str] = "IRLS"

    def split(self, problem: SplitProblem, progress: Progress | None) -> Decomposition:
        """Find the median subspace and project."""
        modules = problem.modules
        subspaces, history, status = median_subspace(
            [module.moments for module in modules],
            problem.rank,
            tol=self.tol,
            max_iter=self.max_iter,
            progress=progress,
        )
        low = tuple(u @ (u.T @ one.thin) for one, u in zip(modules, subspaces, strict=True))
        rest = tuple(one.thin - part for one, part in zip(modules, low, strict=True))
        return Decomposition(
            low, rest, None, problem.lam, history[-1].objective, status, len(history), history
        )
