"""All adapters' updates of one module as a small core, from two small Gram matrices.

With B_k (d_out, rho) and A_k (rho, d_in) side by side in ``Y = [B_1 .. B_K]`` and
``Z = [A_1' .. A_K']``, norms, angles and singular values of the updates depend on ``Y'Y`` and
``Z'Z`` only. A root of each, ``Y'Y = R'R``, replaces a side of length 4096 or more by at most
n_clients * rho coordinates without loss (`clair.method.updates`), and a module's factors can be
forgotten as soon as its two Gram matrices are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from clair.cancellation import checkpoint
from clair.method.shape import factor_kurtosis
from clair.method.updates import CompressedUpdates, thin_product

#: B of shape (d_out, rank) and A of shape (rank, d_in), or None where a client lacks the module.
Factors: TypeAlias = "tuple[np.ndarray, np.ndarray] | None"

_ROOT_TOLERANCE = 1e-14


@dataclass(frozen=True)
class ModuleCore:
    """One module of all clients, compressed.

    Attributes
    ----------
    output : ndarray of shape (n_clients, a, rho)
        Coordinates of every B_k, zero where the module is missing, ranks padded with zeros.
    input : ndarray of shape (n_clients, b, rho)
        Coordinates of every A_k transposed.
    shape : tuple of int
        (d_out, d_in) of the module.
    ranks : ndarray of int, shape (n_clients,)
        0 where the module is missing.
    kurtosis : ndarray of shape (n_clients,)
        Of the entries of each update; NaN where it is missing or zero.
    """

    output: np.ndarray
    input: np.ndarray
    shape: tuple[int, int]
    ranks: np.ndarray
    kurtosis: np.ndarray

    @property
    def comparable_kurtosis(self) -> np.ndarray | None:
        """The kurtosis, if all clients have the module with the same rank."""
        same = bool((self.ranks == self.ranks[0]).all())
        return self.kurtosis if same and np.isfinite(self.kurtosis).all() else None

    @property
    def energy(self) -> np.ndarray:
        """Squared norms of the updates, ndarray of shape (n_clients,)."""
        left, right = (part.transpose(0, 2, 1) @ part for part in (self.output, self.input))
        found: np.ndarray = (left * right).sum(axis=(1, 2))
        return found

    def core(self, side: str) -> CompressedUpdates:
        """Build the core for `fit_cores`, with `side` along the rows."""
        first, second, shape = self.output, self.input, self.shape
        if side == "input":
            first, second, shape = second, first, shape[::-1]
        thin, expand = thin_product(first, second.transpose(0, 2, 1))
        return CompressedUpdates(thin, expand, None, None, shape, (first.shape[1], second.shape[1]))

    @property
    def rank_limit(self) -> int:
        """The largest rank of a subspace that both sides have room for."""
        return min(*self.shape, self.output.shape[1], self.input.shape[1])

    def select(self, clients: np.ndarray) -> ModuleCore:
        """Select some of the clients."""
        return ModuleCore(
            self.output[clients],
            self.input[clients],
            self.shape,
            self.ranks[clients],
            self.kurtosis[clients],
        )

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.output.nbytes + self.input.nbytes


def compress(factors: Sequence[Factors], shape: tuple[int, int]) -> ModuleCore:
    """Compress one module.

    Parameters
    ----------
    factors : sequence of (B, A) or None
        One entry a client, scaling applied.
    shape : tuple of int
        (d_out, d_in).
    """
    ranks = np.array([0 if pair is None else pair[0].shape[1] for pair in factors])
    pairs = [pair for pair in factors if pair is not None]
    if not pairs:
        empty = np.zeros((len(factors), 1, 1))
        return ModuleCore(empty, empty, shape, ranks, np.full(len(factors), np.nan))
    return ModuleCore(
        _spread(side_root([B for B, _ in pairs]), ranks),
        _spread(side_root([A.T for _, A in pairs]), ranks),
        shape,
        ranks,
        np.array([_kurtosis(pair) for pair in factors]),
    )


def _kurtosis(pair: Factors) -> float:
    found = None if pair is None else factor_kurtosis(pair[0][None], pair[1][None])
    return float("nan") if found is None else float(found[0])


def side_root(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Compute coordinates with the inner products of all columns, (a, n_columns)."""
    checkpoint()
    stacked = np.concatenate(columns, axis=1)
    if stacked.shape[0] <= stacked.shape[1]:
        return stacked
    return gram_root(stacked.T @ stacked)[0]


def gram_root(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute a root of a positive semidefinite matrix, and the pseudo-inverse of that root.

    Parameters
    ----------
    gram : ndarray of shape (n, n)

    Returns
    -------
    root : ndarray of shape (a, n)
        ``root.T @ root`` equals `gram`; a is its numerical rank, at least 1.
    inverse : ndarray of shape (n, a)
        For ``gram = Y'Y``, ``Y @ inverse`` has orthonormal columns and ``Y @ inverse @ root`` is Y.

    Notes
    -----
    Columns are scaled to length 1 first, so that a client a million times larger than the others
    costs them no accuracy.
    """
    lengths = np.sqrt(np.maximum(np.diag(gram), 0.0))
    lengths[lengths == 0] = 1.0
    values, vectors = np.linalg.eigh(gram / np.outer(lengths, lengths))
    kept = values > _ROOT_TOLERANCE * len(gram) * max(values[-1], np.finfo(float).tiny)
    kept[-1] = True
    roots = np.sqrt(np.maximum(values[kept], 0.0))
    inverse = np.where(roots > 0, 1 / np.where(roots > 0, roots, 1.0), 0.0)
    vectors = vectors[:, kept]
    return (vectors * roots).T * lengths, vectors * inverse / lengths[:, None]


def _spread(root: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Split columns side by side into one zero-padded block per client."""
    blocks = np.zeros((len(ranks), root.shape[0], int(ranks.max())))
    for block, rank, end in zip(blocks, ranks, np.cumsum(ranks), strict=True):
        block[:, :rank] = root[:, end - rank : end]
    return blocks
