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

from clair.scatter import Moments, Scatter, as_scatters
from clair.solvers import median_subspace

GAP = (1.10, 1.15)
MAX_ROUNDS = 6
# The pilot only picks the half of the clients to start from.
PILOT_TOL = 1e-5
AUTO_RANKS = range(1, 7)
AUTO_MAX_DIRECTIONS = 8
AUTO_MIN_RANK = 2
AUTO_SHARE = 0.70
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
    # The quotient of any two must be a number, also where most scores are zero.
    least = max(floor, 1e-300 * float(scores.max()), np.finfo(float).tiny)
    ordered = np.maximum(scores[order], least)
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


def module_residuals(
    scatters: Sequence[Scatter], kept: np.ndarray, rank: int, directions: int | None = None
) -> np.ndarray:
    """Squared leave-one-out residuals of every client in every module.

    Parameters
    ----------
    scatters : sequence of Scatter
    kept : ndarray of bool, shape (n_clients,)
        The clients the subspaces are fitted on.
    rank : int
    directions : int, optional
        Compute so many directions at once, for later calls with a higher rank.

    Returns
    -------
    ndarray of shape (n_modules, n_clients)
    """
    residuals = np.empty((len(scatters), len(kept)))
    for row, scatter in zip(residuals, scatters, strict=True):
        size = min(max(rank, directions or 0), scatter.d)
        inside = scatter.left_out_energy(kept, size)[:, :rank].sum(axis=1)
        row[:] = np.maximum(scatter.energy - inside, 0.0)
    return residuals


def joint_scores(scatters: Sequence[Scatter], residuals: np.ndarray) -> np.ndarray:
    """Root of the squares summed over modules, ndarray of shape (n_clients,).

    A client that lacks some of the modules is scored as if it deviated there as much as in those
    that it has.
    """
    present = np.array([scatter.present for scatter in scatters])
    share = len(scatters) / np.maximum(present.sum(axis=0), 1)
    scores: np.ndarray = np.sqrt(residuals.sum(axis=0) * share)
    return scores


def leave_one_out_scores(grams: Sequence[Moments], kept: np.ndarray, rank: int) -> np.ndarray:
    """Residual of each client off the principal subspace of the *other* kept clients.

    Parameters
    ----------
    grams : sequence of Scatter, or of ndarray of shape (n_clients, d, d)
    kept : ndarray of bool, shape (n_clients,)
        The clients the subspace is fitted on.
    rank : int

    Returns
    -------
    ndarray of shape (n_clients,)
        Joint over modules (root of the summed squares).
    """
    scatters = as_scatters(grams)
    return joint_scores(scatters, module_residuals(scatters, kept, rank))


def concentrate(
    grams: Sequence[Moments], rank: int, directions: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Leave-one-out scores relative to the half of the clients that agrees best.

    Parameters
    ----------
    grams : sequence of Scatter, or of ndarray of shape (n_clients, d, d)
        Normalised (`normalised_grams`).
    rank : int
    directions : int, optional
        See `module_residuals`.

    Returns
    -------
    scores : ndarray of shape (n_clients,)
    half : ndarray of bool, shape (n_clients,)
        The ``n_clients // 2 + 1`` clients of smallest score.
    """
    scatters = as_scatters(grams)
    subspaces, _, _ = median_subspace(scatters, rank, tol=PILOT_TOL, coarse=True)
    off = [scatter.outside(basis) for scatter, basis in zip(scatters, subspaces, strict=True)]
    half = _smallest_half(joint_scores(scatters, np.array(off)))
    scores = joint_scores(scatters, module_residuals(scatters, half, rank, directions))
    for _ in range(MAX_ROUNDS - 1):
        renewed = _smallest_half(scores)
        if np.array_equal(renewed, half):
            break
        half = renewed
        scores = joint_scores(scatters, module_residuals(scatters, half, rank, directions))
    return scores, half


def _smallest_half(scores: np.ndarray) -> np.ndarray:
    half = np.zeros(len(scores), dtype=bool)
    half[np.argsort(scores, kind="stable")[: len(scores) // 2 + 1]] = True
    return half


def score_floor(grams: Sequence[Moments]) -> float:
    """Score below which differences are rounding."""
    energy = np.sum([scatter.energy for scatter in as_scatters(grams)], axis=0)
    return SCORE_FLOOR * float(np.sqrt(np.median(energy)))


def detect(
    grams: Sequence[Moments],
    rank: int,
    gap: tuple[float, float] = GAP,
    *,
    directions: int | None = None,
) -> Verdict:
    """Flag contaminated clients by leave-one-out residuals and the gap rule.

    Parameters
    ----------
    grams : sequence of Scatter, or of ndarray of shape (n_clients, d, d)
        Normalised (`normalised_grams`, or `clair.scatter.normalised`).
    rank : int
    gap : tuple of float
        See `gap_rule`. The stricter (1.15, 1.25) is better where `rank` is the true one or just
        above it and false alarms cost more than a missed colluder.
    directions : int, optional
        See `module_residuals`.

    Returns
    -------
    Verdict
    """
    scatters = as_scatters(grams)
    scores, _ = concentrate(scatters, rank, directions)
    return gap_rule(scores, gap, score_floor(scatters))


def automatic_rank(
    grams: Sequence[Moments], gap: tuple[float, float] = GAP, max_rank: int | None = None
) -> int:
    """Rank of the shared subspace, from how well it predicts clients it was not fitted on.

    Parameters
    ----------
    grams : sequence of Scatter, or of ndarray of shape (n_clients, d, d)
        Normalised (`normalised_grams`, or `clair.scatter.normalised`).
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
    scatters = as_scatters(grams)
    limit = min(scatter.d for scatter in scatters)
    limit = limit if max_rank is None else min(limit, max_rank)
    top = min(max(AUTO_RANKS), limit)
    verdicts = [detect(scatters, rank, gap, directions=top) for rank in range(1, top + 1)]
    kept = max(verdicts, key=lambda verdict: verdict.margin).benign
    return predictive_rank(scatters, kept, limit)


def predictive_rank(scatters: Sequence[Scatter], kept: np.ndarray, limit: int) -> int:
    """Rank by the rule of `automatic_rank`, for a given set of kept clients.

    Parameters
    ----------
    scatters : sequence of Scatter
    kept : ndarray of bool, shape (n_clients,)
    limit : int
        Bound on the result, >= 1.
    """
    top = min(AUTO_MAX_DIRECTIONS, limit, min(scatter.d for scatter in scatters) - 1)
    if top < 1:
        return 1
    energy, beyond = np.zeros(top + 1), 0.0
    for scatter in scatters:
        whole = float(scatter.energy[kept].mean()) or 1.0
        profile = scatter.left_out_energy(kept, top + 1)[kept].mean(axis=0) / whole
        energy += profile / len(scatters)
        # Directions nobody has hold no energy, and must not make the noise floor look lower.
        tail = scatter.span(kept) - top - 1
        beyond += (1 - float(profile.sum())) / tail / len(scatters) if tail > 0 else 0.0
    if not energy.any():
        return 1
    if energy[top] <= 2 * max(beyond, energy[0] * 1e-12):
        drops = energy[:top] / np.maximum(energy[1:], energy[0] * 1e-12)
        return int(np.argmax(drops)) + 1
    reached = int(np.sum(np.cumsum(energy) < AUTO_SHARE)) + 1  # beyond `top` if never reached
    return min(max(reached, AUTO_MIN_RANK), max(AUTO_RANKS), limit)


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
        of the half closest to the coordinate-wise median (the client itself left out). Where nobody
        is kept, nobody is screened.
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
    distance = np.linalg.norm(vectors - np.median(vectors, axis=0), axis=1)
    half = _smallest_half(distance)
    # The client is taken out of the sum before the product: what is left of one that is alone in
    # its half is zero, not a rounding error of either sign.
    others = vectors[half].sum(axis=0) - half[:, None] * vectors
    inner = np.einsum("ki,ki->k", others, vectors)
    screened = benign.copy()
    screened[kept[inner < 0]] = False
    return screened
