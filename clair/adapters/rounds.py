"""One round of a federation whose clients send whole LoRA adapters: verdict, average, refinement.

What goes back has the rank that the clients sent, and one factor in common: on the side of the
shared subspace an orthonormal basis of it, filled up by the principal directions of the average
outside it. Clients who go on training from factors of their own would move apart on that side, and
the next round's verdict would find no subspace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from clair._threads import single_blas_thread
from clair.baselines import estimate_all
from clair.method.detection import KEPT, SUSPECT
from clair.method.fit import ClairFit, fit
from clair.method.updates import FactoredUpdates, LoraFactors, Updates

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
    usual : float or None
        What a typical kept client sent outside the subspace in the first round, for `lenient`.
    """

    degrees: tuple[str, ...]
    reasons: tuple[str, ...]
    influence: np.ndarray
    subspace: dict[str, np.ndarray]
    side: str
    usual: float | None = None


#: Kinds of evidence about what a client sends outside the shared directions.
ABOUT_OUTSIDE = frozenset({"outside", "directions", "modules", "shape", "structure"})
#: Times what a typical client sent outside the shared directions in the first round. Less than that
#: convicts nobody later.
USUAL = 1.25


def sizes_outside(updates: Updates, found: ClairFit) -> np.ndarray:
    """Compute how large the part of each client's update outside the shared directions is.

    Parameters
    ----------
    updates : ndarray of shape (n_clients, d_out, d_in), LoraFactors, or mapping to either
    found : ClairFit
        Of the same updates.

    Returns
    -------
    ndarray of shape (n_clients,)
        Frobenius norms over all modules.
    """
    modules = updates if isinstance(updates, Mapping) else {"": updates}
    bases = found.subspace if isinstance(updates, Mapping) else {"": found.subspace}
    total = np.zeros(len(found.benign))
    with single_blas_thread():
        for name, update in modules.items():
            basis = bases[name]
            if isinstance(update, LoraFactors):
                own = update if found.side == "output" else update.transposed()
                rest: np.ndarray = np.sqrt(_energies(own.B - basis @ (basis.T @ own.B), own.A))
            else:
                blocks = update if found.side == "output" else update.transpose(0, 2, 1)
                rest = np.linalg.norm(blocks - basis @ (basis.T @ blocks), axis=(1, 2))
            total += rest**2
    return np.sqrt(total)


def _energies(B: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Compute the squared norm of every product, which is never formed."""
    squares = np.einsum("kij,kij->k", B.transpose(0, 2, 1) @ B, A @ A.transpose(0, 2, 1))
    return np.maximum(squares, 0.0)


def usual_size(sizes: np.ndarray, found: ClairFit) -> float:
    """Compute what a typical kept client sends outside; 0 if nobody is kept."""
    return float(np.median(sizes[found.benign])) if found.benign.any() else 0.0


def lenient(found: ClairFit, sizes: np.ndarray, usual: float) -> ClairFit:
    """Suspect, and do not flag, who sends no more outside than honest clients once did (ours).

    Evidence compares clients with each other. When most have nothing left to learn, what they send
    shrinks, and an honest client that still learns stands out, though it sends less than everybody
    did at first.

    Parameters
    ----------
    found : ClairFit
        Of a round after the first.
    sizes : ndarray of shape (n_clients,)
        Of `sizes_outside`, of this round.
    usual : float
        Of `usual_size`, of the first round.
    """
    convicted = [kind for kind in found.evidence if kind.kind not in ABOUT_OUTSIDE]
    small = ~found.benign & (sizes <= USUAL * usual)
    small &= ~np.any([kind.flagged for kind in convicted], axis=0) if convicted else True
    if not small.any():
        return found
    few = "; but it sends less there than a typical client did in the first round"
    return replace(
        found,
        benign=found.benign | small,
        degrees=tuple(
            SUSPECT if spared else degree
            for spared, degree in zip(small, found.degrees, strict=True)
        ),
        reasons=tuple(
            reason + few * bool(spared) for spared, reason in zip(small, found.reasons, strict=True)
        ),
    )


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
    usual: float | None = None,
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
    usual : float, optional
        Of the first round's judgement, in rounds after it.
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
    updates = {name: _differences(adapters, common, name) for name in adapters[0]}
    first = fit(updates, rank, **fit_options)
    sizes = sizes_outside(updates, first)
    found = first if usual is None else lenient(first, sizes, usual)
    refined = first.refined
    if found is not first:  # with the clients that are spared
        method = "clair_eb" if fit_options.get("pooling") == "eb" else "clair"
        refined = estimate_all(updates, fit=found, methods=(method,), factored=True)[method]
    if usual is None:
        usual = usual_size(sizes, found)
    judgement = Judgement(
        found.degrees, found.reasons, found.influence, found.subspace, found.side, usual
    )
    return judgement, hand_out(adapters, judgement, weights, refined, common)


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
