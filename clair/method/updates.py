"""The forms updates come in, and their lossless compression to a small core.

Every method of the package is equivariant under orthonormal changes of basis of the output and the
input space, so a module's updates can be worked on as ``left @ core_k @ right.T`` with orthonormal
`left` and `right` shared by all clients. For LoRA factors the core is at most (n_clients * rho)
square, however large the module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from clair.method.eigen import tall_qr
from clair.method.inputs import ORDINARY, float_array, log_sizes, scaling_of
from clair.method.linalg import block_grams, hstack_blocks, split_blocks
from clair.method.moments import Moments


@dataclass(frozen=True)
class LoraFactors:
    """Low-rank updates ``B_k @ A_k`` of one module, scaling already applied.

    Attributes
    ----------
    B : ndarray of shape (n_clients, d_out, rho)
    A : ndarray of shape (n_clients, rho, d_in)

    Raises
    ------
    ValueError
        If the shapes do not fit each other or an entry is not finite.
    """

    B: np.ndarray
    A: np.ndarray

    def __post_init__(self) -> None:
        for name in ("B", "A"):
            object.__setattr__(self, name, float_array(f"LoraFactors.{name}", getattr(self, name)))
        if self.B.shape[0] != self.A.shape[0] or self.B.shape[2] != self.A.shape[1]:
            raise ValueError(
                "LoraFactors must have B of shape (n_clients, d_out, rho) and A of shape "
                f"(n_clients, rho, d_in), got {self.B.shape} and {self.A.shape}"
            )

    def dense(self) -> np.ndarray:
        """Multiply out all updates, ndarray of shape (n_clients, d_out, d_in)."""
        return self.B @ self.A

    def transposed(self) -> LoraFactors:
        """Transpose the updates."""
        return LoraFactors(self.A.transpose(0, 2, 1), self.B.transpose(0, 2, 1))


@dataclass(frozen=True)
class FactoredUpdates:
    """Updates ``left @ core_k @ right.T`` with orthonormal bases shared by all clients.

    Attributes
    ----------
    left : ndarray of shape (d_out, a)
    core : ndarray of shape (n_clients, a, b)
    right : ndarray of shape (d_in, b)
    """

    left: np.ndarray
    core: np.ndarray
    right: np.ndarray

    def dense(self) -> np.ndarray:
        """Multiply out all updates, ndarray of shape (n_clients, d_out, d_in)."""
        return self.left @ self.core @ self.right.T

    def transposed(self) -> FactoredUpdates:
        """Transpose the updates."""
        return FactoredUpdates(self.right, self.core.transpose(0, 2, 1), self.left)


class LazyUpdates(FactoredUpdates):
    """Factored updates whose core is computed when first asked for.

    Parameters
    ----------
    left : ndarray of shape (d_out, a)
    right : ndarray of shape (d_in, b)
    make : callable
        Returns the core, of shape (n_clients, a, b).
    """

    def __init__(self, left: np.ndarray, right: np.ndarray, make: Callable[[], np.ndarray]) -> None:
        self.__dict__.update(left=left, right=right, _make=make)

    @cached_property
    def core(self) -> np.ndarray:
        """Array of shape (n_clients, a, b)."""
        made: np.ndarray = self.__dict__["_make"]()
        return made

    def transposed(self) -> FactoredUpdates:
        """Transpose the updates."""
        return LazyUpdates(self.right, self.left, lambda: self.core.transpose(0, 2, 1))


ModuleUpdates: TypeAlias = "np.ndarray | LoraFactors"
Updates: TypeAlias = "ModuleUpdates | Mapping[str, ModuleUpdates]"
Estimates: TypeAlias = "np.ndarray | FactoredUpdates"


@dataclass(frozen=True)
class CompressedUpdates:
    """One module's updates in shared small bases, with the sides already in output order.

    Attributes
    ----------
    thin : ndarray of shape (n_clients, a, c)
        ``blocks_k = thin_k @ expand_k.T``: each block in a basis of its own client, which keeps
        norms and Gram matrices and makes the solver's matrix (a, n_clients * c) smallest.
    expand : ndarray of shape (n_clients, b, c), or None
        Orthonormal columns; None where thin is blocks.
    left, right : ndarray of shape (d_out, a) and (d_in, b), or None
        Orthonormal columns; None for the identity.
    shape : tuple of int
        Of the module's updates, sides in output order.
    noise_shape : tuple of int
        Shape of the space in which estimation errors live: the module's for dense updates, the
        core's for factored ones.
    """

    thin: np.ndarray
    expand: np.ndarray | None
    left: np.ndarray | None
    right: np.ndarray | None
    shape: tuple[int, int]
    noise_shape: tuple[int, int]

    @property
    def rows(self) -> int:
        """Dimension a of the core's output space."""
        return int(self.thin.shape[1])

    @cached_property
    def blocks(self) -> np.ndarray:
        """The updates in the shared bases, ndarray of shape (n_clients, a, b)."""
        return self.from_thin(self.thin)

    def block(self, client: int) -> np.ndarray:
        """Compute one client's update in the shared bases, ndarray of shape (a, b)."""
        return (
            self.thin[client] if self.expand is None else self.thin[client] @ self.expand[client].T
        )

    @cached_property
    def moments(self) -> Moments:
        """Second moments of the blocks."""
        return Moments(self.thin, expand=self.expand, noise_shape=self.noise_shape)

    @property
    def grams(self) -> np.ndarray:
        """``blocks_k @ blocks_k.T``, ndarray of shape (n_clients, a, a)."""
        return block_grams(self.thin)

    def from_thin(self, thin: np.ndarray) -> np.ndarray:
        """Convert blocks of a decomposition made on `thin` to the shared bases."""
        return thin if self.expand is None else thin @ self.expand.transpose(0, 2, 1)

    def subspace(self, basis: np.ndarray) -> np.ndarray:
        """Convert a basis of shape (a, rank) to the module's own coordinates, (d_out, rank)."""
        return basis if self.left is None else self.left @ basis

    def restore_later(self, make: Callable[[], np.ndarray]) -> Estimates:
        """Make blocks that are computed on first use on the LoRA path, at once otherwise."""
        if self.right is None:
            return self.restore(make())
        left = np.eye(self.rows) if self.left is None else self.left
        return LazyUpdates(left, self.right, make)

    def restore(self, blocks: np.ndarray) -> Estimates:
        """Convert blocks to the module's own coordinates: dense, or factored on the LoRA path."""
        if self.right is not None:
            left = np.eye(blocks.shape[1]) if self.left is None else self.left
            return FactoredUpdates(left, blocks, self.right)
        return blocks if self.left is None else self.left @ blocks


def _thin(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Write each block as (a, c) times an orthonormal (b, c) transposed, c = min(a, b)."""
    if blocks.shape[2] <= blocks.shape[1]:
        return blocks, None
    expand, upper = np.linalg.qr(blocks.transpose(0, 2, 1))
    return upper.transpose(0, 2, 1), expand


def _in_joint_basis(columns: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Compute an orthonormal basis of all columns of (n_clients, d, c), and the columns in it.

    The basis is None for the identity where it would not be smaller.
    """
    n_clients, d, c = columns.shape
    if d <= n_clients * c:
        return None, columns
    basis, coordinates = tall_qr(hstack_blocks(columns))
    return basis, split_blocks(coordinates, n_clients)


def dense_core(blocks: np.ndarray) -> CompressedUpdates:
    """Compress dense updates of shape (n_clients, d_out, d_in)."""
    shape = (blocks.shape[1], blocks.shape[2])
    left, blocks = _in_joint_basis(blocks)
    thin, expand = _thin(blocks)
    return CompressedUpdates(thin, expand, left, None, shape, shape)


def factored_core(factors: LoraFactors) -> CompressedUpdates:
    """Compress LoRA factors without ever forming an update of the module's size."""
    left, B = _in_joint_basis(factors.B)
    right, A = _in_joint_basis(factors.A.transpose(0, 2, 1))
    if right is None:
        right = np.eye(factors.A.shape[2])
    A = A.transpose(0, 2, 1)
    shape = (factors.B.shape[1], factors.A.shape[2])
    thin, expand = thin_product(B, A)
    return CompressedUpdates(thin, expand, left, right, shape, (B.shape[1], A.shape[2]))


def thin_product(B: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Multiply ``B_k @ A_k`` in the form of `Core.thin` and `Core.expand`.

    Parameters
    ----------
    B : ndarray of shape (n_clients, a, rho)
    A : ndarray of shape (n_clients, rho, b)
    """
    if A.shape[1] >= min(A.shape[2], B.shape[1]):
        return _thin(B @ A)
    own, upper = np.linalg.qr(A.transpose(0, 2, 1))
    return B @ upper.transpose(0, 2, 1), own


SINGLE = ""


def checked_updates(updates: Updates, called: str = "updates") -> dict[str, ModuleUpdates]:
    """Check updates and convert them to arrays, one entry a module.

    Parameters
    ----------
    updates : ndarray, LoraFactors, or mapping from module name to either
    called : str
        What to call them in messages.

    Returns
    -------
    dict of ndarray or LoraFactors
        A single module is stored under ``SINGLE``.

    Raises
    ------
    ValueError
        For an empty mapping, wrong shapes, entries that are no finite real numbers, fewer than 3
        clients, or modules that disagree on the number of clients.
    """
    modules = dict(updates) if isinstance(updates, Mapping) else {SINGLE: updates}
    if not modules:
        raise ValueError(f"{called} must hold at least one module, got an empty mapping")
    checked: dict[str, ModuleUpdates] = {}
    for name, value in modules.items():
        if not isinstance(value, LoraFactors):
            value = float_array(f"{called}[{name!r}]" if name else called, value)
        checked[name] = value
    counts = {
        name: len(value.B if isinstance(value, LoraFactors) else value)
        for name, value in checked.items()
    }
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"{called} must hold the same number of clients in every module, got {counts}"
        )
    n_clients = next(iter(counts.values()))
    if n_clients < 3:
        raise ValueError(f"{called} must hold at least 3 clients, got {n_clients}")
    return checked


def ordinary_sized(modules: Mapping[str, ModuleUpdates]) -> tuple[dict[str, ModuleUpdates], int]:
    """Scale updates of unusual size so that floating-point arithmetic can handle them.

    Parameters
    ----------
    modules : mapping of str to ndarray or LoraFactors
        From `checked_updates`.

    Returns
    -------
    modules : dict of ndarray or LoraFactors
        The updates divided by ``2**exponent``; the very same ones where they are of ordinary size.
    exponent : int

    Raises
    ------
    ValueError
        If their sizes are beyond what any scaling can correct.
    """
    sizes, ordinary = [], True
    for value in modules.values():
        parts = (value.B, value.A) if isinstance(value, LoraFactors) else (value,)
        logs = [log_sizes(part) for part in parts]
        sizes.append(np.sum(logs, axis=0))
        finite = np.concatenate([log[np.isfinite(log)] for log in logs])
        ordinary = ordinary and bool((np.abs(finite) <= ORDINARY).all())
    exponent = scaling_of(sizes)
    if ordinary and exponent == 0:
        return dict(modules), 0
    scaled: dict[str, ModuleUpdates] = {}
    for name, value in modules.items():
        if isinstance(value, LoraFactors):
            # Both factors of a client get the same part of its size.
            own = np.where(np.isfinite(log_sizes(value.B)), log_sizes(value.B), 0).astype(int)
            B = np.ldexp(value.B, -own[:, None, None])
            scaled[name] = LoraFactors(B, np.ldexp(value.A, (own - exponent)[:, None, None]))
        else:
            scaled[name] = np.ldexp(value, -exponent)
    return scaled, exponent


def to_cores(updates: Updates, side: str) -> dict[str, CompressedUpdates]:
    """Check updates and compress every module, transposed for ``side="input"``.

    Parameters
    ----------
    updates : ndarray, LoraFactors, or mapping from module name to either
    side : {"output", "input"}

    Returns
    -------
    dict of Core
        A single module is stored under ``SINGLE``.

    Raises
    ------
    ValueError
        See `checked_updates`.
    """
    checked = checked_updates(updates)
    if side == "input":
        checked = {
            name: value.transposed()
            if isinstance(value, LoraFactors)
            else np.ascontiguousarray(value.transpose(0, 2, 1))
            for name, value in checked.items()
        }
    return {
        name: factored_core(value) if isinstance(value, LoraFactors) else dense_core(value)
        for name, value in checked.items()
    }
