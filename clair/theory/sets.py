"""Whom the detector should find in the matrix model, predicted without drawing a single problem.

The squared scores of `clair.method.detection` are taken as normal. Their means and spreads follow
from a `ProblemSpec` alone: noise and attack outside the subspace, over all that a client sends and
over its strongest directions, where a false direction cannot hide behind noise, and how few
directions hold what is outside. Scores drawn from these distributions are judged by the detector's
own rule. Ours, on formulas of Benaych-Georges,
Nadakuditi, J. Multivariate Anal. 2012; good as far as the agreeing half is honest, which the tests
check by simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from clair.method.concentration import SCORE_FLOOR
from clair.method.detection import NOISE_LIMIT
from clair.method.evidence import (
    AGAIN,
    DIRECTIONS_GAP,
    FEW_DATA,
    GAP,
    LET_OUT,
    MIN_CLIENTS,
    NOISE_SLACK,
    SIGNAL_SHARE,
    noise_spread,
    stricter,
    structure_gap,
)
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.attacks import PLANS
from clair.simulation.matrix_model import ProblemSpec
from clair.theory.gaps import above_gap
from clair.theory.predictions import (
    DRAWS,
    breakdown_noise,
    gaussian_grams,
    off_energy,
    squared_sines,
)

#: Attacks whose part off the subspace cannot be told from noise.
DENSE = ("random", "sign_flip", "scaled", "copies", "echo")
#: Attacks that add a product of two random matrices.
PRODUCTS = ("low_rank", "identical", "replace")
_SCORE_DRAWS = 256
# Correlation between a contaminated client's energy outside and its largest singular value,
# measured.
_CORRELATION = 0.5
_LEAST_NOISE = 1e-4
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Scores:
    """Squared scores of the two kinds of client, as two normal distributions.

    Attributes
    ----------
    benign, contaminated : float
        Means, >= 0.
    benign_sd, contaminated_sd : float
        Standard deviations, >= 0.
    """

    benign: float
    benign_sd: float
    contaminated: float
    contaminated_sd: float

    @property
    def separation(self) -> float:
        """Typical contaminated over typical benign score; infinite without noise."""
        if self.benign == 0:
            return float("inf") if self.contaminated > 0 else 1.0
        return float(np.sqrt(self.contaminated / self.benign))

    def drawn(self, contaminated: np.ndarray, normals: np.ndarray, floor: float) -> np.ndarray:
        """Turn standard normals of shape (draws, n_clients) into scores of that shape."""
        means = np.where(contaminated, self.contaminated, self.benign)
        spreads = np.where(contaminated, self.contaminated_sd, self.benign_sd)
        return np.sqrt(np.maximum(means + spreads * normals, floor**2))


@dataclass(frozen=True)
class ScoreModel:
    """What the detector should see of the two kinds of client.

    Attributes
    ----------
    whole, strongest : Scores
        Leave-one-out residuals of all that a client sends, and of its strongest directions.
    structure : Scores
        Concentration of what is outside over that of noise, whose score is not a root: `drawn` has
        to be squared.
    peak, peak_sd : float
        Largest squared singular value of a contaminated residual: mean, standard deviation.
    aligned : bool
        Whether contaminated residuals stand out along the rows in which the client speaks.
    """

    whole: Scores
    strongest: Scores
    structure: Scores
    peak: float
    peak_sd: float
    aligned: bool

    @property
    def separation(self) -> float:
        """Typical contaminated over typical benign score of all that is sent."""
        return self.whole.separation


def score_model(spec: ProblemSpec) -> ScoreModel:
    """Predict the distribution of the detector's scores, before normalisation.

    Benign: noise and honest deviation off the subspace, and what a slightly wrong subspace lets
    out. Contaminated: the same plus the part of the attack off the subspace.
    """
    q, sigma, free = spec.d_in, spec.noise, max(spec.d_out - spec.rank, 1) * spec.d_in
    noise, honest_off = (spec.d_out - spec.rank) * q * sigma**2, off_energy(spec)
    honest_in = spec.rank * (1 + spec.heterogeneity**2)
    leak = float(squared_sines(spec, spec.n_clients // 2).mean())
    outside, inside, spread = _attack_energy(spec, honest_in, honest_off)
    own = 2 * noise * sigma**2
    whole = Scores(
        noise + honest_off + leak * honest_in,
        float(np.sqrt(own + 4 * sigma**2 * (honest_off + leak * honest_in))),
        noise + outside + leak * inside,
        float(np.sqrt(own + 4 * sigma**2 * max(outside + leak * inside, 0.0) + spread**2)),
    )
    # A dense attack looks like noise; a plan without noise of its own has structure throughout.
    tactics = PLANS[spec.attack].tactics if spec.attack in PLANS else ()
    silent = noise if tactics and not any(tactic.noise for tactic in tactics) else 0.0
    foreign = 0.0 if spec.attack in DENSE else max(outside + silent - honest_off, 0.0)
    usual, unusual = (noise + honest_off) / free, (noise + outside - foreign) / free
    strongest = Scores(
        *_strongest(spec, usual, honest_in, 0.0, leak),
        *_strongest(spec, unusual, inside, foreign, leak, spread),
    )
    rows = spec.rank / q
    aligned = noise * rows + leak * inside > 2 * NOISE_SLACK * rows * whole.contaminated
    within = spec.rank * q * sigma**2
    sent = whole.contaminated + inside + (0.0 if silent else within)
    few = sent < FEW_DATA * (whole.benign + honest_in + within)
    excused = whole.contaminated < max(LET_OUT * leak * inside, few * whole.benign)
    told = (1.0, 0.0) if excused else _structure(spec, unusual, foreign)
    structure = Scores(*_structure(spec, usual, 0.0), *told)
    return ScoreModel(whole, strongest, structure, *_peak(spec, unusual, foreign), aligned)


def _strongest(
    spec: ProblemSpec,
    variance: float,
    inside: float,
    foreign: float,
    leak: float,
    spread: float = 0.0,
) -> tuple[float, float]:
    """Predict the mean and sd of the strongest directions' energy off the subspace.

    A client holds given energies inside the subspace and off it, the latter with a given standard
    deviation, and noise of a given variance s^2 an entry. A direction of energy t keeps
    ``(t + q s^2)(1 - p q s^4 / t^2)`` under noise and gets ``p s^2 (1 + q s^2 / t)^2`` across it,
    and is lost below ``t^2 = p q s^4`` (Benaych-Georges, Nadakuditi 2012).
    """
    p, q, r = spec.d_out, spec.d_in, spec.rank
    drawn, attack = _stacked(spec, foreign)
    sizes = np.sqrt(np.hstack([np.full((DRAWS, r), inside / (r * q)), attack]))
    values, vectors = np.linalg.eigh(drawn * sizes[:, :, None] * sizes[:, None, :])
    energy = np.maximum(values[:, -r:], 0.0)
    share = np.sum(vectors[:, r:, -r:] ** 2, axis=1)
    ratio = variance / np.maximum(energy, max(variance * np.sqrt(p * q), _TINY))
    along = (energy + q * variance) * np.maximum(1 - p * q * ratio**2, 0.0)
    seen = along * (share + leak * (1 - share))
    across = (p - r) * variance * (1 + q * ratio) ** 2
    total = np.sum(seen + across, axis=1)
    noise = np.mean(np.sum(2 * across**2 / (p - r) + 4 * variance * seen, axis=1))
    return float(total.mean()), float(np.sqrt(total.var() + noise + spread**2))


def _structure(spec: ProblemSpec, variance: float, foreign: float) -> tuple[float, float]:
    """Predict the mean and sd of the concentration outside over that of noise.

    See `clair.method.evidence.structure_scores`. A foreign part F under noise E of variance s^2
    has ``E ||F + E||_4^4 = ||F||_4^4 + 2 (p + q + 1) s^2 ||F||^2 + p q (p + q + 1) s^4`` in the
    Schatten norm.
    """
    p, q, r = spec.d_out - spec.rank, spec.d_in, spec.rank
    noise = p * q * variance
    if foreign + noise == 0:
        return 1.0, 0.0
    drawn, attack = _stacked(spec, foreign)
    grams = drawn[:, r:, r:] * attack[:, :1, None]
    fourth = np.sum(grams**2, axis=(1, 2)) + (p + q + 1) * variance * (2 * foreign + noise)
    ratios = fourth / (foreign + noise) ** 2 * (p * q + 2) / (p + q + 1)
    sixth = np.einsum("tij,tjk,tki->t", grams, grams, grams)
    noisy = 16 * variance * sixth / fourth**2 + noise_spread(p, q) ** 2
    return float(ratios.mean()), float(np.sqrt(ratios.var() + np.mean(ratios**2 * noisy)))


def _peak(spec: ProblemSpec, variance: float, foreign: float) -> tuple[float, float]:
    """Predict the mean and sd of the largest squared singular value off the subspace."""
    p, q, r = spec.d_out - spec.rank, spec.d_in, spec.rank
    drawn, attack = _stacked(spec, foreign)
    largest = np.linalg.eigvalsh(drawn[:, r:, r:])[:, -1] * attack[:, 0]
    energy = np.maximum(largest, max(variance * np.sqrt(p * q), _TINY))
    seen = (energy + q * variance) * (energy + p * variance) / energy
    return float(seen.mean()), float(np.sqrt(seen.var() + 4 * variance * largest.mean()))


def _stacked(spec: ProblemSpec, foreign: float) -> tuple[np.ndarray, np.ndarray]:
    """Make Gram matrices of fixed Gaussian rows, the client's own and the attack's.

    Also return the factors for the attack's rows, which give every attack its set energy.
    """
    rank, rows = spec.rank, 1 if spec.attack == "alie" else spec.rank
    if spec.attack in PLANS and spec.attack != "tilt":
        most = max(tactic.directions for tactic in PLANS[spec.attack].tactics)
        rows = min(max(most, 1), rank)
    drawn = gaussian_grams(spec.d_in, rank + rows)
    if spec.attack == "tilt":  # the client's own rows, seen along turned directions
        drawn = np.tile(gaussian_grams(spec.d_in, rank), (1, 2, 2))
    if spec.attack in PRODUCTS:  # of two Gaussian matrices, with more uneven singular values
        turn = np.linalg.cholesky(gaussian_grams(spec.d_out, rows)).transpose(0, 2, 1)
        drawn = drawn.copy()
        drawn[:, rank:] = turn @ drawn[:, rank:]
        drawn[:, :, rank:] = drawn[:, :, rank:] @ turn.transpose(0, 2, 1)
    total = np.einsum("tii->t", drawn[:, rank:, rank:])
    return drawn, np.repeat((foreign / total)[:, None], rows, axis=1)


def _attack_energy(
    spec: ProblemSpec, honest_in: float, honest_off: float
) -> tuple[float, float, float]:
    """Predict a contaminated update's energy off and inside the subspace, and the former's sd."""
    share, s2 = spec.rank / spec.d_out, spec.attack_scale**2
    added = s2 * honest_in  # attacks are sized against the typical energy of a benign update
    if spec.attack in ("sign_flip", "scaled"):
        factor = s2 * (100.0 if spec.attack == "scaled" else 1.0)
        return factor * honest_off, factor * honest_in, 0.0
    if spec.attack == "alie":
        bad = spec.n_contaminated
        good = spec.n_clients - bad
        supporters = spec.n_clients // 2 + 1 - bad
        z2 = max(0.0, float(ndtri((good - supporters) / good))) ** 2
        # The standard deviation of each entry is a matrix of its own, mostly off the subspace.
        shift = s2 * z2 * spec.rank * spec.heterogeneity**2 * (1 - 1 / good)
        own = honest_off * (1 / good + s2 * z2)
        return own + shift * (1 - share), spec.rank + share * shift, 0.0
    if spec.attack in PLANS:
        return _plan_energy(PLANS[spec.attack], spec, honest_in, honest_off)
    spread = added * np.sqrt(2.0) / spec.d_out
    if spec.attack == "random":
        spread = added * np.sqrt(2 * spec.rank / spec.d_in) / spec.d_out
    kept_off, kept_in = (0.0, 0.0) if spec.attack == "replace" else (honest_off, honest_in)
    return kept_off + added * (1 - share), kept_in + added * share, float(spread)


def _plan_energy(
    plan: AttackPlan, spec: ProblemSpec, honest_in: float, honest_off: float
) -> tuple[float, float, float]:
    """Predict the same for a plan's least conspicuous group, which decides if all are found."""
    noise, s2 = (spec.d_out - spec.rank) * spec.d_in * spec.noise**2, spec.attack_scale**2
    # The victim is the honest client with the largest part outside.
    good, free = spec.n_clients - spec.n_contaminated, max(spec.d_out - spec.rank, 1) * spec.d_in
    most = 1 + float(np.sqrt(2 / free) * ndtri(good / (good + 1)))
    energies = []
    for tactic in plan.tactics:
        own, turned = tactic.own**2, min(s2 * tactic.tilt**2, 1.0)
        foreign, step = s2 * tactic.size**2 * honest_in, s2 * (tactic.ladder**2 - 1) * noise
        victim = s2 * (tactic.copy + tactic.echo) ** 2 * (most * noise + honest_off)
        outside = own * (honest_off + turned * honest_in) + (1 - tactic.inside) * foreign
        # The noise a group leaves out is subtracted, because every client is taken to have noise.
        outside += step + victim + (tactic.noise**2 - 1) * noise
        inside = (own * (1 - turned) + s2 * tactic.copy**2) * honest_in + tactic.inside * foreign
        energies.append((outside, inside, 0.0))
    return min(energies)


@lru_cache(maxsize=128)
def _standard_normals(n_clients: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((4, _SCORE_DRAWS, n_clients))


def exact_set_probability(spec: ProblemSpec, gap: tuple[float, float] = GAP) -> float:
    """Predict the probability that the detector flags exactly the contaminated clients.

    Scores are drawn from `score_model` and judged as `clair.method.detection.judge` does, by the
    gaps of all scores. A client that looks like noise alone is not flagged unless it is far too
    loud or has structure.

    Parameters
    ----------
    spec : ProblemSpec
    gap : tuple of float
        As in `clair.method.evidence.gap_rule`.

    Returns
    -------
    float
        In [0, 1].
    """
    bad, n = spec.n_contaminated, spec.n_clients
    if n < MIN_CLIENTS:
        return float(bad == 0)
    if 2 * bad >= n:  # a verdict that leaves no majority kept is never given
        return 0.0
    model, contaminated = score_model(spec), np.arange(n) < bad
    floor = SCORE_FLOOR * float(np.sqrt(spec.rank * (1 + spec.heterogeneity**2)))
    normals = _standard_normals(n)
    whole = model.whole.drawn(contaminated, normals[0], floor)
    strongest = model.strongest.drawn(contaminated, normals[1], floor)
    structure = model.structure.drawn(contaminated, normals[3], floor) ** 2
    flagged = np.zeros(whole.shape, dtype=bool)
    wide = structure_gap(noise_spread(spec.d_out - spec.rank, spec.d_in))
    kinds = ((whole, gap, AGAIN), (strongest, DIRECTIONS_GAP, AGAIN), (structure, wide, wide))
    for scores, least, later in kinds:
        repeat = max(least[0], later[0]), max(least[1], later[1])
        found = above_gap(scores, stricter(least, n), stricter(repeat, n))
        more = flagged | found
        flagged = np.where(2 * more.sum(axis=1, keepdims=True) < n, more, flagged)
    shared = _CORRELATION * normals[0] + np.sqrt(1 - _CORRELATION**2) * normals[2]
    structured = found  # the last kind
    flagged &= structured | ~_like_noise(spec, model, whole, flagged, shared)
    return float(np.mean((flagged == contaminated).all(axis=1)))


def _like_noise(
    spec: ProblemSpec,
    model: ScoreModel,
    whole: np.ndarray,
    flagged: np.ndarray,
    normals: np.ndarray,
) -> np.ndarray:
    """Predict whom `noise_only` excuses; honest clients send only noise outside."""
    p, q = max(spec.d_out - spec.rank, 1), spec.d_in
    edge = whole**2 / (p * q) * (np.sqrt(p) + np.sqrt(q)) ** 2
    width = model.peak_sd / max(model.peak, _TINY)
    like = model.peak * np.exp(width * normals - width**2 / 2) <= NOISE_SLACK * edge
    like &= not model.aligned and speaks(spec)
    like |= np.arange(spec.n_clients) >= spec.n_contaminated
    usual = np.nanmedian(np.where(flagged, np.nan, whole), axis=1, keepdims=True)
    return like & (whole <= NOISE_LIMIT * usual)


def speaks(spec: ProblemSpec) -> bool:
    """Tell whether attackers show an honest client's signal inside, as noisy clients do."""
    if spec.attack in ("replace", "sign_flip"):
        return False
    tactics = PLANS[spec.attack].tactics if spec.attack in PLANS else ()
    return all(tactic.own + tactic.copy >= np.sqrt(SIGNAL_SHARE) for tactic in tactics)


def stands_out(spec: ProblemSpec) -> bool:
    """Predict whether a typical contaminated client is flagged, against typical honest ones.

    What it sends outside must have structure. Or its score must reach a gap, over all it sends or
    over its strongest directions, and what it sends outside must be too structured or too loud to
    be explained by few data.
    """
    model, p, q = score_model(spec), max(spec.d_out - spec.rank, 1), spec.d_in
    if model.structure.contaminated >= structure_gap(noise_spread(p, q))[1]:
        return True
    if model.separation < GAP[1] and model.strongest.separation < DIRECTIONS_GAP[1]:
        return False
    edge = model.whole.contaminated / (p * q) * (np.sqrt(p) + np.sqrt(q)) ** 2
    structured = model.aligned or not speaks(spec) or model.peak > NOISE_SLACK * edge
    return structured or model.separation > NOISE_LIMIT


def critical_noise(spec: ProblemSpec) -> float:
    """Find the noise up to which a typical contaminated client stands out (`stands_out`).

    Returns
    -------
    float
        0 if it does not stand out even at the least noise; infinite if it still does at
        `breakdown_noise`, beyond which no subspace can be found.
    """
    return _last_noise(spec, stands_out)


def set_noise(spec: ProblemSpec) -> float:
    """Predict the noise up to which the exact set is found in at least half of the problems.

    Returns
    -------
    float
        0 and infinite as in `critical_noise`.
    """
    return _last_noise(spec, lambda noisy: exact_set_probability(noisy) >= 0.5)


def _last_noise(spec: ProblemSpec, holds: Callable[[ProblemSpec], bool]) -> float:
    if 2 * spec.n_contaminated >= spec.n_clients:
        return 0.0
    low, high = _LEAST_NOISE, breakdown_noise(spec)
    if high <= low or not holds(replace(spec, noise=low)):
        return 0.0
    if holds(replace(spec, noise=high)):
        return float("inf")
    for _ in range(14):
        middle = (low + high) / 2
        if holds(replace(spec, noise=middle)):
            low = middle
        else:
            high = middle
    return low
