"""Whether a solution of the convex program is proven optimal, unique and well supported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clair.method.linalg import stack_rows
from clair.method.solvers import Decomposition, joint_norms

KKT_TOLERANCE = 1e-4
STRICT = 1 - 1e-4


@dataclass(frozen=True)
class Certificate:
    """Numbers that prove a solution of the convex program optimal, unique and well supported.

    The dual variable splits into ``Q = U V' + W``. Both numbers below 1 prove that (L, S) is the
    only optimum with this support (the conditions of Xu, Caramanis, Sanghavi 2012, section IV,
    checked on the dual variable that ADMM returns).

    Attributes
    ----------
    dual_feasibility : float
        Largest ``||Q_k||_F / lam`` over the unflagged clients, >= 0.
    spectral_norm : float
        ``||W||_2``, the largest over modules, >= 0.
    kkt_residual : float
        Largest relative violation of the equalities of the optimality conditions, >= 0.
    holds : bool
        Both below 1, the equalities met, and S_k not zero for every client it is claimed for.
    client_ratios : ndarray of shape (n_clients,)
        ``||Q_k||_F / lam`` of every client; 1 where S_k is not zero.
    """

    dual_feasibility: float
    spectral_norm: float
    kkt_residual: float
    holds: bool
    client_ratios: np.ndarray


def certify(decomposition: Decomposition, flagged: np.ndarray) -> Certificate | None:
    """Check the optimality conditions with the dual variable of the convex solver.

    Parameters
    ----------
    decomposition : Decomposition
        From `decompose`.
    flagged : ndarray of bool, shape (n_clients,)
        The clients whose contamination is claimed to be non-zero.

    Returns
    -------
    Certificate or None
        None for a decomposition without a dual variable.
    """
    if decomposition.dual is None:
        return None
    ratios = joint_norms(decomposition.dual) / decomposition.lam
    spectral = violation = 0.0
    for low, dual in zip(decomposition.low_rank, decomposition.dual, strict=True):
        L, Q = stack_rows(low), stack_rows(dual)
        values, vectors = np.linalg.eigh(L.T @ L)
        rank = int(np.sum(values > max(values[-1], 0.0) * 1e-12))
        U = vectors[:, len(values) - rank :]
        V = (L @ U) / np.sqrt(values[len(values) - rank :])  # right singular vectors
        inside, along = Q @ U, Q.T @ V
        # W = (I - U U') Q (I - V V'), of which only the Gram matrix is asked for.
        off = np.eye(len(U)) - U @ U.T
        W_gram = off @ (Q.T @ Q - along @ along.T) @ off
        spectral = max(spectral, float(np.sqrt(max(np.linalg.eigvalsh(W_gram)[-1], 0.0))))
        if rank:
            here = max(np.linalg.norm(inside - V), np.linalg.norm(along - U)) / np.sqrt(rank)
            violation = max(violation, float(here))
    benign_ratio = float(ratios[~flagged].max(initial=0.0))
    support = joint_norms(decomposition.contamination) > 0
    violation = max(violation, float(np.abs(ratios[support] - 1).max(initial=0.0)))
    holds = (
        benign_ratio < STRICT
        and spectral < STRICT
        and violation < KKT_TOLERANCE
        and bool(support[flagged].all())
    )
    return Certificate(benign_ratio, spectral, violation, holds, ratios)
