"""Benign clients refined: their own inside the subspace, everybody's average outside it.

`refine` with ``pooling="none"`` is the paper's; empirical-Bayes pooling inside the subspace and the
pretest of the off-subspace mean are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.linalg import leading_eigenvectors

NEIGHBOURS = 3
PRETEST_SIGMAS = 3.0


def principal_subspace(grams: np.ndarray, rank: int) -> np.ndarray:
    """Leading principal directions of stacked clients, ndarray of shape (d, rank)."""
    return leading_eigenvectors(grams.sum(axis=0), rank)


def aligned(basis: np.ndarray, grams: np.ndarray) -> np.ndarray:
    """The same subspace with its directions in order of the clients' energy."""
    inside = basis.T @ grams.sum(axis=0) @ basis
    return basis @ leading_eigenvectors(inside, basis.shape[1])


def refine(
    modules: Sequence[np.ndarray],
    subspaces: Sequence[np.ndarray],
    benign: np.ndarray,
    *,
    pooling: str = "none",
    noise_shapes: Sequence[tuple[int, int]] | None = None,
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
        off-subspace mean where it cannot be told from noise.
    noise_shapes : sequence of (int, int), optional
        Shape of the space estimation errors live in, per module; that of the blocks by default.

    Returns
    -------
    tuple of ndarray, each of shape (n_clients, d, b)
    """
    if not benign.any():
        return tuple(blocks.copy() for blocks in modules)
    kept_modules = [blocks[benign] for blocks in modules]
    means = [kept.mean(axis=0) for kept in kept_modules]
    if pooling == "none" or int(benign.sum()) < 2:
        estimates = [
            basis @ (basis.T @ (kept - mean)) + mean
            for kept, mean, basis in zip(kept_modules, means, subspaces, strict=True)
        ]
    else:
        shapes = noise_shapes or [(b.shape[1], b.shape[2]) for b in modules]
        estimates = _empirical_bayes(kept_modules, means, subspaces, shapes)
    refined = []
    for blocks, estimate in zip(modules, estimates, strict=True):
        result = blocks.copy()
        result[benign] = estimate
        refined.append(result)
    return tuple(refined)


def _empirical_bayes(
    modules: Sequence[np.ndarray],
    means: Sequence[np.ndarray],
    subspaces: Sequence[np.ndarray],
    shapes: Sequence[tuple[int, int]],
) -> list[np.ndarray]:
    """Shrink in-subspace deviations; Efron, Morris 1973, with the noise read off next door.

    The noise of trained updates falls off over directions, so it is estimated on the directions
    next to the subspace rather than on the whole tail.
    """
    n = len(modules[0])
    bases, variances = [], []
    for kept, mean, basis in zip(modules, means, subspaces, strict=True):
        grams = (kept @ kept.transpose(0, 2, 1)).sum(axis=0)
        full = _extend(aligned(basis, grams[None]), grams)
        deviation = kept - mean
        scatter = (deviation @ deviation.transpose(0, 2, 1)).sum(axis=0)
        bases.append(full)
        variances.append(np.einsum("ij,ij->j", full, scatter @ full) / (n - 1))
    rank = subspaces[0].shape[1]
    noise = 0.0
    for variance in variances:
        beside = variance[rank : NEIGHBOURS * rank]
        noise += float(beside.mean()) if len(beside) else 0.0
    spread = np.sum([variance[:rank] for variance in variances], axis=0)
    weights = np.maximum(0.0, 1 - noise / np.maximum(spread, np.finfo(float).tiny))
    estimates = []
    for kept, mean, full, variance, shape in zip(
        modules, means, bases, variances, shapes, strict=True
    ):
        basis, rest = full[:, :rank], full[:, rank:]
        tail = float(np.sum((rest.T @ mean) ** 2))
        free = max(shape[0] - rank, 1) * shape[1]
        spare = PRETEST_SIGMAS * np.sqrt(2 * n / (free * (n - 1)))
        negligible = tail <= variance[rank:].sum() / n * (1 + spare)
        centre = basis @ (basis.T @ mean) if negligible else mean
        estimates.append(centre + basis @ (weights[:, None] * (basis.T @ (kept - mean))))
    return estimates


def _extend(basis: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Complete a subspace to a full basis by the principal directions of what it leaves."""
    d, rank = basis.shape
    if rank == d:
        return basis
    # Pushing the subspace far down the spectrum makes the complement's directions come first.
    rest = gram - basis @ (basis.T @ gram)
    rest = rest - (rest @ basis) @ basis.T
    shift = max(float(np.trace(gram)), 1.0)
    vectors = leading_eigenvectors(rest - shift * (basis @ basis.T), d)
    return np.hstack([basis, vectors[:, : d - rank]])
