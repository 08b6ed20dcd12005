"""Rules that aggregate all clients' updates to one global update.

One signature, ``rule(vectors, n_attackers)``, on flattened updates. The table of methods names each
rule (`clair.methods.METHODS`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clair._validation import check_real

# Share of attackers assumed by rules that must be told a number.
ASSUMED_FRACTION = 0.4

GlobalRule = Callable[[np.ndarray, int], np.ndarray]


def mean(vectors: np.ndarray, n_attackers: int) -> np.ndarray:
    """Average the updates, as FedAvg does (McMahan et al., AISTATS 2017).

    Parameters
    ----------
    vectors : ndarray of shape (n_clients, n_parameters)
        Flattened updates, as for every rule below.
    n_attackers : int
        Assumed number of attackers; ignored here.

    Returns
    -------
    ndarray of shape (n_parameters,)
    """
    average: np.ndarray = vectors.mean(axis=0)
    return average


def median(vectors: np.ndarray, n_attackers: int) -> np.ndarray:
    """Take the coordinate-wise median (Yin et al., ICML 2018)."""
    middle: np.ndarray = np.median(vectors, axis=0)
    return middle


def trimmed_mean(vectors: np.ndarray, n_attackers: int) -> np.ndarray:
    """Average each coordinate without the `n_attackers` largest and smallest (Yin et al. 2018)."""
    ordered = np.sort(vectors, axis=0)
    inner: np.ndarray = ordered[n_attackers : len(vectors) - n_attackers].mean(axis=0)
    return inner


def geometric_median(
    vectors: np.ndarray, n_attackers: int, *, tol: float = 1e-10, max_iter: int = 1000
) -> np.ndarray:
    """Find the point of least summed distance (RFA; Pillutla et al. 2022).

    Weiszfeld's iteration; it needs only the clients' Gram matrix, because every iterate is a convex
    combination of the clients.
    """
    gram = vectors @ vectors.T
    squares = np.diag(gram)
    weights = np.full(len(vectors), 1 / len(vectors))
    smallest = 1e-12 * max(float(np.sqrt(squares.max())), np.finfo(float).tiny)
    for _ in range(max_iter):
        across = gram @ weights
        distances = np.sqrt(np.maximum(squares - 2 * across + weights @ across, 0.0))
        renewed = 1 / np.maximum(distances, smallest)
        renewed /= renewed.sum()
        moved = float(np.abs(renewed - weights).max())
        weights = renewed
        if moved < tol:
            break
    return weights @ vectors


def krum(vectors: np.ndarray, n_attackers: int, *, n_selected: int = 1) -> np.ndarray:
    """Average the `n_selected` updates nearest to their neighbours (Blanchard et al. 2017).

    A client's score is its summed squared distance to its ``n - n_attackers - 2`` nearest others.
    """
    gram = vectors @ vectors.T
    squares = np.diag(gram)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * gram, 0.0)
    np.fill_diagonal(distances, np.inf)
    n_neighbours = max(len(vectors) - n_attackers - 2, 1)
    scores = np.sort(distances, axis=1)[:, :n_neighbours].sum(axis=1)
    chosen = np.argsort(scores, kind="stable")[:n_selected]
    best: np.ndarray = vectors[chosen].mean(axis=0)
    return best


def multi_krum(vectors: np.ndarray, n_attackers: int) -> np.ndarray:
    """Average the ``n - n_attackers`` updates with the lowest Krum scores."""
    return krum(vectors, n_attackers, n_selected=len(vectors) - n_attackers)


def assumed_attackers(n_clients: int, fraction: float = ASSUMED_FRACTION) -> int:
    """Compute the number of attackers that trimming and Krum are told to expect.

    A server does not know the true number f. Both rules therefore get a fixed share of the clients,
    lowered where Krum's condition ``n_clients >= 2 f + 3`` demands it.

    Examples
    --------
    >>> assumed_attackers(12), assumed_attackers(4)
    (4, 0)
    """
    check_real("assumed_fraction", fraction, minimum=0, maximum=0.5, open_maximum=True)
    return max(0, min(int(fraction * n_clients), (n_clients - 3) // 2))
