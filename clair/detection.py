"""Who is contaminated: pilot subspace, leave-one-out scores, the gap rule, coefficient screen.

The leave-one-out detector is ours; the paper flags by contamination norms, which `gap_rule` also
serves (``detector="norms"`` of `clair.fit`). It needs neither the fraction of contaminated clients
nor the noise level. Its refitting is a concentration step of least trimmed squares (Rousseeuw, Van
Driessen 2006) with every client scored by a subspace it had no part in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clair.linalg import energy_in, leading_eigenvectors
from clair.solvers import median_subspace

GAP = (1.10, 1.15)
MAX_ROUNDS = 6
AUTO_RANKS = range(1, 7)
AUTO_MAX_DIRECTIONS = 8
AUTO_MIN_RANK = 2
AUTO_SHARE = 0.55
# Scores below this share of a typical update's norm are rounding, not evidence.
SCORE_FLOOR = 1e-6


@dataclass(frozen=True)
class Verdict:
    """Scores of all clients and the line drawn between them.

    Attributes
    ----------
    scores : ndarray of shape (n_clients,)
        Off-subspace residual of each client, each module relative to its typical energy, >= 0.
    benign : ndarray of bool, shape (n_clients,)
    threshold : float
        Between the highest kept and the lowest flagged score; infinite where nobody is flagged.
    margin : float
        Lowest flagged over highest kept score, or where nobody is flagged the largest ratio of
        neighbours in the upper half; >= 1.
    """

    scores: np.ndarray
    benign: np.ndarray
    threshold: float
    margin: float


def gap_rule(scores: np.ndarray, gap: tuple[float, float] = GAP, floor: float = 0.0) -> Verdict:
    """Flag the clients above the widest relative gap in the upper half of the scores.

    Parameters
    ----------
    scores : ndarray of shape (n_clients,)
        >= 0, large for suspicious clients.
    gap : tuple of float
        The gap's least ratio between neighbours, and the least ratio of the first score above it
        to the median of those below. Both >= 1.
    floor : float
        Scores below are treated as equal to it.

    Returns
    -------
    Verdict
        At least ``n_clients // 2 + 1`` clients are kept.
    """
    order = np.argsort(scores, kind="stable")
    ordered = np.maximum(scores[order], max(floor, np.finfo(float).tiny))
    half = len(scores) // 2 + 1
    benign = np.ones(len(scores), dtype=bool)
    if half >= len(scores):
        return Verdict(scores, benign, np.inf, 1.0)
    ratios = ordered[half:] / ordered[half - 1 : -1]
    cut = half + int(np.argmax(ratios))
    margin = float(ratios.max())
    if margin < gap[0] or ordered[cut] < gap[1] * np.median(ordered[:cut]):
        return Verdict(scores, benign, np.inf, margin)
    benign[order[cut:]] = False
    return Verdict(scores, benign, float(np.sqrt(ordered[cut - 1] * ordered[cut])), margin)


def threshold_rule(scores: np.ndarray, threshold: float) -> Verdict:
    """Flag every client whose score exceeds a given threshold."""
    benign = scores <= threshold
    highest = scores[benign].max(initial=np.finfo(float).tiny)
    lowest = scores[~benign].min(initial=np.inf)
    margin = float(lowest / highest) if np.isfinite(lowest) else 1.0
    return Verdict(scores, benign, threshold, max(margin, 1.0))


def normalised_grams(grams: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Divide each module's Gram matrices by its median energy, so that modules weigh alike."""
    scaled = []
    for gram in grams:
        energy = np.einsum("kii->k", gram)
        typical = float(np.median(energy)) or float(energy.mean()) or 1.0
        scaled.append(gram / typical)
    return scaled


def leave_one_out_scores(grams: Sequence[np.ndarray], kept: np.ndarray, rank: int) -> np.ndarray:
    """Residual of each client off the principal subspace of the *other* kept clients.

    Parameters
    ----------
    grams : sequence of ndarray, each of shape (n_clients, d, d)
    kept : ndarray of bool, shape (n_clients,)
        The clients the subspace is fitted on.
    rank : int

    Returns
    -------
    ndarray of shape (n_clients,)
        Joint over modules (root of the summed squares).
    """
    squared = np.zeros(len(kept))
    for gram in grams:
        energy = np.einsum("kii->k", gram)
        total = gram[kept].sum(axis=0)
        size = min(rank, total.shape[0])
        shared = leading_eigenvectors(total, size)
        without = leading_eigenvectors(total - gram[kept], size)
        inside = np.empty(len(kept))
        inside[~kept] = energy_in(gram[~kept], shared)
        inside[kept] = energy_in(gram[kept], without)
        squared += np.maximum(energy - inside, 0.0)
    return np.sqrt(squared)


def concentrate(grams: Sequence[np.ndarray], rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Leave-one-out scores relative to the half of the clients that agrees best.

    Parameters
    ----------
    grams : sequence of ndarray, each of shape (n_clients, d, d)
        Normalised (`normalised_grams`).
    rank : int

    Returns
    -------
    scores : ndarray of shape (n_clients,)
    half : ndarray of bool, shape (n_clients,)
        The ``n_clients // 2 + 1`` clients of smallest score.
    """
    subspaces, _, _ = median_subspace(grams, rank)
    squared = sum(
        np.einsum("kii->k", gram) - energy_in(gram, basis)
        for gram, basis in zip(grams, subspaces, strict=True)
    )
    half = _smallest_half(np.asarray(squared))
    scores = leave_one_out_scores(grams, half, rank)
    for _ in range(MAX_ROUNDS - 1):
        renewed = _smallest_half(scores)
        if np.array_equal(renewed, half):
            break
        half = renewed
        scores = leave_one_out_scores(grams, half, rank)
    return scores, half


def _smallest_half(scores: np.ndarray) -> np.ndarray:
    half = np.zeros(len(scores), dtype=bool)
    half[np.argsort(scores, kind="stable")[: len(scores) // 2 + 1]] = True
    return half


def score_floor(grams: Sequence[np.ndarray]) -> float:
    """Score below which differences are rounding."""
    energy = sum(np.einsum("kii->k", gram) for gram in grams)
    return SCORE_FLOOR * float(np.sqrt(np.median(energy)))


def detect(grams: Sequence[np.ndarray], rank: int, gap: tuple[float, float] = GAP) -> Verdict:
    """Flag contaminated clients by leave-one-out residuals and the gap rule.

    Parameters
    ----------
    grams : sequence of ndarray, each of shape (n_clients, d, d)
        Normalised (`normalised_grams`).
    rank : int
    gap : tuple of float
        See `gap_rule`. The stricter (1.15, 1.25) is better where `rank` is the true one or just
        above it and false alarms cost more than a missed colluder.

    Returns
    -------
    Verdict
    """
    scores, _ = concentrate(grams, rank)
    return gap_rule(scores, gap, score_floor(grams))


def automatic_rank(
    grams: Sequence[np.ndarray], gap: tuple[float, float] = GAP, max_rank: int | None = None
) -> int:
    """Rank of the shared subspace, from how well it predicts clients it was not fitted on.

    Parameters
    ----------
    grams : sequence of ndarray, each of shape (n_clients, d, d)
        Normalised (`normalised_grams`).
    gap : tuple of float
    max_rank : int, optional
        Bound on the result; the smallest d by default.

    Returns
    -------
    int
        At least 1.

    Notes
    -----
    The kept clients come from the most confident verdict over ranks 1 to 6. With e_i their mean
    held-out energy along the i-th principal direction: where a noise floor is reached the rank is
    at the steepest drop of e, otherwise the smallest rank holding a fixed share of the energy.
    """
    limit = min(gram.shape[1] for gram in grams)
    limit = limit if max_rank is None else min(limit, max_rank)
    verdicts = [detect(grams, rank, gap) for rank in AUTO_RANKS if rank <= limit]
    kept = max(verdicts, key=lambda verdict: verdict.margin).benign
    profiles = [_held_out_energy(gram[kept]) for gram in grams]
    length = min(len(profile) for profile in profiles)
    energy = np.mean([profile[:length] / profile.sum() for profile in profiles], axis=0)
    top = min(AUTO_MAX_DIRECTIONS, limit, length - 1)
    if top < 1:
        return 1
    tail = energy[top:]
    if tail[0] <= 2 * max(float(tail[1:].mean()) if len(tail) > 1 else 0.0, energy[0] * 1e-12):
        drops = energy[:top] / np.maximum(energy[1 : top + 1], energy[0] * 1e-12)
        return int(np.argmax(drops)) + 1
    reached = int(np.argmax(np.cumsum(energy) >= AUTO_SHARE)) + 1
    return min(max(reached, AUTO_MIN_RANK), max(AUTO_RANKS), limit)


def _held_out_energy(grams: np.ndarray) -> np.ndarray:
    """Mean energy of each client along the principal directions of the others, (d,)."""
    total = grams.sum(axis=0)
    directions = leading_eigenvectors(total - grams, grams.shape[1])
    energy: np.ndarray = np.einsum("kij,kil,klj->kj", directions, grams, directions).mean(axis=0)
    return np.maximum(energy, 0.0)


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
        `benign` without the clients whose coefficients have a negative inner product with the mean
        of the half closest to the coordinate-wise median (the client itself left out).
    """
    kept = np.flatnonzero(benign)
    stacked = []
    for blocks in coefficients:
        flat = blocks[kept].reshape(len(kept), -1)
        typical = float(np.median(np.linalg.norm(flat, axis=1))) or 1.0
        stacked.append(flat / typical)
    vectors = np.concatenate(stacked, axis=1)
    distance = np.linalg.norm(vectors - np.median(vectors, axis=0), axis=1)
    half = _smallest_half(distance)
    total = vectors[half].sum(axis=0)
    inner = vectors @ total - half * np.einsum("ki,ki->k", vectors, vectors)
    screened = benign.copy()
    screened[kept[inner < 0]] = False
    return screened
