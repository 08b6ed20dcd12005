"""A few eigenpairs of large matrices, and orthonormal bases of tall ones, mostly by products.

A product of two matrices costs at most a tenth of decomposing one of their size, so for a matrix of
some hundred rows, iterating for a few directions is faster than a full decomposition. Everything
here falls back on a full decomposition if an iteration does not converge.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.linalg import blas, lapack

from clair.cancellation import checkpoint
from clair.method.linalg import orthonormal

# Below these sizes a full decomposition is as fast as iterating to full, or to seven digits.
LARGE = 240
_LARGE_COARSE = 120
_MEDIUM = 24  # from this size on computing a few eigenpairs is faster than computing all
_OVERSAMPLE = 4
_ROUNDS = 8
_TOLERANCE = 1e-11
_COARSE_TOLERANCE = 1e-4
# Blocks up to this size are decomposed in full, larger ones by so many rounds of block iteration.
_SMALL_BLOCKS = 24
_BLOCK_ROUNDS = 4
# Block iteration replaces decompositions where the spectrum behind the block falls below this
# share of the last wanted eigenvalue, and orthonormalises after this many products.
_FALL = 0.15
_UNSTABLE = 6
#: With this many more eigenpairs than asked, `similar_eigenpairs` is fast.
SIMILAR_MORE = _OVERSAMPLE + 1


def leading_eigenpairs(
    gram: np.ndarray, size: int, start: np.ndarray | None = None, *, coarse: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the largest eigenvalues of a positive semidefinite matrix, with eigenvectors.

    Parameters
    ----------
    gram : ndarray of shape (d, d)
    size : int
        1 <= size <= d.
    start : ndarray of shape (d, n), optional
        Approximate eigenvectors, of a similar matrix for example.
    coarse : bool
        Stop when the sum of the eigenvalues is constant to seven digits. In a flat spectrum that
        is long before the vectors converge.

    Returns
    -------
    values : ndarray of shape (size,)
        Descending.
    vectors : ndarray of shape (d, size)

    Notes
    -----
    A few eigenpairs of a large matrix come from `krylov_eigenpairs`; if that does not converge,
    from the full decomposition.
    """
    d = len(gram)
    if d >= (_LARGE_COARSE if coarse else LARGE) and 5 * (size + _OVERSAMPLE) <= d:
        found = krylov_eigenpairs(lambda x: gram @ x, d, size, start, coarse=coarse)
        if found is not None:
            return found[0][:size], found[1][:, :size]
    return top_eigenpairs(gram, size)


def top_eigenpairs(gram: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute leading eigenpairs by LAPACK, of batches too; see `leading_eigenpairs`.

    Parameters
    ----------
    gram : ndarray of shape (..., d, d)
    size : int
        1 <= size <= d.

    Returns
    -------
    values : ndarray of shape (..., size)
        Descending.
    vectors : ndarray of shape (..., d, size)
    """
    d = gram.shape[-1]
    if d >= _MEDIUM and 4 * size <= d:
        values, vectors = np.empty((*gram.shape[:-2], size)), np.empty((*gram.shape[:-1], size))
        for index in np.ndindex(gram.shape[:-2]):
            checkpoint()
            lam, basis, found, _, info = lapack.dsyevr(
                gram[index], range="I", il=d - size + 1, iu=d
            )
            if info != 0 or found != size:
                break
            values[index], vectors[index] = lam[:size][::-1], basis[:, ::-1]
        else:
            return values, vectors
    values, vectors = np.linalg.eigh(gram)
    return values[..., ::-1][..., :size], vectors[..., ::-1][..., :size]


def krylov_eigenpairs(
    apply: Callable[[np.ndarray], np.ndarray],
    d: int,
    size: int,
    start: np.ndarray | None = None,
    *,
    coarse: bool = False,
    above: float | None = None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Compute leading eigenpairs of a semidefinite operator by restarted block Krylov iteration.

    Parameters
    ----------
    apply : callable
        Product of the operator with an array of shape (d, n).
    d, size : int
    start : ndarray of shape (d, n), optional
    coarse : bool
        See `leading_eigenpairs`; otherwise the first `size` residuals must fall below 1e-11 of the
        largest eigenvalue.
    above : float, optional
        Only eigenpairs with larger values need to converge.

    Returns
    -------
    (values, vectors) or None
        A few more than `size`, of which only the first `size` have converged; None if they did not.

    References
    ----------
    Musco, Musco, Randomized block Krylov methods for stronger and faster approximate singular
    value decomposition, NeurIPS 2015.
    """
    block = size + _OVERSAMPLE
    basis, total = _padded(start, d, block), 0.0
    rounds = _ROUNDS
    if coarse:
        rounds = 1 if start is not None and start.shape[1] >= size else 2
    for _ in range(rounds):
        checkpoint()
        first = np.linalg.qr(basis)[0]
        second = apply(first)
        space = np.linalg.qr(np.hstack([first, second, apply(orthonormal(second))]))[0]
        image = apply(space)
        values, vectors = np.linalg.eigh(space.T @ image)
        values, vectors = values[::-1][:block], vectors[:, ::-1][:, :block]
        basis = space @ vectors
        previous, total = total, float(values[:size].sum())
        if coarse and abs(total - previous) <= 1e-7 * total:
            break
        due = size if above is None else int(np.sum(values[:size] > above))
        residual = image @ vectors[:, :due] - basis[:, :due] * values[:due]
        if np.linalg.norm(residual, axis=0).max(initial=0.0) <= _TOLERANCE * max(values[0], 0.0):
            break
    else:
        if not coarse:
            return None
    return values, basis


def _padded(start: np.ndarray | None, d: int, block: int) -> np.ndarray:
    """Return exactly `block` starting vectors; draw missing ones at random from a fixed seed."""
    have = 0 if start is None else start.shape[1]
    if start is not None and have >= block:
        return start[:, :block]
    drawn = _drawn(d, block - have)
    return drawn if start is None else np.hstack([start, drawn])


@lru_cache(maxsize=8)
def _drawn(d: int, n: int) -> np.ndarray:
    drawn: np.ndarray = np.random.default_rng(0).standard_normal((d, n)) / np.sqrt(d)
    drawn.setflags(write=False)
    return drawn


def similar_eigenpairs(
    grams: np.ndarray, size: int, values: np.ndarray, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute `top_eigenpairs` of matrices close to one with known leading eigenpairs.

    Parameters
    ----------
    grams : ndarray of shape (K, d, d)
        Positive semidefinite, and not larger than the known matrix.
    size : int
        1 <= size <= d.
    values : ndarray of shape (n,)
        Leading eigenvalues of the known matrix, descending.
    vectors : ndarray of shape (d, n)
        Their eigenvectors.

    Returns
    -------
    values : ndarray of shape (K, size)
        Descending.
    vectors : ndarray of shape (K, d, size)

    Notes
    -----
    Uses block iteration from the known vectors, a few more than asked, where the spectrum behind
    them falls so fast that a few products suffice. No eigenvalue outside the block exceeds the
    known one behind it, because the matrices are not larger than the known one. Matrices that have
    not converged to eleven digits are decomposed.
    """
    block = size + _OVERSAMPLE
    if len(values) <= block or grams.shape[-1] < _MEDIUM:
        return top_eigenpairs(grams, size)
    largest, last = float(values[0]), float(values[size - 1])
    behind = max(float(values[block]), 0.0)
    if last <= 0 or behind > _FALL * last:
        return top_eigenpairs(grams, size)
    products = int(np.ceil(np.log(_TOLERANCE) / np.log(max(behind / last, 1e-5))))
    basis = vectors[:, :block]
    for done in range(products):
        basis = grams @ basis / largest
        if done % _UNSTABLE == _UNSTABLE - 1 or done == products - 1:
            basis = np.linalg.qr(basis)[0]
    image = grams @ basis
    found, inner = top_eigenpairs(basis.transpose(0, 2, 1) @ image, size)
    basis = basis @ inner
    rest = image @ inner - basis * found[:, None, :]
    residuals = np.sqrt(np.einsum("kij,kij->kj", rest, rest).max(axis=1))
    open_ = ~((residuals <= _TOLERANCE * largest) & (found[:, -1] > behind))
    if open_.any():
        found, basis = found.copy(), basis.copy()
        found[open_], basis[open_] = top_eigenpairs(grams[open_], size)
    return found, basis


def downdated_eigenpairs(
    values: np.ndarray, factors: np.ndarray, size: int, *, coarse: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Compute leading eigenpairs of ``diag(values) - factors_k @ factors_k.T`` for every k.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Descending, > 0.
    factors : ndarray of shape (K, n, c)
        Such that the differences are positive semidefinite.
    size : int
        1 <= size <= n.
    coarse : bool
        For large n, stop at residuals of 1e-4 of the largest eigenvalue instead of 1e-11.

    Returns
    -------
    values : ndarray of shape (K, size)
        Descending.
    vectors : ndarray of shape (K, n, size)

    Notes
    -----
    For large n the problem is projected on the first ``size + c + 16`` coordinates. A downdate of
    rank c lowers no eigenvalue past the c-th below it, so the wanted ones exceed the rest of the
    diagonal, and an eigenvector's missing part follows from its head exactly by eliminating the
    tail (a c x c system). This alternates with Rayleigh-Ritz steps until the residuals are small
    enough; matrices for which they do not get so small are decomposed in full.
    """
    _, n, c = factors.shape
    if small_downdates(n, c, size):
        downdated = np.diag(values) - factors @ factors.transpose(0, 2, 1)
        return similar_eigenpairs(downdated, size, values, np.eye(n, size + _OVERSAMPLE))
    least = (_COARSE_TOLERANCE if coarse else _TOLERANCE) * values[0]
    found, vectors, residuals = _eliminate(values, factors, size, _head(c, size), least)
    for k in np.flatnonzero(~(residuals <= least)):
        found[k], vectors[k] = top_eigenpairs(np.diag(values) - factors[k] @ factors[k].T, size)
    return found, vectors


def _head(c: int, size: int) -> int:
    return size + c + 16


def small_downdates(n: int, c: int, size: int) -> bool:
    """Tell whether `downdated_eigenpairs` decomposes every matrix on its own."""
    return n < _LARGE_COARSE or 2 * (_head(c, size) + size) > n


def _eliminate(
    values: np.ndarray, factors: np.ndarray, size: int, head: int, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    K, n, c = factors.shape
    top, rest = factors[:, :head], factors[:, head:]
    small = np.diag(values[:head]) - top @ top.transpose(0, 2, 1)
    mu, inner = (part[..., ::-1][..., :size] for part in np.linalg.eigh(small))
    vectors = np.concatenate([inner, np.zeros((K, n - head, size))], axis=1)
    residuals = np.full(K, np.inf)
    basis = np.zeros((K, n - head, 0))
    for _ in range(_ROUNDS):
        checkpoint()
        if head + basis.shape[2] + size > n // 2:
            break
        # (D - rest rest') tail = rest (top' x), D = diag(values of the tail) - mu, by Woodbury.
        inverse = 1 / np.minimum(values[head:, None] - mu[:, None, :], -1e-14 * values[0])
        right = top.transpose(0, 2, 1) @ vectors[:, :head]
        spread = rest.transpose(0, 2, 1)[:, None] * inverse.transpose(0, 2, 1)[:, :, None]
        inner_systems = np.eye(c) - (spread.reshape(K, -1, n - head) @ rest).reshape(K, -1, c, c)
        try:
            solved = np.linalg.solve(inner_systems, right.transpose(0, 2, 1)[..., None])[..., 0]
        except np.linalg.LinAlgError:
            break
        tail = inverse * (rest @ solved.transpose(0, 2, 1))
        # Earlier tails stay in the basis, which speeds up convergence in flat spectra.
        basis = np.linalg.qr(np.concatenate([basis, tail], axis=2))[0]
        # Project on head coordinates and the span of the tails together.
        coupling = basis.transpose(0, 2, 1) @ rest
        stacked = np.concatenate([top, coupling], axis=1)
        weighted = (basis * values[head:, None]).transpose(0, 2, 1) @ basis
        projected = -stacked @ stacked.transpose(0, 2, 1)
        projected[:, :head, :head] += np.diag(values[:head])
        projected[:, head:, head:] += weighted
        mu, inner = (part[..., ::-1][..., :size] for part in np.linalg.eigh(projected))
        vectors = np.concatenate([inner[:, :head], basis @ inner[:, head:]], axis=1)
        image = values[:, None] * vectors - factors @ (factors.transpose(0, 2, 1) @ vectors)
        residuals = np.linalg.norm(image - vectors * mu[:, None, :], axis=1).max(axis=1)
        if (residuals <= least).all():
            break
    return mu.copy(), vectors, residuals


def leading_parts(blocks: np.ndarray, size: int) -> np.ndarray:
    """Truncate every block to its strongest directions.

    Parameters
    ----------
    blocks : ndarray of shape (K, d, c)
    size : int
        1 <= size <= min(d, c).

    Returns
    -------
    ndarray of shape (K, d, size)
        ``parts_k @ parts_k.T`` is the Gram matrix of block k truncated to `size` singular values;
        columns in descending order.

    Notes
    -----
    Where few of many directions are wanted, block iteration from a fixed start replaces the full
    decomposition; directions of nearly equal strength may then be mixed.
    """
    K, d, c = blocks.shape
    grams = blocks.transpose(0, 2, 1) @ blocks if c <= d else blocks @ blocks.transpose(0, 2, 1)
    n = min(d, c)
    if n <= _SMALL_BLOCKS or 3 * (size + _OVERSAMPLE) > n:
        values, vectors = np.linalg.eigh(grams)
    else:
        basis = np.broadcast_to(_padded(None, n, size + _OVERSAMPLE), (K, n, size + _OVERSAMPLE))
        for _ in range(_BLOCK_ROUNDS // 2):
            basis = np.linalg.qr(grams @ (grams @ basis))[0]
        values, inner = np.linalg.eigh(basis.transpose(0, 2, 1) @ (grams @ basis))
        vectors = basis @ inner
    values, vectors = values[:, ::-1][:, :size], vectors[:, :, ::-1][:, :, :size]
    if c <= d:
        return blocks @ vectors
    parts: np.ndarray = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    return parts


def tall_qr(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute an orthonormal basis of a tall matrix's columns, and their coordinates in it.

    Parameters
    ----------
    matrix : ndarray of shape (d, n)
        With d >= n.

    Returns
    -------
    basis : ndarray of shape (d, n)
    coordinates : ndarray of shape (n, n)
        ``basis @ coordinates`` is the matrix.

    Notes
    -----
    Cholesky QR, applied twice, is several times faster than Householder QR, and as orthogonal while
    the condition number is below about 1e7; beyond it Householder QR is used.

    References
    ----------
    Yamamoto, Nakatsukasa, Yanagisawa, Fukaya, Roundoff error of CholeskyQR2, ETNA 2015.
    """
    basis, coordinates = matrix, np.eye(matrix.shape[1])
    for _ in range(2):
        try:
            factor = np.linalg.cholesky(basis.T @ basis)
        except np.linalg.LinAlgError:
            return np.linalg.qr(matrix)
        diagonal = np.diag(factor)
        if diagonal.min() <= 1e-6 * diagonal.max():
            return np.linalg.qr(matrix)
        # The factor is triangular: solving costs half of multiplying by its inverse.
        basis = blas.dtrsm(1.0, factor.T, basis.T, trans_a=1).T
        coordinates = factor.T @ coordinates
    return basis, coordinates
