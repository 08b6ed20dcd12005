"""The half of the clients that agrees best, found so that no minority can pass itself off as it.

Least trimmed squares over subspaces: a client is scored by what it sends outside a subspace, and
the subspace is refitted on the half of smallest scores. Four things keep that half honest where
the attackers know the rule. Every client's energy is capped at the typical one, so that size buys
no influence. Clients that send nearly the same count once, so that copying one honest client wins
no majority. Several starts compete, among them single clients' own subspaces, and the one whose
*median* score is smallest wins, which fewer than half of the clients cannot improve. And clients
are ranked by their strongest directions alone, in which a false direction cannot hide behind noise.

Ours; concentration steps and the competition of starts are those of Rousseeuw, Van Driessen, A fast
algorithm for the minimum covariance determinant estimator, Technometrics 1999.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from clair.method.linalg import hstack_blocks, median
from clair.method.moments import Moments
from clair.method.solvers import median_subspace

#: Scores below this share of a typical update's norm are rounding, not evidence.
SCORE_FLOOR = 1e-6
#: A client is compared in a module only if at least this many other clients have it (all others,
#: if there are fewer).
MIN_OTHERS = 3
#: Updates nearer than this share of the closest majority's radius, lengths aside, are one vote.
ALIKE = 0.35
MAX_STARTS = 24
BEST_STARTS = 2
MAX_STEPS = 4
MAX_ROUNDS = 5
#: A later start replaces an earlier one only if its median score is below this share of it.
BETTER = 0.98
# The median subspace is only one of the starts; more steps find no better half.
_PILOT_STEPS = 2


class ClientBlocks:
    """All clients' blocks with every client's energy capped at the typical one.

    Parameters
    ----------
    moments : sequence of Moments
        One a module, normalised (`clair.method.moments.normalised`).
    top : int
        Largest rank that is asked for, >= 1; larger ones cost more.

    Attributes
    ----------
    comparable : ndarray of bool, shape (n_modules, n_clients)
        Where a client has a module and enough others have it too.
    voting : ndarray of bool, shape (n_clients,)
        False for all but the first of clients that send nearly the same. They take no part in a
        half, and are scored as if they were left out with the first: who copies an honest client
        wins no majority.
    """

    def __init__(self, moments: Sequence[Moments], top: int) -> None:
        self.moments = list(moments)
        self.top = top
        self.n_clients = moments[0].n_clients
        self.present = np.array([one.present for one in moments])
        needed = min(MIN_OTHERS, self.n_clients - 1)
        others = self.present.sum(axis=1)[:, None] - self.present
        self.comparable = self.present & (others >= needed)
        self.caps = np.array([_caps(one) for one in moments])
        self._shares = self.comparable / np.maximum(self.comparable.sum(axis=0), 1)
        self._anywhere = self.comparable.any(axis=0)
        self._complete = bool(self.present.all())
        self._representative = _representatives(self.moments)
        self.voting = self._representative == np.arange(self.n_clients)
        self._leading: dict[int, list[Moments]] = {}

    @cached_property
    def whole(self) -> list[Moments]:
        """Capped blocks, one `Moments` a module."""
        return [s.capped(c) for s, c in zip(self.moments, self.caps, strict=True)]

    def leading(self, rank: int) -> list[Moments]:
        """Truncate capped blocks to their strongest directions, one `Moments` per module."""
        if rank not in self._leading:
            self._leading[rank] = [
                Moments(s.leading(rank) * c[:, None, None], s.scale)
                for s, c in zip(self.moments, self.caps, strict=True)
            ]
        return self._leading[rank]

    def joint(self, residuals: np.ndarray) -> np.ndarray:
        """Compute the root mean square over the modules in which a client can be compared.

        Parameters
        ----------
        residuals : ndarray of shape (..., n_modules, n_clients)
            Squared.

        Returns
        -------
        ndarray of shape (..., n_clients)
            Infinite for clients that cannot be compared anywhere.
        """
        return np.where(self._anywhere, np.sqrt((residuals * self._shares).sum(axis=-2)), np.inf)

    def halves(self, scores: np.ndarray) -> np.ndarray:
        """Select, of the n voting clients that have a module, the ``n // 2 + 1`` of smallest score.

        Returns
        -------
        ndarray of bool, shape (n_modules, n_clients)
        """
        order = np.argsort(scores, kind="stable")
        order = order[self.voting[order]]
        chosen = np.zeros_like(self.present)
        if self._complete:
            chosen[:, order[: len(order) // 2 + 1]] = True
            return chosen
        for half, present in zip(chosen, self.present, strict=True):
            having = order[present[order]]
            half[having[: len(having) // 2 + 1]] = True
        return chosen

    def outside(self, blocks: Sequence[Moments], bases: Sequence[np.ndarray]) -> np.ndarray:
        """Score each client by what it sends outside given subspaces, as it was before the cap."""
        off = np.array([s.outside(basis) for s, basis in zip(blocks, bases, strict=True)])
        return self.joint(off / self.caps**2)

    def left_out(self, blocks: Sequence[Moments], halves: np.ndarray, rank: int) -> np.ndarray:
        """Compute squared residuals off the principal subspace of the *other* clients of each half.

        Parameters
        ----------
        blocks : sequence of Moments
            `whole` or `leading`.
        halves : ndarray of bool, shape (n_modules, n_clients)
        rank : int

        Returns
        -------
        ndarray of shape (n_modules, n_clients)
        """
        residuals = np.empty(self.present.shape)
        for row, one, half in zip(residuals, blocks, halves, strict=True):
            energy = one.left_out_energy(half, min(rank, one.d), self._representative)
            row[:] = np.maximum(one.energy - energy.sum(axis=1), 0.0)
        residuals /= self.caps**2
        return residuals

    def concentrate(self, rank: int) -> Agreement:
        """Find the half that agrees best and score everybody against it.

        Parameters
        ----------
        rank : int
            Dimension of the shared subspace.

        Returns
        -------
        Agreement
        """
        halves = self._start(rank)
        strongest, halves = self._settle(self.leading(rank), halves, rank)
        everything, halves = self._settle(self.whole, halves, rank)
        return Agreement(self, halves, strongest, everything)

    def _settle(
        self, blocks: Sequence[Moments], halves: np.ndarray, rank: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Alternate leave-one-out residuals and halves until the halves stay as they are."""
        residuals = self.left_out(blocks, halves, rank)
        for _ in range(MAX_ROUNDS - 1):
            renewed = self.halves(self.joint(residuals))
            if np.array_equal(renewed, halves):
                break
            halves = renewed
            residuals = self.left_out(blocks, halves, rank)
        return residuals, halves

    def survey(self, top: int) -> Iterator[tuple[int, Agreement]]:
        """Find an agreement for each rank from `top` down to 1, cheaper but less settled.

        Each rank starts from the half of the rank before it; only a clearly better half replaces
        it. Where halves coincide, one decomposition serves all ranks.
        """
        halves: np.ndarray | None = None
        for rank in range(top, 0, -1):
            before, halves = halves, self._start(rank, halves)
            if before is None or not np.array_equal(before, halves):
                profiles = self._profiles(halves, top)
            residuals = np.empty((2, *self.present.shape))
            for m, (one, parts, inside, shares) in enumerate(profiles):
                strong = np.einsum("kij,kij->k", parts[:, :, :rank], parts[:, :, :rank])
                strong -= shares[:, :rank, :rank].sum(axis=(1, 2))
                residuals[0, m] = one.scale * strong
                residuals[1, m] = one.energy - inside[:, :rank].sum(axis=1)
            residuals = np.maximum(residuals, 0.0) / self.caps**2
            yield rank, Agreement(self, halves, residuals[0], residuals[1])

    def _profiles(
        self, halves: np.ndarray, top: int
    ) -> list[tuple[Moments, np.ndarray, np.ndarray, np.ndarray]]:
        """Compute capped blocks, strongest directions, and `Moments.left_out_shares` of both."""
        profiles = []
        for whole, one, caps, half in zip(self.whole, self.moments, self.caps, halves, strict=True):
            parts = one.leading(top) * caps[:, None, None]
            size = min(top, one.d)
            shares = whole.left_out_shares(half, size, parts, self._representative, coarse=True)
            profiles.append((whole, parts, *shares))
        return profiles

    def _start(self, rank: int, before: np.ndarray | None = None) -> np.ndarray:
        """Find the halves of the start whose median score is smallest after a few steps.

        Without `before` the starts are single clients' subspaces and, last, the median subspace;
        with it these halves and one client's subspace.
        """
        known: dict[bytes, tuple[np.ndarray, float]] = {}
        starts = self._own_starts(rank)
        if before is None:
            leading = self.leading(rank)
            size = min(rank, *(one.d for one in leading))
            pilot = median_subspace(leading, size, max_iter=_PILOT_STEPS, coarse=True)[0]
            starts.append(self.outside(leading, pilot))
            found, best = self._improved(rank, starts.pop(0), known)
        else:
            found, best = before, self._step(rank, before, known)[1]
            starts = starts[:1]
        for scores in starts:
            halves, value = self._improved(rank, scores, known)
            if value < BETTER * best:
                best, found = value, halves
        return found

    def _improved(
        self, rank: int, scores: np.ndarray, known: dict[bytes, tuple[np.ndarray, float]]
    ) -> tuple[np.ndarray, float]:
        """Find the halves of least median score a few steps from given scores, and that score."""
        value, halves = float(self._median(scores)), self.halves(scores)
        chosen = halves
        for _ in range(MAX_STEPS):
            renewed, now = self._step(rank, halves, known)
            if now < value:
                value, chosen = now, renewed
            if np.array_equal(renewed, halves):
                break
            halves = renewed
        return chosen, value

    def _step(
        self, rank: int, halves: np.ndarray, known: dict[bytes, tuple[np.ndarray, float]]
    ) -> tuple[np.ndarray, float]:
        """Find halves of smallest scores off given halves' principal subspaces, and their median.

        `known` remembers the answers: competing starts soon take the same steps.
        """
        key = halves.tobytes()
        if key not in known:
            leading = self.leading(rank)
            bases = [
                s.principal(half, min(rank, s.d))[1]
                for s, half in zip(leading, halves, strict=True)
            ]
            scores = self.outside(leading, bases)
            known[key] = self.halves(scores), float(self._median(scores))
        return known[key]

    def _own_starts(self, rank: int) -> list[np.ndarray]:
        """Score all off the own subspaces of the clients with which most others agree best."""
        residuals = np.empty((len(self._starters), *self.present.shape))
        for m, (one, shares) in enumerate(zip(self.moments, self._overlaps, strict=True)):
            parts = one.leading(rank)
            energy = np.einsum("kij,kij->k", parts, parts)
            inside = shares[:, :rank, :, :rank].sum(axis=(1, 3))
            residuals[:, m] = one.scale * np.maximum(energy - inside, 0.0)
        scores = self.joint(residuals)
        order = np.argsort(self._median(scores), kind="stable")
        return list(scores[order[:BEST_STARTS]])

    @cached_property
    def _starters(self) -> np.ndarray:
        """Clients whose own subspaces are tried."""
        clients = np.flatnonzero(self._anywhere & self.voting)
        if len(clients) > MAX_STARTS:
            # Fixed positions could be taken by attackers; a draw cannot be known beforehand.
            drawn = np.random.default_rng(0).choice(len(clients), MAX_STARTS, replace=False)
            clients = clients[np.sort(drawn)]
        return clients

    @cached_property
    def _overlaps(self) -> list[np.ndarray]:
        """Energy of each direction of each client along each direction of each starter, by module.

        Arrays of shape (n_starters, size, n_clients, size), before caps and scaling.
        """
        overlaps = []
        for one in self.moments:
            parts = one.leading(self.top)
            own = parts[self._starters]
            lengths = np.sqrt(np.einsum("kij,kij->kj", own, own))
            lengths[lengths <= SCORE_FLOOR * lengths[:, :1]] = np.inf
            lengths[lengths == 0] = np.inf
            wide = hstack_blocks(own / lengths[:, None, :])
            squares = (wide.T @ hstack_blocks(parts)) ** 2
            overlaps.append(squares.reshape(len(own), own.shape[2], len(parts), parts.shape[2]))
        return overlaps

    def level(self, residuals: np.ndarray | None = None) -> float:
        """Find the agreeing half's largest squared score, of whole updates by default."""
        if residuals is None:
            residuals = np.array([one.energy for one in self.moments])
        return float(self._median(self.joint(residuals))) ** 2

    def _median(self, scores: np.ndarray) -> np.ndarray:
        """Take the ``h``-th smallest along the last axis, h the size of a half."""
        voting = self._anywhere & self.voting
        ordered = np.sort(np.where(voting, scores, np.inf), axis=-1)
        found: np.ndarray = ordered[..., int(voting.sum()) // 2]
        return found


class Agreement:
    """What every client sends outside the directions that the agreeing half shares.

    Parameters
    ----------
    blocks : ClientBlocks
    halves : ndarray of bool, shape (n_modules, n_clients)
    strongest, everything : ndarray of shape (n_modules, n_clients)
        Squared leave-one-out residuals of each client's strongest directions, and of all it sends.

    Attributes
    ----------
    level : float
        Squared score of the worst client of the half.
    """

    def __init__(
        self,
        blocks: ClientBlocks,
        halves: np.ndarray,
        strongest: np.ndarray,
        everything: np.ndarray,
    ) -> None:
        self.comparable, self.voting = blocks.comparable, blocks.voting
        self.halves = halves
        self._strongest, self._everything = strongest, everything
        self._energy = np.array([one.energy for one in blocks.moments])
        self.level = blocks.level(everything)

    def scores(self, *, strongest: bool = False, squares: bool = False) -> np.ndarray:
        """Compute the deviation of each client, joint over modules.

        In each module the deviation is relative to the median of the agreeing half. The geometric
        mean over modules is large for a deviation in all of them; with `squares`, the root mean
        square is large also for a deviation in one. In units of a typical update's norm.

        Returns
        -------
        ndarray of shape (n_clients,)
            >= 0; zero for clients that cannot be compared.
        """
        residuals = self._strongest if strongest else self._everything
        rounding = SCORE_FLOOR**2 * np.maximum(self._energy, 1.0)
        residuals = np.where(residuals > rounding, residuals, SCORE_FLOOR**2)
        usual = self._usual(residuals)
        ratios = np.where(self.comparable, residuals / usual[:, None], 1.0)
        counts = np.maximum(self.comparable.sum(axis=0), 1)
        if squares:
            joint = np.sqrt(np.where(self.comparable, ratios, 0.0).sum(axis=0) / counts)
        else:
            joint = np.exp(0.5 * np.log(ratios).sum(axis=0) / counts)
        judged = self.comparable.any(axis=1)
        unit = np.exp(0.5 * np.log(usual[judged]).mean()) if judged.any() else 0.0
        return np.where(self.comparable.any(axis=0), unit * joint, 0.0)

    def _usual(self, residuals: np.ndarray) -> np.ndarray:
        """Compute the median over each half's compared clients, per module; the floor if none."""
        chosen = self.halves & self.comparable
        counts = chosen.sum(axis=1)
        ordered = np.sort(np.where(chosen, residuals, np.inf), axis=1)
        rows = np.arange(len(ordered))
        middle = (ordered[rows, (counts - 1) // 2] + ordered[rows, counts // 2]) / 2
        return np.where(counts > 0, middle, SCORE_FLOOR**2)


def _representatives(moments: Sequence[Moments]) -> np.ndarray:
    """Find for each client the first that sends nearly the same where both send something.

    Honest clients may agree closely, so what is near is measured by the closest majority: by the
    distance within which some client has half of all.
    """
    n = moments[0].n_clients
    found = np.arange(n)
    if n <= MIN_OTHERS:
        return found
    energy = np.array([one.energy for one in moments])
    common = energy.T @ (energy > 0)
    lengths = np.sqrt(common * common.T)
    products = np.sum([one.products() for one in moments], axis=0)
    # Squared distances between updates of length one, halved.
    apart = np.full((n, n), np.inf)
    both = (lengths > 0) & ~np.eye(n, dtype=bool)
    apart[both] = np.maximum(1 - products[both] / lengths[both], 0.0)
    closest = np.sort(apart, axis=1)[:, n // 2 - 1].min()
    if closest <= SCORE_FLOOR**2:  # more than half send the same
        return found
    near = apart < ALIKE**2 * min(closest, 1.0)
    for k in np.flatnonzero(np.tril(near).any(axis=1)):
        same = near[k, :k] & (found[:k] == np.arange(k))
        if same.any():
            found[k] = np.argmax(same)
    return found


def _caps(one: Moments) -> np.ndarray:
    """Compute factors that bring every client's energy down to the median of those that have it."""
    energy = one.energy
    typical = median(energy[one.present]) if one.present.any() else 0.0
    factors = np.ones(len(energy))
    loud = energy > typical
    factors[loud] = np.sqrt(typical / energy[loud])
    return factors
