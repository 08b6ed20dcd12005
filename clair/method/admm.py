"""The linear algebra of one ADMM step: a module's state, and singular value thresholding.

One matrix T holds what textbooks keep in S and the multiplier Y: S = f T and Y / penalty =
(1 - f) T, client by client, where f are the factors of the block soft threshold. Transposed blocks
are stacked, so that a client's numbers are contiguous, and are processed in pieces that stay in the
processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import blas

from clair.cancellation import checkpoint
from clair.method.eigen import LARGE, krylov_eigenpairs
from clair.method.linalg import spectral_threshold, stack_rows

OVER_RELAXATION = 1.6
# Numbers per piece: the fastest of 2^13 to 2^20, measured at 64 x 64 and 128 x 128.
_PIECE = 1 << 16


class Shrinkage:
    """Singular value thresholding of a slowly changing matrix, from the last step's subspace.

    Large matrices with few singular values above the threshold are not decomposed in full. `exact`
    tells whether the latest result came from a full decomposition, `always` whether the caller
    requires one.
    """

    def __init__(self) -> None:
        self.exact = False
        self.always = False
        self._basis: np.ndarray | None = None

    def __call__(
        self, rows: np.ndarray, tau: float, gram: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Threshold the singular values of ``rows.T``.

        Parameters
        ----------
        rows : ndarray of shape (n, d)
        tau : float
            Threshold, > 0.
        gram : ndarray of shape (d, d), or None
            ``rows.T @ rows``, if known already.

        Returns
        -------
        basis, factors, singular_values
            As from `spectral_threshold`.
        """
        d = rows.shape[1]
        if d < LARGE or self.always:
            return self._in_full(rows, tau, gram)
        size = 2 if self._basis is None else self._basis.shape[1] + 1
        found = None
        while found is None and 5 * (size + 4) <= d:
            found = krylov_eigenpairs(
                lambda x: rows.T @ (rows @ x), d, size, self._basis, above=tau**2
            )
            if found is not None and found[0][size - 1] > tau**2:
                self._basis, found, size = found[1], None, 2 * size
            elif found is None:
                break
        if found is None:
            return self._in_full(rows, tau, gram)
        self.exact = False
        values = np.sqrt(np.maximum(found[0], 0.0))
        kept = int(np.sum(values > tau))
        self._basis = found[1][:, : max(kept, 1)]
        shrunk = np.zeros(d)
        shrunk[:kept] = values[:kept] - tau
        return found[1][:, :kept], shrunk[:kept] / values[:kept], shrunk

    def _in_full(
        self, rows: np.ndarray, tau: float, gram: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.exact = True
        few = self._basis is not None and 4 * self._basis.shape[1] <= rows.shape[1]
        found = spectral_threshold(rows.T @ rows if gram is None else gram, tau, few=few)
        self._basis = found[0]
        return found


class ModuleState:
    """State of one module between two steps.

    Parameters
    ----------
    blocks : ndarray of shape (n_clients, d, c)

    Attributes
    ----------
    rows : ndarray of shape (n_clients * c, d)
        The data M, client below client, each block transposed.
    left : ndarray of the same shape
        ``M - L`` after a step.
    squares : ndarray of shape (3, n_clients)
        Of each client after a step: ``||M - L||^2``, ``<M - L, T>`` with T from before the step,
        and ``||T||^2`` with the new one.
    """

    def __init__(self, blocks: np.ndarray) -> None:
        self.n_clients, self.d, self.c = blocks.shape
        self.rows = stack_rows(blocks)
        self.left, self._now, self._before = np.zeros((3, *self.rows.shape))
        self.squares = np.zeros((3, self.n_clients))
        self._shrink = Shrinkage()
        self._gram = self.rows.T @ self.rows
        self._fresh = True
        step = max(1, _PIECE // max(self.c * self.d, 1))
        self._cuts = [slice(start, start + step) for start in range(0, self.n_clients, step)]

    @property
    def exact(self) -> bool:
        """Whether the last step decomposed in full."""
        return self._shrink.exact

    def insist(self, always: bool) -> None:
        """Decompose in full from now on, or no longer."""
        self._shrink.always = always

    def largest(self) -> float:
        """Compute the largest singular value of the data."""
        if self.d >= LARGE:
            found = krylov_eigenpairs(lambda x: self._gram @ x, self.d, 1)
            if found is not None:
                return float(np.sqrt(max(found[0][0], 0.0)))
        return float(np.sqrt(max(np.linalg.eigvalsh(self._gram)[-1], 0.0)))

    def _pieces(self, *arrays: np.ndarray) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """Cut arrays into pieces of whole clients; yield each piece's clients and rows."""
        flat = [array.reshape(self.n_clients, -1) for array in arrays]
        if len(self._cuts) == 1:
            yield self._cuts[0], flat
            return
        for clients in self._cuts:
            yield clients, [array[clients] for array in flat]

    def step(self, factors: np.ndarray, share: np.ndarray, tau: float) -> np.ndarray:
        """Take one step of ADMM, up to the block soft threshold.

        Parameters
        ----------
        factors : ndarray of shape (n_clients,)
            f, of the last block soft threshold.
        share : ndarray of shape (n_clients,)
            g, ``(1 - f)`` times the last penalty over the present one.
        tau : float
            One over the penalty.

        Returns
        -------
        ndarray of shape (d,)
            Singular values of the low-rank part, descending, zeros included.
        """
        checkpoint()
        Z, gram = self._shifted(share - factors)
        basis, scale, values = self._shrink(Z, tau, gram)
        spread = scale[:, None] * basis.T
        own = share - (OVER_RELAXATION - 1) * factors
        self._before, self._now = self._now, self._before
        for clients, (m, left, old, new) in self._pieces(
            self.rows, self.left, self._before, self._now
        ):
            rows = left.reshape(-1, self.d)
            np.matmul(rows @ basis, spread, out=rows)
            np.subtract(m, left, out=left)
            self.squares[0, clients] = np.vecdot(left, left)
            self.squares[1, clients] = np.vecdot(left, old)
            np.multiply(old, own[clients, None], out=new)
            blas.daxpy(left.reshape(-1), new.reshape(-1), a=OVER_RELAXATION)
            self.squares[2, clients] = np.vecdot(new, new)
        return values

    def _shifted(self, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Compute ``M + shift T`` in the memory of `left`, and its Gram matrix if it is needed."""
        wanted = self.d < LARGE or self._shrink.exact
        if self._fresh:
            self._fresh = False
            self.left[:] = self.rows
            return self.left, self._gram
        gram = np.zeros((self.d, self.d))
        for clients, (m, left, now) in self._pieces(self.rows, self.left, self._now):
            np.multiply(now, shift[clients, None], out=left)
            left += m
            if wanted:
                rows = left.reshape(-1, self.d)
                gram += rows.T @ rows
        return self.left, gram if wanted else None

    def gap(self, factors: np.ndarray) -> float:
        """Compute the squared norm of ``M - L - S`` directly."""
        total = 0.0
        for clients, (left, now) in self._pieces(self.left, self._now):
            rest = left - factors[clients, None] * now
            total += float(np.vdot(rest, rest))
        return total

    def moved(self, factors: np.ndarray, previous: np.ndarray) -> float:
        """Compute the squared norm of ``S - S_before + (1 - a) (M - L - S_before)`` directly."""
        total = 0.0
        for clients, (left, now, old) in self._pieces(self.left, self._now, self._before):
            rest = factors[clients, None] * now
            rest -= ((2 - OVER_RELAXATION) * previous[clients, None]) * old
            rest -= (OVER_RELAXATION - 1) * left
            total += float(np.vdot(rest, rest))
        return total

    def low_rank(self) -> np.ndarray:
        """Compute L as blocks of shape (n_clients, d, c)."""
        return self._as_blocks(self.rows - self.left)

    def scaled(self, weights: np.ndarray) -> np.ndarray:
        """Multiply every client's block of T by the client's weight."""
        return self._as_blocks(self._now * np.repeat(weights, self.c)[:, None])

    def _as_blocks(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(self.n_clients, self.c, self.d).transpose(0, 2, 1)
