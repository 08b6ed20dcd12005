"""Two more adapters of each client, trained on either half of its data, for refinement alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clair.adapters.assemble import AdapterSet
from clair.adapters.errors import AdapterError, printable
from clair.adapters.folder import read_folder
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.progress import Progress
from clair.adapters.reader import Adapter
from clair.adapters.work import audit_work
from clair.cancellation import checkpoint
from clair.method.updates import thin_product

_LISTED = 6


@dataclass(frozen=True)
class Halves:
    """Half adapters by their clients' names.

    Attributes
    ----------
    first, second : mapping of str to Adapter
    """

    first: Mapping[str, Adapter]
    second: Mapping[str, Adapter]

    def complete(self, name: str) -> bool:
        """Tell whether a client has both halves."""
        return name in self.first and name in self.second

    def apart(
        self,
        clients: Sequence[Adapter],
        module: str,
        side: str,
        rows: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Halve the difference between clients' two halves in a module, in its compressed rows.

        Clients whose halves are missing, do not fit or cannot be read get zeros.

        Parameters
        ----------
        clients : sequence of Adapter
            Their full adapters.
        module : str
        side : {"output", "input"}
            Which side's coordinates the rows are.
        rows : ndarray of shape (d, a), or None
            Orthonormal basis of the rows, d of `side`; None for the identity.

        Returns
        -------
        apart : ndarray of shape (n_clients, a, c)
        told : ndarray of bool, shape (n_clients,)
            Which clients have halves that could be used.
        """
        thin = [self._one(client, module, side, rows) for client in clients]
        told = np.array([one is not None for one in thin])
        there = [one for one in thin if one is not None]
        if not there:
            return np.zeros((len(thin), 1, 1)), told
        apart = np.zeros((len(thin), len(there[0]), max(one.shape[1] for one in there)))
        for target, one in zip(apart, thin, strict=True):
            if one is not None:
                target[:, : one.shape[1]] = one
        return apart, told

    def _one(
        self, client: Adapter, module: str, side: str, rows: np.ndarray | None
    ) -> np.ndarray | None:
        checkpoint()
        factors = []
        for half in (self.first, self.second):
            adapter = half.get(client.name)
            entry = None if adapter is None else adapter.modules.get(module)
            if adapter is None or entry is None or entry.shape != client.modules[module].shape:
                return None
            try:
                factors.append(adapter.factors(module))
            except AdapterError:
                return None
        (first_B, first_A), (second_B, second_A) = factors
        B = np.concatenate([first_B / 2, -second_B / 2], axis=1)
        A = np.concatenate([first_A, second_A], axis=0)
        if side == "input":
            B, A = A.T, B.T
        with np.errstate(over="ignore", invalid="ignore"):
            B = B if rows is None else rows.T @ B
            return thin_product(B[None], A[None])[0][0]


def read_halves(
    first: Path,
    second: Path,
    limits: Limits = DEFAULT,
    *,
    any_base: bool = False,
    progress: Progress | None = None,
) -> Halves:
    """Read the headers of two folders of half adapters, named as the full ones' folders.

    Parameters
    ----------
    first, second : Path
        Read as `clair.adapters.read_folder` does, under the same limits.
    limits, any_base, progress
        As in `clair.adapters.read_folder`.

    Raises
    ------
    AdapterError
        As `clair.adapters.read_folder` does; also if there are too many halves to work with, or if
        both folders are the same.
    """
    if first.resolve() == second.resolve():
        raise AdapterError(printable(second), "holds both halves; give a folder for each")
    sets = [
        read_folder(root, limits, any_base=any_base, progress=progress) for root in (first, second)
    ]
    return halves_of(sets[0], sets[1], limits)


def halves_of(first: AdapterSet, second: AdapterSet, limits: Limits = DEFAULT) -> Halves:
    """Pair the adapters of two sets by client.

    Raises
    ------
    AdapterError
        If there are too many adapters to work with.
    """
    for found in (first, second):
        if found.problem:
            raise AdapterError("halves", found.problem)
        audit_work(found).require(limits)
    return Halves(
        {adapter.name: adapter for adapter in first.adapters},
        {adapter.name: adapter for adapter in second.adapters},
    )


def require_enough(halves: Halves, adapters: AdapterSet, heard: np.ndarray) -> list[str]:
    """Name the clients without usable halves, and refuse if too few have both.

    Parameters
    ----------
    halves : Halves
    adapters : AdapterSet
        The full adapters.
    heard : ndarray of int
        Positions of the clients that the others learn from.

    Raises
    ------
    AdapterError
        If fewer than half of these clients have both halves.
    """
    without = [
        printable(adapters.adapters[k].name)
        for k in heard
        if not halves.complete(adapters.adapters[k].name)
    ]
    if 2 * len(without) > len(heard):
        raise AdapterError(
            "halves",
            f"only {len(heard) - len(without)} of {len(heard)} adapters that the others learn from "
            "have both halves under their name, and at least half of them must.",
        )
    if not without:
        return []
    more = f" and {len(without) - _LISTED} more" if len(without) > _LISTED else ""
    return [f"Without halves that can be used: {', '.join(without[:_LISTED])}{more}."]
