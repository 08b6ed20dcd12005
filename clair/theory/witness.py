"""A sharper window for lambda: the conditions of exact recovery, checked on the true solution.

`clair.theory.lam_window` needs two norms and is good to a tenth. Here the convex program is solved
with the answer given away: the subspace and the contaminated clients are the true ones, and only
how much of each contaminated client's part *inside* the subspace is left in L remains to be found.
Recovery is exact where the dual variable of that small problem is also feasible for the large one
(a primal-dual witness). Ours, on the conditions of Xu, Caramanis, Sanghavi 2012; it leaves out the
small correction that makes W orthogonal to V. In simulation it is good to a few per cent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clair.simulation.matrix_model import Problem

_MAX_ROUNDS = 150
_TOL = 1e-8
#: A contaminated client whose S is smaller than this share of its update is missed.
_PRESENT = 1e-3
_SCAN = 20
_BISECTIONS = 7


@dataclass(frozen=True)
class Witness:
    """The two inequalities at one lambda.

    Attributes
    ----------
    lam : float
    benign : float
        Largest ``||V_k||_F / lam`` of a benign client; exact recovery needs at most 1.
    spectral : float
        ``||W||_2`` of the contaminated clients' dual blocks off the subspace; at most 1.
    complete : bool
        Whether every contaminated client has something left in S.
    """

    lam: float
    benign: float
    spectral: float
    complete: bool

    @property
    def holds(self) -> bool:
        """Whether exact recovery is predicted."""
        return self.benign <= 1 and self.spectral <= 1 and self.complete


def witness(problem: Problem, lam: float) -> Witness:
    """Check the conditions of exact recovery at one lambda.

    Parameters
    ----------
    problem : Problem
        Its truth is used; noise is ignored.
    lam : float
        > 0.

    Notes
    -----
    The small problem, ``min over a: ||[C_benign, c_k - a_k]||_* + lam sum_k sqrt(||a_k||^2 +
    ||D_k||^2)`` with c_k and D_k the contaminated updates in and off the subspace, is solved by
    majorisation: both terms have quadratic majorants, whose minimum is explicit.
    """
    basis, bad = problem.subspace, problem.contaminated
    honest = basis.T @ problem.true_updates[~bad]
    gram = np.einsum("kij,klj->il", honest, honest)
    inside = basis.T @ problem.updates[bad]
    outside = problem.updates[bad] - basis @ inside
    beyond = np.einsum("kij,kij->k", outside, outside)
    sizes = np.sqrt(beyond + np.einsum("kij,kij->k", inside, inside))
    beyond = np.where(beyond < (_PRESENT * sizes) ** 2, 0.0, beyond)  # rounding is not off
    norms, absorbed = sizes, np.zeros_like(inside)
    for _ in range(_MAX_ROUNDS):
        strengths, vectors = _spectrum(gram, inside - absorbed)
        damping = 1 + lam * strengths[None, :, None] / np.maximum(norms, 1e-12)[:, None, None]
        absorbed = vectors @ ((vectors.T @ inside) / damping)
        renewed = np.sqrt(beyond + np.einsum("kij,kij->k", absorbed, absorbed))
        change = float(np.abs(renewed - norms).max(initial=0.0))
        norms = renewed
        if change <= _TOL * float(sizes.max(initial=0.0)):
            break
    strengths, vectors = _spectrum(gram, inside - absorbed)
    right = (vectors.T @ honest) / np.maximum(strengths, 1e-12)[None, :, None]
    present = norms > _PRESENT * sizes
    scaled = np.where(beyond > 0, 1 / np.maximum(norms, 1e-12), 0.0)[:, None, None] * outside
    spectral = float(np.sqrt(np.linalg.eigvalsh(np.einsum("kij,klj->il", scaled, scaled))[-1]))
    return Witness(
        lam,
        float(np.sqrt(np.einsum("kij,kij->k", right, right).max())) / lam,
        lam * spectral,
        bool(present.all()),
    )


def _spectrum(gram: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(gram + np.einsum("kij,klj->il", low, low))
    return np.sqrt(np.maximum(values, 0.0)), vectors


def witness_window(problem: Problem, around: tuple[float, float]) -> tuple[float, float] | None:
    """Find the interval of lambda in which the witness predicts exact recovery.

    Parameters
    ----------
    problem : Problem
    around : tuple of float
        Where to look: an interval that the window is expected to overlap, such as that of
        `clair.theory.lam_window`. The search goes a factor 1.6 beyond both ends.

    Returns
    -------
    tuple of float or None
        To about one per cent, at most the range searched; None where nothing is predicted.
    """
    lams = np.geomspace(min(around) / 1.6, max(around) * 1.6, _SCAN)
    holds = [witness(problem, float(lam)).holds for lam in lams]
    if not any(holds):
        return None
    first, last = holds.index(True), len(holds) - 1 - holds[::-1].index(True)
    low = lams[0] if first == 0 else _edge(problem, lams[first], lams[first - 1])
    high = lams[-1] if last == len(lams) - 1 else _edge(problem, lams[last], lams[last + 1])
    return float(low), float(high)


def _edge(problem: Problem, inside: float, outside: float) -> float:
    for _ in range(_BISECTIONS):
        middle = float(np.sqrt(inside * outside))
        if witness(problem, middle).holds:
            inside = middle
        else:
            outside = middle
    return inside
