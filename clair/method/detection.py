"""Who is contaminated: scores against the agreeing half, gaps between them, and degrees of doubt.

The detector is ours; the paper flags by contamination norms (``detector="norms"`` of `clair.fit`).
It needs neither the fraction of contaminated clients nor the noise level. A client is *flagged* on
evidence of poison, *suspect* where the evidence is too weak to convict or can be explained by few
data, *not comparable* where too few others changed what it changed, and *kept* otherwise. Suspects
are refined like the kept, but have little or no weight in what the others get: none where the
evidence is weak or is loud noise, less than half a vote where a client is louder than usual outside
the shared directions or repeats others there. Those who repeat each other share one vote. Noise of
the usual size does not silence a client: copies of one honest client, in a majority with it, can
make the others look noisy, and would be the only ones heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from clair.method.concentration import MAX_STEPS, SCORE_FLOOR, Agreement, ClientBlocks
from clair.method.evidence import (
    AGAIN,
    DIRECTIONS_GAP,
    GAP,
    MIN_CLIENTS,
    MODULES_GAP,
    REPEATS,
    WEAK_GAP,
    Evidence,
    gap_rule,
    influence_of,
    noise_only,
    stricter,
    structure_scores,
)
from clair.method.linalg import median
from clair.method.moments import Moments, normalised
from clair.method.shape import Shape
from clair.method.updates import CompressedUpdates, dense_core

AUTO_RANK = 6
AUTO_MAX_DIRECTIONS = 8
AUTO_MIN_RANK = 2
AUTO_SHARE = 0.70
#: Clients above this many times the typical score do not take part where the rank is chosen, and
#: where noise and influence are measured off a subspace; nobody learns from noise above it.
NEAR = 2.0
#: Few data do not explain scores above this many times the typical one (a hundredth of the data).
NOISE_LIMIT = 10.0
#: Kinds of evidence that noise alone does not give.
NO_NOISE = ("shape", "structure")

KEPT, SUSPECT, FLAGGED, NOT_COMPARABLE = "kept", "suspect", "flagged", "not comparable"
DEGREES = (KEPT, SUSPECT, FLAGGED, NOT_COMPARABLE)


@dataclass(frozen=True)
class Verdict:
    """The verdict on every client, and its evidence.

    Attributes
    ----------
    evidence : tuple of Evidence
        The deciding score first.
    benign : ndarray of bool, shape (n_clients,)
        Clients that are not flagged.
    suspect : ndarray of bool, shape (n_clients,)
        Benign clients from whom the others learn little or nothing, see `influence`.
    noisy : ndarray of bool, shape (n_clients,)
        Suspects whose residual is large and looks like noise alone.
    comparable : ndarray of bool, shape (n_clients,)
        False for clients whose modules too few others have, and for all if there are fewer than 4.
    influence : ndarray of shape (n_clients,)
        Weight of each client in what the others get, in [0, 1].
    """

    evidence: tuple[Evidence, ...]
    benign: np.ndarray
    suspect: np.ndarray
    noisy: np.ndarray
    comparable: np.ndarray
    influence: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """The deciding score, ndarray of shape (n_clients,)."""
        return self.evidence[0].scores

    @property
    def threshold(self) -> float:
        """Line on `scores`; infinite where nobody is flagged by them."""
        return self.evidence[0].threshold

    @property
    def margin(self) -> float:
        """Lowest flagged over highest kept of the scores, >= 1."""
        return self.evidence[0].margin

    @property
    def degrees(self) -> tuple[str, ...]:
        """One of `DEGREES` for every client."""
        return tuple(
            FLAGGED if not good else NOT_COMPARABLE if not can else SUSPECT if doubt else KEPT
            for good, can, doubt in zip(self.benign, self.comparable, self.suspect, strict=True)
        )


def usual_score(scores: np.ndarray, clients: np.ndarray) -> float:
    """Compute the median score of some clients, at least `SCORE_FLOOR`."""
    return max(median(scores[clients]) if clients.any() else 0.0, SCORE_FLOOR)


def simple_verdict(evidence: Evidence) -> Verdict:
    """Make the verdict of one kind of evidence alone: flagged or kept, nobody suspect.

    With fewer than 4 clients those not flagged are not comparable.
    """
    nobody = np.zeros(len(evidence.scores), dtype=bool)
    comparable = np.full(len(nobody), len(nobody) >= MIN_CLIENTS)
    benign = ~evidence.flagged
    return Verdict((evidence,), benign, nobody, nobody, comparable, benign.astype(float))


def detect(
    moments: Sequence[Moments],
    rank: int,
    gap: tuple[float, float] = GAP,
    *,
    shape: Shape | None = None,
) -> Verdict:
    """Flag contaminated clients by what they send outside the directions the others share.

    Parameters
    ----------
    moments : sequence of Moments
        One a module, normalised (`clair.method.moments.normalised`).
    rank : int
    gap : tuple of float
        See `clair.method.evidence.gap_rule`.
    shape : Shape, optional
        Evidence of another kind, `clair.method.shape.shape_of`.

    Returns
    -------
    Verdict
        Fewer than 4 clients are too few to tell who differs: nobody is flagged, all are not
        comparable, and each counts in what the others get.
    """
    agreement = ClientBlocks(moments, rank).concentrate(rank)
    return judge(moments, agreement, rank, gap, shape=shape)


def detect_updates(updates: np.ndarray, rank: int, gap: tuple[float, float] = GAP) -> Verdict:
    """Detect in dense updates of one module, (n_clients, d_out, d_in); see `detect`."""
    return detect(normalised([dense_core(updates).moments]), rank, gap)


def judge(
    moments: Sequence[Moments],
    agreement: Agreement,
    rank: int,
    gap: tuple[float, float] = GAP,
    *,
    shape: Shape | None = None,
) -> Verdict:
    """Judge the clients as `detect` does, with the agreeing half known."""
    comparable = agreement.comparable.any(axis=0)
    n_clients, n_compared = len(comparable), int(comparable.sum())
    evidence = _evidence(agreement, gap, shape)
    learn, near, bases = _learned(moments, evidence, comparable, rank)
    structure = structure_scores(moments, learn & near, rank, agreement.comparable)
    if structure is not None:
        scores, wide = structure
        evidence = (*evidence, _drawn(agreement, "structure", scores, wide, wide))
        left = majority = learn & ~evidence[-1].flagged
        if 2 * int(left.sum()) <= n_compared:
            # Honest clients flagged so far for few data alone are of the majority.
            majority = left | _few_data(moments, evidence, comparable & ~learn, learn, bases)
        if 2 * int(majority.sum()) > n_compared and (left < learn).any():
            learn = left
            near, bases = _subspaces(moments, evidence, learn, rank)
    noisy = _few_data(moments, evidence, comparable & ~learn, learn, bases)
    flagged, scores = comparable & ~learn, evidence[0].scores
    weak = gap_rule(
        "outside",
        scores,
        stricter(WEAK_GAP, int(learn.sum())),
        spread=False,
        floor=SCORE_FLOOR,
        among=learn,
    ).flagged
    if n_compared < MIN_CLIENTS:
        weak = np.zeros(n_clients, dtype=bool)
    influence = influence_of(moments, bases, (learn & ~weak) | (noisy & near))
    if n_clients < MIN_CLIENTS:
        comparable = np.zeros(n_clients, dtype=bool)
    suspect = noisy | weak | (learn & (influence < REPEATS))
    return Verdict(evidence, ~flagged | noisy, suspect, noisy, comparable, influence)


def _learned(
    moments: Sequence[Moments], evidence: Sequence[Evidence], comparable: np.ndarray, rank: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Find who is kept, who is no louder than usual, and the subspaces of those who are both.

    Returns
    -------
    kept, near : ndarray of bool, shape (n_clients,)
    subspaces : list of ndarray, each of shape (d, rank)
        One a module.
    """
    kept = comparable & ~_together(evidence, comparable)
    return kept, *_subspaces(moments, evidence, kept, rank)


def _subspaces(
    moments: Sequence[Moments], evidence: Sequence[Evidence], kept: np.ndarray, rank: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Find who is no louder than the kept usually are, and the subspaces of the kept among them."""
    scores = evidence[0].scores
    near = scores <= NEAR * usual_score(scores, kept)
    return near, [s.principal(kept & near, min(rank, s.d))[1] for s in moments]


def _few_data(
    moments: Sequence[Moments],
    evidence: Sequence[Evidence],
    asked: np.ndarray,
    kept: np.ndarray,
    bases: Sequence[np.ndarray],
) -> np.ndarray:
    """Find those asked whose residual few data can explain, see `noise_only`.

    It is not far too loud, and no kind of evidence speaks that noise alone does not give.
    """
    scores = evidence[0].scores
    loud = scores > NOISE_LIMIT * usual_score(scores, kept)
    noisy = noise_only(moments, bases, asked & ~loud, kept)
    for kind in evidence:
        if kind.kind in NO_NOISE:
            noisy &= ~kind.flagged
    return noisy


def _evidence(
    agreement: Agreement, gap: tuple[float, float], shape: Shape | None
) -> tuple[Evidence, ...]:
    """Collect the kinds of evidence that need no more than the agreeing half."""
    found = [
        _drawn(agreement, "outside", agreement.scores(), gap, AGAIN),
        _drawn(agreement, "directions", agreement.scores(strongest=True), DIRECTIONS_GAP, AGAIN),
    ]
    if len(agreement.comparable) > 1:
        found.append(
            _drawn(agreement, "modules", agreement.scores(squares=True), MODULES_GAP, AGAIN)
        )
    if shape is not None:
        found.append(_drawn(agreement, "shape", shape.scores, (shape.ratio, shape.ratio), AGAIN))
    return tuple(found)


def _drawn(
    agreement: Agreement,
    kind: str,
    scores: np.ndarray,
    gap: tuple[float, float],
    again: tuple[float, float],
) -> Evidence:
    """Draw the line between scores of one kind; later gaps must reach `again`, too.

    Near copies count once: a gap below a client and its copies would seem to have many above it.
    """
    comparable = agreement.comparable.any(axis=0)
    voting = comparable & agreement.voting
    n_votes = int(voting.sum())
    if n_votes < MIN_CLIENTS:
        return Evidence(kind, scores, np.zeros(len(scores), dtype=bool), float("inf"), 1.0)
    first = stricter(gap, n_votes)
    later = stricter((max(gap[0], again[0]), max(gap[1], again[1])), n_votes)
    found = gap_rule(kind, scores, first, again=later, floor=SCORE_FLOOR, among=voting)
    return replace(found, flagged=comparable & (scores > found.threshold))


def _together(evidence: Sequence[Evidence], comparable: np.ndarray) -> np.ndarray:
    """Flag by every kind in turn; skip a kind that would leave no majority of the compared kept."""
    flagged = np.zeros(len(comparable), dtype=bool)
    for kind in evidence:
        more = flagged | kind.flagged
        if 2 * int((comparable & ~more).sum()) > int(comparable.sum()):
            flagged = more
    return flagged


def detect_cores(
    modules: Sequence[CompressedUpdates],
    rank: int | str,
    gap: tuple[float, float] = GAP,
    shape: Shape | None = None,
) -> tuple[int, Verdict]:
    """Run the residual detector on compressed updates; choose the rank first if it is "auto"."""
    moments = normalised([core.moments for core in modules])
    blocks = ClientBlocks(moments, AUTO_RANK if rank == "auto" else int(rank))
    if rank == "auto":
        limit = min(min(*core.shape, core.rows) for core in modules)
        rank = automatic_rank(blocks, gap, limit)
    agreement = blocks.concentrate(int(rank))
    return int(rank), judge(moments, agreement, int(rank), gap, shape=shape)


def automatic_rank(
    blocks: ClientBlocks, gap: tuple[float, float] = GAP, max_rank: int | None = None
) -> int:
    """Choose the rank of the shared subspace by how well it predicts clients not fitted on.

    Parameters
    ----------
    blocks : ClientBlocks
    gap : tuple of float
    max_rank : int, optional
        Bound on the result, beside half of the smallest d: what is left tells clients apart.

    Returns
    -------
    int
        At least 1.

    Notes
    -----
    A first rank only decides which clients take part: those flagged at it, above twice a typical
    score or repeating others do not. It is the rank, among 1 to 6, after which the score of the
    worst client of the agreeing half falls least. No minority can move that score, because the half
    holds honest clients. A first rank too low would accuse honest clients, and one too high would
    let colluders in.

    Let e_i be a client's energy along the i-th principal direction of the other clients. Where a
    noise floor is reached, the rank is at the steepest drop of the median of e_i over clients,
    because a minority's direction is not shared. Otherwise it is the smallest rank that holds a
    fixed share of the mean of e_i.
    """
    limit = max(min(one.d for one in blocks.moments) // 2, 1)
    limit = limit if max_rank is None else min(limit, max_rank)
    comparable = blocks.comparable.any(axis=0)
    if not comparable.any():
        return 1
    agreements = dict(blocks.survey(min(AUTO_RANK, limit)))
    rank = _majority_rank(blocks, [agreements[r] for r in sorted(agreements)])
    found = _evidence(agreements[rank], gap, None)
    kept, near, bases = _learned(blocks.moments, found, comparable, rank)
    kept &= near
    influence = influence_of(blocks.moments, bases, kept)
    # Where those who do not repeat others are no majority, the majority with the most influence.
    n_teachers = max(int((influence >= REPEATS).sum()), int(kept.sum()) // 2 + 1)
    teachers = np.zeros_like(kept)
    teachers[np.argsort(-influence, kind="stable")[:n_teachers]] = True
    return predictive_rank(blocks.moments, teachers, limit)


def _majority_rank(blocks: ClientBlocks, agreements: Sequence[Agreement]) -> int:
    """Find the rank at the steepest drop of what each direction explains of the agreeing half."""
    levels = np.array([blocks.level(), *(agreement.level for agreement in agreements)])
    left = min(one.d for one in blocks.moments) - len(agreements)
    noise = max(levels[-1] / max(left, 1), levels[0] * 1e-12, np.finfo(float).tiny)
    steps = np.maximum(levels[:-1] - levels[1:], noise)
    return int(np.argmax(steps / np.append(steps[1:], noise))) + 1


def predictive_rank(moments: Sequence[Moments], kept: np.ndarray, limit: int) -> int:
    """Choose the rank by the rule of `automatic_rank`, for a given set of kept clients.

    Parameters
    ----------
    moments : sequence of Moments
    kept : ndarray of bool, shape (n_clients,)
    limit : int
        Bound on the result, >= 1.
    """
    top = min(AUTO_MAX_DIRECTIONS, limit, min(one.d for one in moments) - 1)
    if top < 1 or not kept.any():
        return 1
    energy, usual, beyond = np.zeros(top + 1), np.zeros(top + 1), 0.0
    for one in moments:
        whole = float(one.energy[kept].mean()) or 1.0
        inside = one.left_out_energy(kept, top + 1, coarse=True)[kept] / whole
        profile = inside.mean(axis=0)
        energy += profile / len(moments)
        usual += np.median(inside, axis=0) / len(moments)
        # Directions that no client has hold no energy; they must not lower the noise floor.
        tail = one.span(kept) - top - 1
        beyond += (1 - float(profile.sum())) / tail / len(moments) if tail > 0 else 0.0
    if not energy.any():
        return 1
    # A minority's strong direction has a low median, so the medians are sorted.
    usual = np.sort(usual)[::-1]
    if energy[top] <= 2 * max(beyond, energy[0] * 1e-12) or usual[top] <= usual[0] * 1e-9:
        drops = usual[:top] / np.maximum(usual[1:], energy[0] * 1e-12)
        return int(np.argmax(drops)) + 1
    reached = int(np.sum(np.cumsum(energy) < AUTO_SHARE)) + 1  # beyond `top` if never reached
    return min(max(reached, AUTO_MIN_RANK), AUTO_RANK, limit)


def coefficient_screen(coefficients: Sequence[np.ndarray], benign: np.ndarray) -> np.ndarray:
    """Find kept clients whose coefficients point against the majority's (sign flips).

    Parameters
    ----------
    coefficients : sequence of ndarray, each of shape (n_clients, rank, b)
        ``U' Delta_k`` of each module, in one basis for all clients.
    benign : ndarray of bool, shape (n_clients,)
        Clients kept so far; the others are ignored.

    Returns
    -------
    ndarray of bool, shape (n_clients,)
        `benign` without the clients whose coefficients have a negative inner product with the sum
        of the half that agrees best, the client itself left out. Where nobody is kept, nobody is
        screened.

    Notes
    -----
    Every client's coefficients are divided by their norm, because only where they point counts. The
    half is found from several starts, one a client, like that of `clair.method.concentration`: the
    one whose *lowest* cosine with the sum of the others in it is highest. So a minority cannot pass
    itself off as the majority by agreeing.
    """
    kept = np.flatnonzero(benign)
    if len(kept) == 0:
        return benign.copy()
    stacked = []
    for blocks in coefficients:
        flat = blocks[kept].reshape(len(kept), -1)
        typical = float(np.median(np.linalg.norm(flat, axis=1))) or 1.0
        stacked.append(flat / typical)
    vectors = np.concatenate(stacked, axis=1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1.0)
    half = _aligned_half(vectors @ vectors.T)
    # The client is taken out of the sum before the product: what is left of one that is alone in
    # its half is zero, not a rounding error of either sign.
    others = vectors[half].sum(axis=0) - half[:, None] * vectors
    inner = np.einsum("ki,ki->k", others, vectors)
    screened = benign.copy()
    screened[kept[inner < 0]] = False
    return screened


def _aligned_half(gram: np.ndarray) -> np.ndarray:
    """Find the half whose lowest cosine with the sum of the others in it is highest.

    Parameters
    ----------
    gram : ndarray of shape (n, n)
        Inner products of unit vectors.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    size, own = len(gram) // 2 + 1, np.diag(gram)
    cosines, best = gram, -np.inf
    for _ in range(MAX_STEPS):
        order = np.argsort(-cosines, axis=1, kind="stable")
        halves = np.zeros_like(gram)
        np.put_along_axis(halves, order[:, :size], 1.0, axis=1)
        sums = halves @ gram
        squares = np.sum(sums * halves, axis=1, keepdims=True) - halves * (2 * sums - own)
        cosines = (sums - halves * own) / np.sqrt(np.maximum(squares, SCORE_FLOOR**2))
        levels = np.sort(cosines, axis=1)[:, -size]
        place = int(np.argmax(levels))
        if levels[place] > best:
            best, found = levels[place], halves[place] > 0
    return found
