"""Two more updates per client, each trained on half of its data, tell noise from difference.

One update per client shows the sum of true differences and estimation error, never the two apart.
Two updates of one client differ by error alone. So they tell, for every direction, how much of the
clients' differences is error, and each client is pulled to the mean by that share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clair.method.refinement import directions, voices
from clair.method.updates import (
    SINGLE,
    CompressedUpdates,
    LoraFactors,
    checked_updates,
    thin_product,
)

#: Names in `clair.fit`'s messages: the updates of the clients' first and second halves.
NAMES = ("halves[0]", "halves[1]")


@dataclass(frozen=True)
class DirectionWeights:
    """How much of its own each client keeps along each direction of one module.

    Attributes
    ----------
    directions : ndarray of shape (d, n)
        Orthonormal; the first columns span the shared subspace, the others follow by variance.
    between : ndarray of shape (n,)
        Standard deviation between the clients along each direction, over all columns together.
    noise : ndarray of shape (n,)
        Standard deviation of the estimation error in it: the square is the median over clients of
        the squared half difference of their two halves.
    weights : ndarray of shape (n,)
        ``max(0, 1 - noise**2 / between**2)``, in [0, 1]: 0 leaves the mean, 1 the client's own.
    """

    directions: np.ndarray
    between: np.ndarray
    noise: np.ndarray
    weights: np.ndarray


def check_halves(updates: Mapping[str, Any], halves: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check two sets of half-data updates against the full ones.

    Parameters
    ----------
    updates : mapping
        From `clair.method.updates.checked_updates`.
    halves : pair of ndarray, LoraFactors, or mapping to either
        In the form of the updates: the same clients, modules and shapes. Ranks of LoRA factors may
        differ.

    Returns
    -------
    pair of dict

    Raises
    ------
    ValueError
        If `halves` is not a pair, or does not match the updates.
    """
    if not isinstance(halves, tuple | list) or len(halves) != 2:
        raise ValueError(f"halves must be a pair of updates, got {type(halves).__name__}")
    pair = []
    for name, half in zip(NAMES, halves, strict=True):
        checked = checked_updates(half, name)
        if list(checked) != list(updates):
            if set(checked) != set(updates):
                raise ValueError(
                    f"{name} must have the modules of updates, "
                    f"got {_modules(checked)} and {_modules(updates)}"
                )
            checked = {key: checked[key] for key in updates}
        for key, value in updates.items():
            wanted, got = _form(value), _form(checked[key])
            if wanted != got:
                where = f"{name}[{key!r}]" if key != SINGLE else name
                raise ValueError(f"{where} must be {wanted} as in updates, got {got}")
        pair.append(checked)
    return pair[0], pair[1]


def half_differences(
    halves: tuple[Mapping[str, Any], Mapping[str, Any]],
    cores: Mapping[str, CompressedUpdates],
    side: str,
    exponent: int = 0,
) -> list[np.ndarray]:
    """Halve the difference between each client's two halves, in the rows of the cores.

    The weights need only lengths along directions in which the clients' updates have energy. So
    rows are projected on the core's and columns may be rotated: LoRA halves are never multiplied
    out.

    Parameters
    ----------
    halves : pair of mapping
        From `check_halves`.
    cores : mapping of str to Core
    side : {"output", "input"}
    exponent : int
        The updates were divided by ``2**exponent``, see `clair.method.updates.ordinary_sized`.

    Returns
    -------
    list of ndarray, each of shape (n_clients, a, c)
        One entry a module, a the rows of its core.
    """
    return [
        _in_rows(halves[0][name], halves[1][name], core, side, exponent)
        for name, core in cores.items()
    ]


# Halves that overflow count as infinitely far apart, see `direction_weights`.
@np.errstate(over="ignore", invalid="ignore")
def _in_rows(
    first: Any, second: Any, core: CompressedUpdates, side: str, exponent: int
) -> np.ndarray:
    if not isinstance(first, LoraFactors):
        apart = np.ldexp(first / 2 - second / 2, -exponent)
        apart = apart.transpose(0, 2, 1) if side == "input" else apart
        rows: np.ndarray = apart if core.left is None else core.left.T @ apart
        return rows
    B = np.concatenate([first.B / 2, -second.B / 2], axis=2)
    A = np.concatenate([first.A, second.A], axis=1)
    if side == "input":
        B, A = A.transpose(0, 2, 1), B.transpose(0, 2, 1)
    B, A = np.ldexp(B, -(exponent // 2)), np.ldexp(A, exponent // 2 - exponent)
    return thin_product(B if core.left is None else core.left.T @ B, A)[0]


def direction_weights(
    modules: Sequence[np.ndarray],
    subspaces: Sequence[np.ndarray],
    benign: np.ndarray,
    differences: Sequence[np.ndarray],
    influence: np.ndarray | None = None,
    told: Sequence[np.ndarray] | None = None,
) -> tuple[DirectionWeights, ...]:
    """Compute how much of its own each client keeps, by module and direction.

    Parameters
    ----------
    modules, subspaces, benign, influence
        As in `clair.method.refinement.refine`.
    differences : sequence of ndarray
        From `half_differences`.
    told : sequence of ndarray of bool, each of shape (n_clients,), optional
        Whose differences are known in each module; all by default.

    Returns
    -------
    tuple of DirectionWeights
        One entry a module, in the coordinates of the blocks. With fewer than two clients to learn
        from, or if more than half of them have unknown differences, every client keeps its own.

    Notes
    -----
    The median over clients keeps a few liars from raising the noise estimate: by sending halves far
    apart, they would make everybody follow the mean. An estimate that is too low does little harm:
    clients keep more of their own.
    """
    heard, influence = voices(benign, influence)
    told = [np.ones_like(benign)] * len(modules) if told is None else told
    found = []
    for blocks, basis, apart, known in zip(modules, subspaces, differences, told, strict=True):
        d, telling = blocks.shape[1], heard & known
        if heard.sum() < 2 or 2 * telling.sum() < heard.sum():
            nothing = np.zeros(d)
            found.append(DirectionWeights(np.eye(d), nothing, nothing, np.ones(d)))
            continue
        full, variance = directions(blocks[heard], basis, influence[heard])
        variance = np.maximum(variance, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            energy = np.sum((full.T @ apart[telling]) ** 2, axis=2)
        noise = np.median(np.nan_to_num(energy, nan=np.inf, posinf=np.inf), axis=0)
        real = variance > noise
        weights = np.zeros(d)
        weights[real] = 1 - noise[real] / variance[real]
        found.append(DirectionWeights(full, np.sqrt(variance), np.sqrt(noise), weights))
    return tuple(found)


def refine_by_directions(
    modules: Sequence[np.ndarray],
    benign: np.ndarray,
    found: Sequence[DirectionWeights],
    influence: np.ndarray | None = None,
) -> tuple[np.ndarray, ...]:
    """Pull the kept clients to their mean, direction by direction; flagged ones keep their own.

    Parameters
    ----------
    modules, benign, influence
        As in `clair.method.refinement.refine`.
    found : sequence of DirectionWeights
        From `direction_weights`.

    Returns
    -------
    tuple of ndarray, each of shape (n_clients, d, b)
    """
    heard, influence = voices(benign, influence)
    refined = []
    for blocks, one in zip(modules, found, strict=True):
        result = blocks.copy()
        if heard.sum() >= 2:
            mean = np.average(blocks[heard], axis=0, weights=influence[heard])
            own = one.directions.T @ (blocks[benign] - mean)
            result[benign] = mean + one.directions @ (one.weights[:, None] * own)
        refined.append(result)
    return tuple(refined)


def _modules(values: Mapping[str, Any]) -> str:
    return "one module without a name" if list(values) == [SINGLE] else ", ".join(values)


def _form(value: Any) -> str:
    """Say the kind and shape of a module's updates in words."""
    if isinstance(value, LoraFactors):
        shape = (value.B.shape[0], value.B.shape[1], value.A.shape[2])
        return f"LoraFactors of updates of shape {shape}"
    return f"an array of shape {value.shape}"
