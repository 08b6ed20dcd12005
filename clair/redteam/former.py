"""The rule by which CLAIR judged before it met attackers who know it: one start, one gap.

It is kept to show what each part of the present rule is for, and as a defence to be attacked; no
fit uses it. Every client counts by its size, a single start (the median subspace) decides whose
half is believed, and the widest gap between the residuals is looked for once.
"""

from __future__ import annotations

import numpy as np

from clair.method.concentration import MAX_ROUNDS, SCORE_FLOOR
from clair.method.evidence import Evidence, gap_rule
from clair.method.linalg import block_grams
from clair.method.moments import normalised
from clair.method.refinement import principal_subspace, refine
from clair.method.solvers import median_subspace
from clair.method.updates import dense_core

GAP = (1.10, 1.15)
_PILOT_TOL = 1e-5


def former_evidence(updates: np.ndarray, rank: int) -> Evidence:
    """Judge clients by residuals, starting from one subspace and drawing one line.

    Parameters
    ----------
    updates : ndarray of shape (n_clients, d_out, d_in)
    rank : int
        Dimension of the shared subspace, 1 <= rank <= d_out.

    Returns
    -------
    Evidence

    Examples
    --------
    >>> from clair import ProblemSpec, sample_problem
    >>> problem = sample_problem(ProblemSpec())
    >>> bool((former_evidence(problem.updates, 3).flagged == problem.contaminated).all())
    True
    """
    (moments,) = normalised([dense_core(updates).moments])
    size = min(rank, moments.d)
    (start,), _, _ = median_subspace([moments], size, tol=_PILOT_TOL, coarse=True)
    scores = np.sqrt(moments.outside(start))
    half = np.zeros(len(updates), dtype=bool)
    for _ in range(MAX_ROUNDS + 1):
        renewed = np.zeros(len(updates), dtype=bool)
        renewed[np.argsort(scores, kind="stable")[: len(updates) // 2 + 1]] = True
        if np.array_equal(renewed, half):
            break
        half = renewed
        inside = moments.left_out_energy(half, size).sum(axis=1)
        scores = np.sqrt(np.maximum(moments.energy - inside, 0.0))
    return gap_rule("outside", scores, GAP, again=None, spread=False, floor=SCORE_FLOOR)


def former_refinement(updates: np.ndarray, flagged: np.ndarray, rank: int) -> np.ndarray:
    """Refine the clients kept by the former rule, each with one vote.

    Returns
    -------
    ndarray of shape (n_clients, d_out, d_in)
    """
    basis = principal_subspace(block_grams(updates)[~flagged], rank)
    return refine([updates], [basis], ~flagged)[0]
