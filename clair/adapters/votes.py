"""One vote each: near copies of one update, and further adapters of one site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clair.adapters.compress import ModuleCore
from clair.adapters.errors import printable
from clair.method.linalg import hstack_blocks

#: A near copy points elsewhere by at most this, as the distance of updates scaled to length 1, ...
NEAR = 0.2
#: ... and by far less than updates of the set usually do.
MUCH_LESS = 0.3
#: Where more than half of the set would be copies, hardly more than rounding is asked for: honest
#: sites that go on from one common adapter may all be near each other.
EQUAL = 0.03
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
    scale = np.outer(sizes, sizes)
    cosines = products / np.where(scale > 0, scale, np.inf)
    apart = np.sqrt(np.maximum(2 - 2 * cosines, 0.0))
    np.fill_diagonal(apart, np.inf)
    usual = float(np.median(apart[np.triu_indices(len(clients), 1)]))
    groups = _connected(apart <= min(NEAR, MUCH_LESS * usual))
    notes = []
    most = max(groups, key=len, default=[])
    if 2 * len(most) > len(clients):
        equal = _connected(apart <= EQUAL)
        if not any(2 * len(group) > len(clients) for group in equal):
            notes.append(_majority([names[clients[k]] for k in most]))
        groups = equal
    copies = {}
    for group in groups:
        found = [int(clients[k]) for k in group]
        copies[found[0]] = found[1:]
        pairs = apart[np.ix_(group, group)]
        notes.append(_note([names[k] for k in found], float(pairs[np.isfinite(pairs)].max())))
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
    apart = "" if most <= _SAME else f" (apart by at most {most:.1%}, sizes aside)"
    return f"{', '.join(shown[:_LISTED])}{rest} sent {same}{apart}; they share one vote."


def _majority(names: Sequence[str]) -> str:
    return (
        f"{_listed(names)} sent updates near each other and are more than half of all. They are "
        "counted one by one, as honest sites that go on from one common adapter may be as near; "
        "should they be one party under several names, give only one of them."
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(printable(name) for name in names[:_LISTED]) + more
