"""Evidence of another kind: how heavy-tailed the entries of a client's updates are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clair.method.updates import LoraFactors, Updates

#: The least ratio of a gap, and its least width in standard errors of the kurtosis' logarithm.
SHAPE_RATIO = 1.12
SHAPE_ERRORS = 2.5
MIN_SHAPE_MODULES = 3


@dataclass(frozen=True)
class Shape:
    """How heavy-tailed the clients' entries are.

    Attributes
    ----------
    scores : ndarray of shape (n_clients,)
        Geometric mean of the kurtosis over modules, >= 1.
    ratio : float
        Least ratio of a gap that is more than what differs between modules anyway.
    """

    scores: np.ndarray
    ratio: float


def shape_of(updates: Updates) -> Shape | None:
    """Compare how heavy-tailed the clients' entries are.

    Parameters
    ----------
    updates : ndarray, LoraFactors, or mapping from module name to either

    Returns
    -------
    Shape or None
        None if fewer than 3 modules can be compared: those that all clients have, with the same
        rank.

    References
    ----------
    That weight statistics tell backdoored adapters: arXiv 2602.15195. Without labels, among the
    clients of one federation, ours.
    """
    modules = list(updates.values()) if isinstance(updates, Mapping) else [updates]
    if len(modules) < MIN_SHAPE_MODULES:
        return None
    kurtosis = [
        factor_kurtosis(m.B, m.A) if isinstance(m, LoraFactors) else entry_kurtosis(np.asarray(m))
        for m in modules
    ]
    return joint_shape(kurtosis)


def joint_shape(kurtosis: Sequence[np.ndarray | None]) -> Shape | None:
    """Join the modules' kurtosis; None if fewer than 3 modules have one.

    The standard error is that of a client's mean over modules, from how the modules differ.
    """
    found = [np.log(values) for values in kurtosis if values is not None]
    if len(found) < MIN_SHAPE_MODULES:
        return None
    logs = np.array(found)
    centred = logs - np.median(logs, axis=1, keepdims=True)
    own = centred - centred.mean(axis=0)
    variance = float(np.sum(own**2)) / ((len(logs) - 1) * logs.shape[1])
    error = np.sqrt(variance / len(logs))
    least = max(np.log(SHAPE_RATIO), SHAPE_ERRORS * error)
    return Shape(np.exp(logs.mean(axis=0)), float(np.exp(least)))


def entry_kurtosis(blocks: np.ndarray) -> np.ndarray | None:
    """Compute the kurtosis ``m4 / m2^2`` of every block's entries; None if a block is zero."""
    squares = blocks.reshape(len(blocks), -1) ** 2
    second = squares.mean(axis=1)
    if (second == 0).any():
        return None
    kurtosis: np.ndarray = (squares**2).mean(axis=1) / second**2
    return kurtosis


def factor_kurtosis(B: np.ndarray, A: np.ndarray) -> np.ndarray | None:
    """Compute the kurtosis of every ``B_k @ A_k``'s entries; None if ranks differ or one is zero.

    Parameters
    ----------
    B : ndarray of shape (n_clients, d_out, rho)
    A : ndarray of shape (n_clients, rho, d_in)

    Notes
    -----
    No dense matrix is needed: ``sum_ij (BA)_ij^4 = <K_B, K_A>`` with K the Gram matrix of the
    rowwise Kronecker square of a factor. Where that costs more, one client's product is formed.
    """
    d_out, rho, d_in = B.shape[1], B.shape[2], A.shape[2]
    used = (np.abs(B).sum(axis=1) > 0) & (np.abs(A).sum(axis=2) > 0)
    if (used.sum(axis=1) != used[0].sum()).any() or not used[0].any():
        return None
    if rho**3 * (d_out + d_in) > 4 * d_out * d_in:
        dense = [entry_kurtosis((b @ a)[None]) for b, a in zip(B, A, strict=True)]
        found = [float(value[0]) for value in dense if value is not None]
        return np.array(found) if len(found) == len(B) else None
    i, j = np.triu_indices(rho)
    twice = np.where(i == j, 1.0, 2.0)
    kurtosis = np.empty(len(B))
    for k, (left, right) in enumerate(zip(B, A, strict=True)):
        rows, columns = left[:, i] * left[:, j], right[i] * right[j]
        fourth = twice @ ((rows.T @ rows) * (columns @ columns.T)) @ twice
        second = float(np.sum((left.T @ left) * (right @ right.T)))
        if second <= 0:
            return None
        kurtosis[k] = fourth * d_out * d_in / second**2
    return kurtosis
