"""One round of a federation whose clients send whole LoRA adapters: verdict, average, refinement.

What goes back has the rank that the clients sent, and one factor in common: on the side of the
shared subspace an orthonormal basis of it, filled up by the principal directions of the average
outside it. Clients who go on training from factors of their own would move apart on that side, and
the next round's verdict would find no subspace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from clair._threads import single_blas_thread
from clair.method.detection import KEPT, SUSPECT
from clair.method.fit import fit
from clair.method.updates import FactoredUpdates, LoraFactors

#: Of one client: B of shape (d_out, rho) and A of shape (rho, d_in), by module.
Adapter: TypeAlias = "Mapping[str, tuple[np.ndarray, np.ndarray]]"


@dataclass(frozen=True)
class Judgement:
    """Who is trusted, and what they share.

    Attributes
    ----------
    degrees, reasons : tuple of str
        Of every client, as in `clair.ClairFit`.
    influence : ndarray of shape (n_clients,)
        Weight of each client in what the others get, in [0, 1].
    subspace : dict of ndarray of shape (d, rank)
        By module, orthonormal.
    side : {"output", "input"}
    """

    degrees: tuple[str, ...]
    reasons: tuple[str, ...]
    influence: np.ndarray
    subspace: dict[str, np.ndarray]
    side: str


@dataclass(frozen=True)
class Handout:
    """What the clients get.

    Attributes
    ----------
    average : Adapter
        The mean of the clients with influence.
    refined : dict of int to Adapter
        By position of the client; of the kept and the suspect.
    lost : float
        Share of the average's energy, over all modules, that its truncation to the clients' rank
        cuts off, in [0, 1].
    """

    average: Adapter
    refined: dict[int, Adapter]
    lost: float


def judge_round(
    adapters: Sequence[Adapter],
    rank: int | str = "auto",
    *,
    common: Adapter | None = None,
    weights: np.ndarray | None = None,
    **fit_options: Any,
) -> tuple[Judgement, Handout | None]:
    """Judge adapters jointly over their modules, average the kept ones and refine each of them.

    Parameters
    ----------
    adapters : sequence of Adapter
        Same modules and shapes for all; at least 3.
    rank : int or "auto"
        Of the shared subspace.
    common : Adapter, optional
        The average of the round before. Clients are judged by how they differ from it: what they
        were all given outside the subspace would otherwise look as if they had copied it from each
        other.
    weights : ndarray of shape (n_clients,), optional
        Further weights of the clients in the average, >= 0; equal by default. The verdict does not
        depend on them.
    **fit_options
        Of `clair.fit`.

    Returns
    -------
    judgement : Judgement
    handout : Handout or None
        None if nobody has any influence.

    Raises
    ------
    ValueError
        As `clair.fit` does.
    """
    common = common or {}
    found = fit(
        {name: _differences(adapters, common, name) for name in adapters[0]}, rank, **fit_options
    )
    judgement = Judgement(found.degrees, found.reasons, found.influence, found.subspace, found.side)
    return judgement, hand_out(adapters, judgement, weights, found.refined, common)


def hand_out(
    adapters: Sequence[Adapter],
    judgement: Judgement,
    weights: np.ndarray | None = None,
    refined: Mapping[str, FactoredUpdates] | None = None,
    common: Adapter | None = None,
) -> Handout | None:
    """Average and refine adapters by a verdict on the same clients.

    Parameters
    ----------
    adapters : sequence of Adapter
    judgement : Judgement
    weights : ndarray of shape (n_clients,), optional
        As in `judge_round`.
    refined : mapping of str to FactoredUpdates, optional
        The refined differences from `common`; by default the paper's refinement of the adapters by
        the subspace of the judgement.
    common : Adapter, optional
        As in `judge_round`.

    Returns
    -------
    Handout or None
        None if nobody has any weight.
    """
    shares = judgement.influence if weights is None else judgement.influence * weights
    if not shares.any():
        return None
    trusted = [k for k, degree in enumerate(judgement.degrees) if degree in (KEPT, SUSPECT)]
    average: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    own: dict[int, dict[str, tuple[np.ndarray, np.ndarray]]] = {k: {} for k in trusted}
    total = cut = 0.0
    with single_blas_thread():
        for name in adapters[0]:
            module = _Module([one[name] for one in adapters], shares, judgement, name)
            average[name] = module.factors(module.mean)
            made = None if refined is None else refined[name]
            for k in trusted:
                coordinates = (
                    module.refined(k)
                    if made is None
                    else module.of_updates(made, k, (common or {}).get(name))
                )
                own[k][name] = module.factors(coordinates)
            total, cut = total + module.energy, cut + module.cut
    return Handout(average, dict(own), cut / total if total else 0.0)


class _Module:
    """One module in the common basis of its shared side, which stands second here."""

    def __init__(
        self,
        pairs: Sequence[tuple[np.ndarray, np.ndarray]],
        shares: np.ndarray,
        judgement: Judgement,
        name: str,
    ) -> None:
        self.side = judgement.side
        self._pairs = [self._turned(*pair) for pair in pairs]
        used = np.flatnonzero(shares)
        weights = shares[used] / shares.sum()
        columns = np.hstack([w * self._pairs[k][0] for w, k in zip(weights, used, strict=True)])
        rows = np.hstack([self._pairs[k][1] for k in used])
        rank = self._pairs[0][1].shape[1]
        subspace = judgement.subspace[name][:, :rank]
        # The mean as a small matrix times `rows`, whose products with anything are the mean's.
        mean = np.linalg.qr(columns, mode="r") @ rows.T
        outside = mean - (mean @ subspace) @ subspace.T
        further = np.linalg.svd(outside, full_matrices=False)[2][: rank - subspace.shape[1]]
        #: Orthonormal, of shape (d, rank); the subspace comes first.
        self.basis = np.linalg.qr(np.hstack([subspace, further.T]))[0]
        self._inside = subspace.shape[1]
        #: Coordinates of the mean in the basis.
        self.mean = columns @ (rows.T @ self.basis)
        self.energy = float(np.sum(mean**2))
        self.cut = max(0.0, self.energy - float(np.sum(self.mean**2)))

    def refined(self, k: int) -> np.ndarray:
        """Compute the coordinates of a client's own part inside, the mean's outside."""
        first, second = self._pairs[k]
        coordinates = self.mean.copy()
        coordinates[:, : self._inside] = first @ (second.T @ self.basis[:, : self._inside])
        return coordinates

    def of_updates(
        self, updates: FactoredUpdates, k: int, common: tuple[np.ndarray, np.ndarray] | None
    ) -> np.ndarray:
        """Compute the coordinates of a client's update, plus the common one."""
        turned = updates if self.side == "input" else updates.transposed()
        coordinates = turned.left @ (turned.core[k] @ (turned.right.T @ self.basis))
        if common is not None:
            first, second = self._turned(*common)
            coordinates = coordinates + first @ (second.T @ self.basis)
        return coordinates

    def factors(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Make factors B and A of coordinates."""
        if self.side == "input":
            return coordinates, self.basis.T
        return self.basis, coordinates.T

    def _turned(self, B: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (B, A.T) if self.side == "input" else (A.T, B)


def _differences(adapters: Sequence[Adapter], common: Adapter, name: str) -> LoraFactors:
    """Write B_k A_k minus the common B A of a module as the product of one pair of factors."""
    B = np.stack([one[name][0] for one in adapters])
    A = np.stack([one[name][1] for one in adapters])
    if name in common:
        n_clients = len(adapters)
        less, rows = (np.broadcast_to(part, (n_clients, *part.shape)) for part in common[name])
        B, A = np.concatenate([B, -less], axis=2), np.concatenate([A, rows], axis=1)
    return LoraFactors(B, A)
