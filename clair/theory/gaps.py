"""The detector's gap rule on many drawn federations at once."""

from __future__ import annotations

import numpy as np

from clair.method.evidence import SPREAD_FEW


def above_gap(
    scores: np.ndarray, gap: tuple[float, float], repeat: tuple[float, float]
) -> np.ndarray:
    """Apply `clair.method.evidence.gap_rule` to many drawn federations at once.

    Parameters
    ----------
    scores : ndarray of shape (draws, n_clients)
        > 0.
    gap, repeat : tuple of float
        Ratios of the first gap and of later ones.

    Returns
    -------
    ndarray of bool, shape (draws, n_clients)
        The flagged ones.
    """
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    draws, n = ordered.shape
    half = n // 2 + 1
    steps = np.diff(np.log(ordered), axis=1)[:, half - 1 :]
    top, going = np.full(draws, n), np.full(draws, half < n)
    while going.any():
        above = top[:, None] - np.arange(half, n)
        cut, wide = np.full(draws, half), np.zeros(draws, dtype=bool)
        for weights in (above, np.ones_like(above)):
            place = np.where(above > 0, steps * weights, -np.inf).argmax(axis=1)
            looked = ~wide
            cut[looked] = half + place[looked]
            wide[looked] = _wide(ordered, cut, top, gap)[looked]
        going &= wide
        top, gap = np.where(going, cut, top), repeat
        going &= top > half
    flagged = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(flagged, order, np.arange(n) >= top[:, None], axis=1)
    return flagged


def _wide(
    ordered: np.ndarray, cut: np.ndarray, top: np.ndarray, gap: tuple[float, float]
) -> np.ndarray:
    """Tell in which draws the gap below position `cut` is wide enough, (draws,)."""
    n, rows = ordered.shape[1], np.arange(len(ordered))
    step = np.log(ordered[rows, cut] / ordered[rows, cut - 1])
    below = (ordered[rows, (cut - 1) // 2] + ordered[rows, cut // 2]) / 2
    upper = (np.arange(n) >= cut[:, None] // 2) & (np.arange(n) < cut[:, None])
    squares = np.where(upper, np.log(ordered / below[:, None]) ** 2, 0.0)
    spread = np.sqrt(squares.sum(axis=1) / upper.sum(axis=1))
    factor = 1 + SPREAD_FEW / (n * np.maximum(top - cut, 1))
    found: np.ndarray = (
        (step >= np.log(gap[0]))
        & (step >= factor * spread)
        & (ordered[rows, cut] >= gap[1] * below)
    )
    return found
