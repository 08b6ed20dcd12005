"""Updates of all clients as the methods leave them: dense, or factored and never multiplied out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy.linalg import block_diag

from clair.method.updates import FactoredUpdates, LoraFactors


@dataclass(frozen=True)
class Tuned:
    """A start, and what each client learned on top of it.

    Attributes
    ----------
    start : ndarray of shape (n_clients, d_out, d_in), or FactoredUpdates
    own : LoraFactors
        Of the same clients.
    """

    start: np.ndarray | FactoredUpdates
    own: LoraFactors

    def dense(self) -> np.ndarray:
        """Multiply out all updates, ndarray of shape (n_clients, d_out, d_in)."""
        start = self.start if isinstance(self.start, np.ndarray) else self.start.dense()
        return start + self.own.dense()


#: One module's updates of all clients, in any form.
Update: TypeAlias = "np.ndarray | FactoredUpdates | LoraFactors | Tuned"


def select(update: Update, clients: np.ndarray) -> Any:
    """Take some clients' updates, by index or mask; what all share stays shared."""
    if isinstance(update, FactoredUpdates):
        return FactoredUpdates(update.left, _rows(update.core, clients), update.right)
    if isinstance(update, LoraFactors):
        return LoraFactors(update.B[clients], update.A[clients])
    if isinstance(update, Tuned):
        start, own = select(update.start, clients), select(update.own, clients)
        return replace(update, start=start, own=own)
    return _rows(update, clients)


def _rows(array: np.ndarray, clients: np.ndarray) -> np.ndarray:
    if array.strides[0] == 0 and len(array) > 1:
        n = int(clients.sum()) if clients.dtype == bool else len(clients)
        return np.broadcast_to(array[0], (n, *array.shape[1:]))
    chosen: np.ndarray = array[clients]
    return chosen


def joined(parts: Sequence[np.ndarray | FactoredUpdates]) -> np.ndarray | FactoredUpdates:
    """Put the clients of several updates of one module behind each other.

    Raises
    ------
    TypeError
        If some are factored and others dense.
    """
    factored = [part for part in parts if isinstance(part, FactoredUpdates)]
    if not factored:
        return np.concatenate([part for part in parts if isinstance(part, np.ndarray)])
    if len(factored) < len(parts):
        raise TypeError("parts must all be factored or all dense, got both")
    first = factored[0]
    if all(part.left is first.left and part.right is first.right for part in factored):
        return replace_core(first, np.concatenate([part.core for part in factored]))
    empty = [np.zeros(part.core.shape[1:]) for part in factored]
    cores = [
        block_diag(*empty[:i], one, *empty[i + 1 :])
        for i, part in enumerate(factored)
        for one in part.core
    ]
    return FactoredUpdates(
        np.hstack([part.left for part in factored]),
        np.stack(cores),
        np.hstack([part.right for part in factored]),
    )


def replace_core(update: FactoredUpdates, core: np.ndarray) -> FactoredUpdates:
    """Keep the bases and take other coordinates."""
    return FactoredUpdates(update.left, core, update.right)


def halfway(
    one: np.ndarray | FactoredUpdates, other: np.ndarray | FactoredUpdates
) -> np.ndarray | FactoredUpdates:
    """Average two updates of the same module, factored ones in the same bases."""
    if isinstance(one, FactoredUpdates) and isinstance(other, FactoredUpdates):
        return replace_core(one, 0.5 * (one.core + other.core))
    assert isinstance(one, np.ndarray)
    assert isinstance(other, np.ndarray)
    mean: np.ndarray = 0.5 * (one + other)
    return mean


def nothing_like(update: np.ndarray | FactoredUpdates) -> np.ndarray | FactoredUpdates:
    """Make the update that changes nothing, for as many clients."""
    if isinstance(update, FactoredUpdates):
        return replace_core(update, np.broadcast_to(0.0, update.core.shape))
    return np.zeros_like(update)


def averaged(
    update: np.ndarray | FactoredUpdates, weights: np.ndarray | None
) -> np.ndarray | FactoredUpdates:
    """Give every client the weighted mean of all; equal weights by default."""
    values = update.core if isinstance(update, FactoredUpdates) else update
    mean = np.broadcast_to(np.average(values, axis=0, weights=weights), values.shape)
    return replace_core(update, mean) if isinstance(update, FactoredUpdates) else mean
