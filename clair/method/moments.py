"""Second moments of client blocks: what the detector and the median subspace ask of the data.

All questions are about principal subspaces of weighted sums of ``X_k X_k'``, in particular with one
client left out. They are answered from the blocks' factors, in the eigenbasis of the clients kept,
so nothing larger than ``min(d, n_kept * c)`` square is ever decomposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from clair.cancellation import checkpoint
from clair.method.eigen import (
    SIMILAR_MORE,
    downdated_eigenpairs,
    leading_eigenpairs,
    leading_parts,
    similar_eigenpairs,
    small_downdates,
    top_eigenpairs,
)
from clair.method.linalg import block_grams, hstack_blocks, median, split_blocks

# Directions holding less than this share of the largest one's energy are rounding.
RANK_TOLERANCE = 1e-12
# Principal directions come from the Gram matrix of the columns where these are so many fewer.
_NARROW = 0.7


class Moments:
    """Second moments of one module's client blocks.

    Parameters
    ----------
    thin : ndarray of shape (n_clients, d, c)
        Blocks, or factors with the same Gram matrices ``thin_k @ thin_k.T``. A client whose block
        is zero counts as one that does not have this module.
    scale : float
        All energies are multiplied by it, > 0.
    expand : ndarray of shape (n_clients, b, c), optional
        Where `thin` holds each client's block in a basis of its own, that basis: the block is
        ``thin_k @ expand_k.T`` in one basis for all clients.
    noise_shape : (int, int), optional
        Shape of the space in which estimation errors live; (d, c) by default.
    """

    def __init__(
        self,
        thin: np.ndarray,
        scale: float = 1.0,
        *,
        expand: np.ndarray | None = None,
        noise_shape: tuple[int, int] | None = None,
    ) -> None:
        self.n_clients, self.d, self.c = thin.shape
        self.scale = scale
        self.thin = thin
        self._expand = expand
        self.noise_shape = noise_shape or (self.d, self.c)
        self._wide = hstack_blocks(thin)
        self.energy: np.ndarray = scale * self._per_client(self._wide**2).sum(axis=0)
        self.present: np.ndarray = self.energy > 0
        # Shared by scaled copies, before scaling: energies and subspaces by clients, Gram matrices.
        self._left_out: dict[tuple[bytes, bool], np.ndarray] = {}
        self._grams: list[np.ndarray] = []
        self._leading: np.ndarray | None = None
        self._principal: dict[tuple[bytes, int], tuple[np.ndarray, np.ndarray]] = {}

    def leading(self, size: int) -> np.ndarray:
        """Compute the strongest directions of every client, before scaling.

        Parameters
        ----------
        size : int
            Number of directions, at most min(d, c) are returned.

        Returns
        -------
        ndarray of shape (n_clients, d, size)
            Largest first; the Gram matrices are those of the truncated blocks.
        """
        size = min(size, self.d, self.c)
        if self._leading is None or self._leading.shape[2] < size:
            self._leading = leading_parts(self.thin, size)
        return self._leading[:, :, :size]

    def capped(self, factors: np.ndarray) -> Moments:
        """Multiply the clients' blocks by `factors`, of shape (n_clients,)."""
        other = Moments(self.thin * factors[:, None, None], self.scale)
        if self._in_grams:
            other._grams.append(self._client_grams() * (factors**2)[:, None, None])
        return other

    @classmethod
    def from_grams(cls, grams: np.ndarray) -> Moments:
        """Take Gram matrices of shape (n_clients, d, d) instead of blocks."""
        values, vectors = np.linalg.eigh(grams)
        return cls(vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :])

    def scaled(self, factor: float) -> Moments:
        """Multiply all energies by `factor`, sharing the data."""
        other = object.__new__(Moments)
        other.__dict__.update(self.__dict__, scale=self.scale * factor)
        other.energy = self.energy * factor
        return other

    def _per_client(self, squares: np.ndarray) -> np.ndarray:
        """Sum columns that belong to one client: (n, n_clients * c) to (n, n_clients)."""
        return squares.reshape(len(squares), self.n_clients, self.c).sum(axis=2)

    def outside(self, basis: np.ndarray) -> np.ndarray:
        """Compute each client's energy off a subspace of shape (d, rank), (n_clients,)."""
        checkpoint()
        rest = self._wide - basis @ (basis.T @ self._wide)
        energy: np.ndarray = self.scale * self._per_client(rest**2).sum(axis=0)
        return energy

    def concentration_outside(self, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute each client's energy along and off a subspace, and how few directions hold it.

        Parameters
        ----------
        basis : ndarray of shape (d, rank)

        Returns
        -------
        along : ndarray of shape (n_clients, rank)
            Energy along each direction of the basis.
        outside : ndarray of shape (n_clients,)
        concentration : ndarray of shape (n_clients,)
            Sum of the fourth powers of what is left's singular values over their energy squared: 1
            for a single direction, 1 / n for n equal ones.
        """
        checkpoint()
        if self._in_grams:
            grams = self._client_grams()
            images = grams @ basis
            inside = basis.T @ images
            along = np.einsum("kii->ki", inside)
            half = (images - basis @ (inside / 2)) @ basis.T
            grams = grams - half - half.transpose(0, 2, 1)
        else:
            inside = basis.T @ self.thin
            along = np.einsum("kij,kij->ki", inside, inside)
            grams = block_grams((self.thin - basis @ inside).transpose(0, 2, 1))
        outside = np.maximum(np.trace(grams, axis1=1, axis2=2), 0.0)
        fourth = np.einsum("kij,kij->k", grams, grams)
        concentration = fourth / np.maximum(outside**2, np.finfo(float).tiny)
        return self.scale * along, self.scale * outside, concentration

    def products(self) -> np.ndarray:
        """Compute inner products between all clients, ndarray of shape (n_clients, n_clients)."""
        return self._products(self.thin, np.arange(self.n_clients))

    def products_outside(self, basis: np.ndarray, clients: np.ndarray) -> np.ndarray:
        """Compute inner products between some clients of what they send outside a subspace.

        Parameters
        ----------
        basis : ndarray of shape (d, rank)
        clients : ndarray of int, shape (n,)

        Returns
        -------
        ndarray of shape (n, n)
        """
        parts = self.thin[clients]
        return self._products(parts - basis @ (basis.T @ parts), clients)

    def products_inside(self, basis: np.ndarray, clients: np.ndarray) -> np.ndarray:
        """Compute the same as `products_outside`, of what they send inside the subspace."""
        return self._products(basis.T @ self.thin[clients], clients)

    def _products(self, parts: np.ndarray, clients: np.ndarray) -> np.ndarray:
        """Compute inner products of parts of the blocks in the clients' own bases, (n, a, c)."""
        checkpoint()
        n, a, _ = parts.shape
        if self._expand is not None:
            own = self._expand[clients]
            if self.c**2 * (a + own.shape[1]) < a * own.shape[1]:
                # From the factors: adapters need not be multiplied out.
                left, right = hstack_blocks(parts), hstack_blocks(own)
                products = ((left.T @ left) * (right.T @ right)).reshape(n, self.c, n, self.c)
                found: np.ndarray = self.scale * products.sum(axis=(1, 3))
                return found
            parts = parts @ own.transpose(0, 2, 1)
        flat = parts.reshape(n, -1)
        return self.scale * (flat @ flat.T)

    def principal(self, weights: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Compute weighted clients' principal subspace, and their energy along its directions.

        Parameters
        ----------
        weights : ndarray of shape (n_clients,)
            >= 0, or a mask.
        size : int
            1 <= size <= d.

        Returns
        -------
        energy : ndarray of shape (size,)
            Descending.
        basis : ndarray of shape (d, size)
        """
        weights = weights.astype(float)
        key = weights.tobytes(), size
        if key not in self._principal:
            self._principal[key] = self._find_principal(weights, size)
        energy, basis = self._principal[key]
        return self.scale * energy, basis

    def _find_principal(self, weights: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        clients = weights > 0
        if size <= int(clients.sum()) * self.c <= _NARROW * self.d:
            checkpoint()
            stacked = self._wide[:, np.repeat(clients, self.c)]
            stacked = stacked * np.sqrt(np.repeat(weights[clients], self.c))
            values, right = top_eigenpairs(stacked.T @ stacked, size)
            if values[-1] > RANK_TOLERANCE * values[0]:
                return values, stacked @ (right / np.sqrt(values))
        values, basis = leading_eigenpairs(self.weighted(weights), size)
        return values / self.scale, basis

    def weighted(self, weights: np.ndarray) -> np.ndarray:
        """Compute ``sum_k weights_k X_k X_k'``, ndarray of shape (d, d)."""
        checkpoint()
        if self._in_grams:
            return self.scale * self._weighted_grams(weights)
        total: np.ndarray = self.scale * ((self._wide * np.repeat(weights, self.c)) @ self._wide.T)
        return total

    @property
    def _in_grams(self) -> bool:
        """Whether the clients' Gram matrices take no more room than twice their blocks."""
        return 2 * self.c >= self.d

    def _weighted_grams(self, weights: np.ndarray) -> np.ndarray:
        grams = self._client_grams().reshape(self.n_clients, -1)
        total: np.ndarray = (weights @ grams).reshape(self.d, self.d)
        return total

    def _client_grams(self) -> np.ndarray:
        if not self._grams:
            self._grams.append(block_grams(split_blocks(self._wide, self.n_clients)))
        return self._grams[0]

    def left_out_energy(
        self,
        kept: np.ndarray,
        size: int,
        representative: np.ndarray | None = None,
        *,
        coarse: bool = False,
    ) -> np.ndarray:
        """Compute each client's energy along the *other* kept clients' principal directions.

        Parameters
        ----------
        kept : ndarray of bool, shape (n_clients,)
            The clients the directions are fitted on.
        size : int
            Number of directions.
        representative : ndarray of int, shape (n_clients,), optional
            The client that is left out for each, itself by default.
        coarse : bool
            To about four digits, see `clair.method.eigen.downdated_eigenpairs`.

        Returns
        -------
        ndarray of shape (n_clients, size)
            Largest direction first; zero for directions that the others do not have.
        """
        if representative is None:
            representative = np.arange(self.n_clients)
        key = kept.tobytes() + representative.tobytes(), coarse
        known = self._left_out.get(key)
        if known is None or known.shape[1] < size:
            known = self._compute_left_out(kept, size, representative, coarse=coarse)[0]
            self._left_out[key] = known
        return self.scale * known[:, :size]

    def span(self, kept: np.ndarray) -> int:
        """Bound the dimension of what the kept clients span, by counting columns."""
        filled = self._per_client((self._wide != 0).any(axis=0)[None])[0]
        return int(min(self.d, filled[kept].sum()))

    def left_out_shares(
        self,
        kept: np.ndarray,
        size: int,
        parts: np.ndarray,
        representative: np.ndarray,
        *,
        coarse: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute `left_out_energy`, and the same for parts of each client's block.

        Parameters
        ----------
        kept : ndarray of bool, shape (n_clients,)
        size : int
        parts : ndarray of shape (n_clients, d, n_parts)
        representative, coarse
            See `left_out_energy`.

        Returns
        -------
        energy : ndarray of shape (n_clients, size)
        shares : ndarray of shape (n_clients, size, n_parts)
            Before scaling.
        """
        energy, shares = self._compute_left_out(kept, size, representative, parts, coarse=coarse)
        return self.scale * energy, shares

    def _compute_left_out(
        self,
        kept: np.ndarray,
        size: int,
        representative: np.ndarray,
        parts: np.ndarray | None = None,
        *,
        coarse: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        checkpoint()
        parts = np.zeros((self.n_clients, self.d, 0)) if parts is None else parts
        energy = np.zeros((self.n_clients, size))
        shares = np.zeros((self.n_clients, size, parts.shape[2]))
        if not self.present[kept].any():
            return energy, shares
        # Who is compared with the others' directions, and which of the kept is left out for them.
        those = np.flatnonzero(kept[representative])
        which = np.searchsorted(np.flatnonzero(kept), representative[those])
        if self._in_grams and small_downdates(self.d, self.c, size):
            grams, n = self._client_grams(), min(size, self.d)
            total = self._weighted_grams(kept.astype(float))
            values, basis = top_eigenpairs(total, min(n + SIMILAR_MORE, self.d))
            left, bases = similar_eigenpairs(total - grams[kept], n, values, basis)
            basis, bases = basis[:, :n], bases[which]
            energy[:, :n] = np.sum((grams @ basis) * basis, axis=1)
            energy[those, :n] = np.sum((grams[those] @ bases) * bases, axis=1)
        else:
            values, vectors, coordinates = self._eigenbasis(kept)
            checkpoint()
            n = min(size, len(values))
            if n == 0:
                return energy, shares
            energy[:, :n] = self._per_client(coordinates[:n] ** 2).T
            blocks = coordinates.reshape(len(values), self.n_clients, self.c).transpose(1, 0, 2)
            left, bases = downdated_eigenpairs(values, blocks[kept], n, coarse=coarse)
            bases = bases[which]
            inner = bases.transpose(0, 2, 1) @ blocks[those]
            energy[those, :n] = np.einsum("kic,kic->ki", inner, inner)
            parts, basis = vectors.T @ parts, np.eye(len(values), n)
        shares[:, :n] = (basis.T @ parts) ** 2
        shares[those, :n] = (bases.transpose(0, 2, 1) @ parts[those]) ** 2
        # A direction in which the others have no energy says nothing about what they share.
        floor = RANK_TOLERANCE * max(values[0], 0.0)
        without = np.empty((self.n_clients, n), dtype=bool)
        without[:] = values[:n] <= floor
        without[those] = left[which] <= floor
        energy[:, :n][without] = 0.0
        shares[:, :n][without] = 0.0
        return energy, shares

    def _eigenbasis(self, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Decompose the kept clients' total: eigenvalues, eigenvectors, and all blocks in these."""
        columns = np.repeat(kept, self.c)
        stacked = self._wide[:, columns]
        if stacked.shape[1] < self.d:
            values, right = np.linalg.eigh(stacked.T @ stacked)
        else:
            values, left = np.linalg.eigh(stacked @ stacked.T)
        values = values[::-1]
        rank = int(np.sum(values > RANK_TOLERANCE * max(values[0], 0.0)))
        values = values[:rank]
        if stacked.shape[1] < self.d:
            left = stacked @ (right[:, ::-1][:, :rank] / np.sqrt(values))
        else:
            left = left[:, ::-1][:, :rank]
        return values, left, left.T @ self._wide


GramsOrMoments: TypeAlias = "np.ndarray | Moments"


def as_moments(modules: Sequence[GramsOrMoments]) -> list[Moments]:
    """Convert Gram matrices of shape (n_clients, d, d) to moments; leave moments as they are."""
    return [m if isinstance(m, Moments) else Moments.from_grams(m) for m in modules]


def normalised(moments: Sequence[Moments]) -> list[Moments]:
    """Divide each module by the median energy of the clients that have it."""
    scaled = []
    for one in moments:
        energy = one.energy[one.present] if one.present.any() else one.energy
        typical = median(energy) or float(energy.mean()) or 1.0
        scaled.append(one.scaled(1 / typical))
    return scaled
