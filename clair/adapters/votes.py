"""One vote each: near copies of one update, and further adapters of one site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clair.adapters.compress import ModuleCore
from clair.adapters.errors import printable
from clair.method.linalg import hstack_blocks

#: A near copy differs by at most this share of its size, ...
NEAR = 0.2
#: ... by far less than adapters of the set usually do, ...
MUCH_LESS = 0.3
#: ... and, where more than half of the set would be copies, by hardly more than rounding: honest
#: sites that go on from one common adapter may all be near each other.
EQUAL = 0.01
_SAME = 1e-6
_LISTED = 5


def near_copies(
    cores: Mapping[str, ModuleCore], clients: np.ndarray, names: Sequence[str]
) -> tuple[dict[int, list[int]], list[str]]:
    """Find clients who send nearly the same update.

    Parameters
    ----------
    cores : mapping of str to ModuleCore
    clients : ndarray of int
        Whom to compare.
    names : sequence of str
        Of all adapters.

    Returns
    -------
    copies : dict of int to list of int
        By the first of each group: the others.
    notes : list of str
        Who they are.
    """
    if not cores or len(clients) < 2:
        return {}, []
    products = sum(_products(core.select(clients)) for core in cores.values())
    sizes = np.sqrt(np.maximum(np.diag(products), 0.0))
    squares = sizes[:, None] ** 2 + sizes**2 - 2 * products
    apart = np.sqrt(np.maximum(squares, 0.0))
    smaller = np.minimum(sizes[:, None], sizes)
    relative = apart / np.where(smaller > 0, smaller, np.inf)
    np.fill_diagonal(relative, 1.0)
    usual = float(np.median(apart[np.triu_indices(len(clients), 1)]))
    near = (relative <= NEAR) & (apart <= MUCH_LESS * usual)
    groups = _connected(near)
    if any(2 * len(group) > len(clients) for group in groups):
        groups = _connected(relative <= EQUAL)
    copies, notes = {}, []
    for group in groups:
        found = [int(clients[k]) for k in group]
        copies[found[0]] = found[1:]
        most = float(relative[np.ix_(group, group)][~np.eye(len(group), dtype=bool)].max())
        notes.append(_note([names[k] for k in found], most))
    return copies, notes


def _products(core: ModuleCore) -> np.ndarray:
    """Compute the inner products of all updates of a module, (n_clients, n_clients)."""
    n, _, rho = core.output.shape
    left, right = hstack_blocks(core.output), hstack_blocks(core.input)
    joint = (left.T @ left) * (right.T @ right)
    found: np.ndarray = joint.reshape(n, rho, n, rho).sum(axis=(1, 3))
    return found


def _connected(near: np.ndarray) -> list[list[int]]:
    """Find the groups of two or more that are linked, each in ascending order."""
    left, groups = set(range(len(near))), []
    while left:
        group, pending = set(), [min(left)]
        while pending:
            k = pending.pop()
            if k not in group:
                group.add(k)
                pending += [int(j) for j in np.flatnonzero(near[k] | near[:, k]) if j != k]
        left -= group
        if len(group) > 1:
            groups.append(sorted(group))
    return groups


def _note(names: Sequence[str], most: float) -> str:
    shown = [printable(name) for name in names]
    rest = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else f" and {shown.pop()}"
    same = "the same update" if most <= _SAME else "nearly the same update"
    apart = "" if most <= _SAME else f" (apart by at most {most:.1%} of its size)"
    return f"{', '.join(shown[:_LISTED])}{rest} sent {same}{apart}; they share one vote."
