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
from clair.eigen import downdated_eigenpairs
from clair.linalg import hstack_blocks

# Directions holding less than this share of the largest one's energy are rounding.
RANK_TOLERANCE = 1e-12


class Scatter:
    """Second moments of one module's client blocks.

    Parameters
    ----------
    thin : ndarray of shape (n_clients, d, c)
        Blocks, or factors with the same Gram matrices ``thin_k @ thin_k.T``. A client whose block
        is zero counts as one that does not have this module.
    scale : float
        All energies are multiplied by it, > 0.
    """

    def __init__(self, thin: np.ndarray, scale: float = 1.0) -> None:
        self.n_clients, self.d, self.c = thin.shape
        self.scale = scale
        self._wide = hstack_blocks(thin)
        self.energy: np.ndarray = scale * self._per_client(self._wide**2).sum(axis=0)
        self.present: np.ndarray = self.energy > 0
        self._left_out: dict[bytes, np.ndarray] = {}  # by kept clients, before scaling

    @classmethod
    def from_grams(cls, grams: np.ndarray) -> Scatter:
        """Take Gram matrices of shape (n_clients, d, d) instead of blocks."""
        values, vectors = np.linalg.eigh(grams)
        return cls(vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :])

    def scaled(self, factor: float) -> Scatter:
        """The same data with energies multiplied by `factor`."""
        other = object.__new__(Scatter)
        other.__dict__.update(self.__dict__, scale=self.scale * factor)
        other.energy = self.energy * factor
        return other

    def _per_client(self, squares: np.ndarray) -> np.ndarray:
        """Sum columns that belong to one client: (n, n_clients * c) to (n, n_clients)."""
        return squares.reshape(len(squares), self.n_clients, self.c).sum(axis=2)

    def outside(self, basis: np.ndarray) -> np.ndarray:
        """Energy of each client off a subspace of shape (d, rank), (n_clients,)."""
        checkpoint()
        rest = self._wide - basis @ (basis.T @ self._wide)
        energy: np.ndarray = self.scale * self._per_client(rest**2).sum(axis=0)
        return energy

    def weighted(self, weights: np.ndarray) -> np.ndarray:
        """``sum_k weights_k X_k X_k'``, ndarray of shape (d, d)."""
        checkpoint()
        total: np.ndarray = self.scale * ((self._wide * np.repeat(weights, self.c)) @ self._wide.T)
        return total

    def left_out_energy(self, kept: np.ndarray, size: int) -> np.ndarray:
        """Energy of each client along the principal directions of the *other* kept clients.

        Parameters
        ----------
        kept : ndarray of bool, shape (n_clients,)
            The clients the directions are fitted on.
        size : int
            Number of directions.

        Returns
        -------
        ndarray of shape (n_clients, size)
            Largest direction first; zero for directions that the others do not have.
        """
        key = kept.tobytes()
        known = self._left_out.get(key)
        if known is None or known.shape[1] < size:
            known = self._compute_left_out(kept, size)
            self._left_out[key] = known
        return self.scale * known[:, :size]

    def span(self, kept: np.ndarray) -> int:
        """Dimension of what the kept clients span, counted by columns."""
        filled = self._per_client((self._wide != 0).any(axis=0)[None])[0]
        return int(min(self.d, filled[kept].sum()))

    def _compute_left_out(self, kept: np.ndarray, size: int) -> np.ndarray:
        checkpoint()
        values, coordinates = self._eigenbasis(kept)
        checkpoint()
        energy = np.zeros((self.n_clients, size))
        n = min(size, len(values))
        if n == 0:
            return energy
        energy[:, :n] = self._per_client(coordinates[:n] ** 2).T
        blocks = coordinates.reshape(len(values), self.n_clients, self.c).transpose(1, 0, 2)
        left, vectors = downdated_eigenpairs(values, blocks[kept], n)
        inner = vectors.transpose(0, 2, 1) @ blocks[kept]
        own = np.einsum("kic,kic->ki", inner, inner)
        # A direction without the others' support is no evidence of what they share.
        own[left <= RANK_TOLERANCE * values[0]] = 0.0
        energy[kept, :n] = own
        return energy

    def _eigenbasis(self, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of the kept clients' total, and all blocks in its eigenvectors."""
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
        return values, left.T @ self._wide


Moments: TypeAlias = "np.ndarray | Scatter"


def as_scatters(modules: Sequence[Moments]) -> list[Scatter]:
    """Gram matrices of shape (n_clients, d, d) or scatters, as scatters."""
    return [m if isinstance(m, Scatter) else Scatter.from_grams(m) for m in modules]


def normalised(scatters: Sequence[Scatter]) -> list[Scatter]:
    """Divide each module by the median energy of the clients that have it."""
    scaled = []
    for scatter in scatters:
        energy = scatter.energy[scatter.present] if scatter.present.any() else scatter.energy
        typical = float(np.median(energy)) or float(energy.mean()) or 1.0
        scaled.append(scatter.scaled(1 / typical))
    return scaled
