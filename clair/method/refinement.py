"""Refining benign clients: their own part inside the subspace, everybody's average outside it.

`refine` with ``pooling="none"`` and equal weights is the paper's; the weights of the verdict,
empirical-Bayes pooling inside the subspace and the pretest of the off-subspace mean are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.method.linalg import leading_eigenvectors

NEIGHBOURS = 3
PRETEST_SIGMAS = 3.0
#: Smaller shares of the largest variance are rounding.
EMPTY = 1e-12
TINY = np.finfo(float).tiny


def principal_subspace(grams: np.ndarray, rank: int) -> np.ndarray:
    """Compute the leading principal directions of stacked clients, (d, rank)."""
    return leading_eigenvectors(grams.sum(axis=0), rank)


def aligned(basis: np.ndarray, grams: np.ndarray) -> np.ndarray:
    """Turn a subspace's basis so that its directions are ordered by the clients' energy."""
    inside = basis.T @ grams.sum(axis=0) @ basis
    return basis @ leading_eigenvectors(inside, basis.shape[1])


def refine(
    modules: Sequence[np.ndarray],
    subspaces: Sequence[np.ndarray],
    benign: np.ndarray,
    *,
    pooling: str = "none",
    noise_shapes: Sequence[tuple[int, int]] | None = None,
    influence: np.ndarray | None = None,
) -> tuple[np.ndarray, ...]:
    """Refine the kept clients; flagged ones keep their own update.

    Parameters
    ----------
    modules : sequence of ndarray, each of shape (n_clients, d, b)
        The clients' updates of each module in one basis for all clients.
    subspaces : sequence of ndarray, each of shape (d, rank)
        Orthonormal columns.
    benign : ndarray of bool, shape (n_clients,)
        The kept clients.
    pooling : {"none", "eb"}
        "none": ``U U' Delta_k + (I - U U') mean_j Delta_j`` over kept clients j. "eb": in addition
        shrink in-subspace deviations towards their mean, one weight a direction, and drop the
        off-subspace mean where it cannot be told from noise. The direction next to the subspace in
        which clients differ most counts as inside.
    noise_shapes : sequence of (int, int), optional
        Shape of the space estimation errors live in, per module; that of the blocks by default.
    influence : ndarray of shape (n_clients,), optional
        Weight of each client in the means, >= 0; 1 for every kept client by default.

    Returns
    -------
    tuple of ndarray, each of shape (n_clients, d, b)
    """
    if not benign.any():
        return tuple(blocks.copy() for blocks in modules)
    heard, influence = voices(benign, influence)
    weights = None
    if pooling == "eb" and int(heard.sum()) >= 2:
        spread = [
            directions(blocks[heard], basis, influence[heard])[1]
            for blocks, basis in zip(modules, subspaces, strict=True)
        ]
        weights = pooling_weights(spread, subspaces[0].shape[1])
    shapes = noise_shapes or [(b.shape[1], b.shape[2]) for b in modules]
    refined = []
    for blocks, basis, shape in zip(modules, subspaces, shapes, strict=True):
        kept = blocks if benign.all() else blocks[benign]
        others = kept if np.array_equal(heard, benign) else blocks[heard]
        estimate = refine_module(kept, basis, weights, shape, others, influence[heard])
        if kept is blocks:
            refined.append(estimate)
            continue
        result = np.empty_like(blocks)
        result[benign], result[~benign] = estimate, blocks[~benign]
        refined.append(result)
    return tuple(refined)


def voices(benign: np.ndarray, influence: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Select the clients to learn from (a mask) and their weights; by default the kept, equally."""
    if influence is None or not influence.any():
        influence = benign.astype(float)
    return influence > 0, influence


def refine_module(
    kept: np.ndarray,
    basis: np.ndarray,
    weights: np.ndarray | None = None,
    noise_shape: tuple[int, int] | None = None,
    heard: np.ndarray | None = None,
    influence: np.ndarray | None = None,
) -> np.ndarray:
    """Refine the kept clients' updates of one module.

    Parameters
    ----------
    kept : ndarray of shape (n_kept, d, b)
    basis : ndarray of shape (d, rank)
        Orthonormal columns.
    weights : ndarray of shape (n,), optional
        From `pooling_weights`, n >= rank; without it the paper's refinement.
    noise_shape : (int, int), optional
        Shape of the space estimation errors live in; (d, b) by default. Used with weights only.
    heard : ndarray of shape (n_heard, d, b), optional
        The updates that the means are taken over, the kept ones by default.
    influence : ndarray of shape (n_heard,), optional
        Their weights, > 0.

    Returns
    -------
    ndarray of shape (n_kept, d, b)
    """
    heard = kept if heard is None else heard
    equal = influence is None or np.ptp(influence) == 0
    mean = heard.mean(axis=0) if equal else np.average(heard, axis=0, weights=influence)
    if weights is None:
        refined: np.ndarray = basis @ (basis.T @ kept)
        refined += mean - basis @ (basis.T @ mean)
        return refined
    full, variance = directions(heard, basis, influence)
    n, rank = _votes(heard, influence), len(weights)
    shape = noise_shape or (kept.shape[1], kept.shape[2])
    basis, rest = full[:, :rank], full[:, rank:]
    tail = float(np.sum((rest.T @ mean) ** 2))
    free = max(shape[0] - rank, 1) * shape[1]
    spare = PRETEST_SIGMAS * np.sqrt(2 * n / (free * max(n - 1, 0.5)))
    negligible = tail <= variance[rank:].sum() / n * (1 + spare)
    centre = basis @ (basis.T @ mean) if negligible else mean
    pooled: np.ndarray = centre + basis @ (weights[:, None] * (basis.T @ (kept - mean)))
    return pooled


def pooling_weights(variances: Sequence[np.ndarray], rank: int) -> np.ndarray:
    """Weigh the clients' own deviations along each direction, joint over modules.

    The noise of trained updates falls off over directions, so it is estimated on the directions
    next to the subspace rather than on the whole tail. If the rank is one too low, a direction in
    which clients really differ is the first of those and would pass for noise, so it gets a weight
    of its own; if the rank is right that weight is near zero.

    Parameters
    ----------
    variances : sequence of ndarray
        Of `directions`, one entry a module.
    rank : int

    Returns
    -------
    ndarray of shape (n,)
        In [0, 1]; n is rank + 1 where there are that many directions, else rank.

    References
    ----------
    Efron, Morris, Stein's estimation rule and its competitors, JASA 1973.
    """
    # Compressed updates lack directions in which no client has energy, so these do not count.
    lengths = [int(np.sum(variance > EMPTY * variance.max())) for variance in variances]
    inside = min(rank + 1, max(rank, min(lengths)))
    noise = 0.0
    for variance, length in zip(variances, lengths, strict=True):
        beside = variance[inside : min(NEIGHBOURS * rank, length)]
        noise += float(beside.mean()) if len(beside) else 0.0
    spread = sum(variance[:inside] for variance in variances)
    weights: np.ndarray = np.maximum(0.0, 1 - noise / np.maximum(spread, TINY))
    return weights


def _votes(kept: np.ndarray, influence: np.ndarray | None) -> float:
    """Count the equally weighted clients whose mean is as exact, (sum w)^2 / sum w^2."""
    if influence is None or np.ptp(influence) == 0:
        return float(len(kept))
    return float(influence.sum() ** 2 / np.sum(influence**2))


def directions(
    kept: np.ndarray, basis: np.ndarray, influence: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Order directions, the subspace's first, with the clients' variance along each.

    Parameters
    ----------
    kept : ndarray of shape (n_kept, d, b)
        At least two.
    basis : ndarray of shape (d, rank)
    influence : ndarray of shape (n_kept,), optional
        Weights of the clients, > 0; equal by default.

    Returns
    -------
    full : ndarray of shape (d, d)
        Orthonormal; the first columns span the subspace, the others follow by variance.
    variance : ndarray of shape (d,)
    """
    weights = np.ones(len(kept))
    if influence is not None and np.ptp(influence) > 0:
        weights = influence * (len(kept) / influence.sum())
    roots = np.sqrt(weights)[:, None, None]
    deviation = roots * (kept - np.average(kept, axis=0, weights=weights))
    weighted = roots * kept
    grams = (weighted @ weighted.transpose(0, 2, 1)).sum(axis=0)
    one = (deviation @ deviation.transpose(0, 2, 1)).sum(axis=0)
    full = _extend(aligned(basis, grams[None]), one)
    free = len(kept) - float(np.mean(weights**2))
    variance: np.ndarray = np.einsum("ij,ij->j", full, one @ full) / free
    return full, variance


def _extend(basis: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Complete a subspace's basis by the principal directions of what lies outside it."""
    d, rank = basis.shape
    if rank == d:
        return basis
    # With the subspace moved far down the spectrum, the complement's directions come first.
    rest = gram - basis @ (basis.T @ gram)
    rest = rest - (rest @ basis) @ basis.T
    shift = max(float(np.trace(gram)), 1.0)
    vectors = leading_eigenvectors(rest - shift * (basis @ basis.T), d)
    return np.hstack([basis, vectors[:, : d - rank]])
