"""What the matrix model should do under noise, predicted without drawing a single problem.

Subspace error, the set found by the leave-one-out detector, and the error of the refined clients,
as functions of a `ProblemSpec` alone. First-order formulas and limits for large random matrices,
with their few expectations over Gaussian matrices taken numerically from fixed draws; the tests
compare every one of them with simulation. Ours, unless a reference is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import norm

from clair.attack_plan import AttackPlan
from clair.attacks import PLANS
from clair.concentration import SCORE_FLOOR
from clair.evidence import GAP
from clair.synthetic import ProblemSpec

_DRAWS = 64
_SCORE_DRAWS = 256


@lru_cache(maxsize=4096)
def signal_strengths(
    n_clients: int, rank: int, d_in: int, heterogeneity: float, unevenness: float = 0.0
) -> np.ndarray:
    """Singular values of n stacked noiseless benign clients, ndarray of shape (64, rank).

    Fixed draws of ``[C_1, ..., C_n]`` with ``C_k = (C_0 + heterogeneity * own) / sqrt(d_in)``;
    each row descending.
    """
    rng = np.random.default_rng(0)
    common = rng.standard_normal((_DRAWS, 1, rank, d_in))
    own = rng.standard_normal((_DRAWS, n_clients, rank, d_in))
    sizes = np.exp(unevenness * rng.standard_normal((_DRAWS, n_clients, 1, 1)))
    blocks = sizes * (common + heterogeneity * own) / np.sqrt(d_in)
    grams = np.einsum("tkij,tklj->til", blocks, blocks)
    return np.sqrt(np.maximum(np.linalg.eigvalsh(grams)[:, ::-1], 0.0))


def effective_noise(spec: ProblemSpec) -> float:
    """Standard deviation an entry off the subspace has from noise and honest deviation together."""
    free = (spec.d_out - spec.rank) * spec.d_in
    own = off_energy(spec) / free if free else 0.0
    return float(np.sqrt(spec.noise**2 + own))


def off_energy(spec: ProblemSpec) -> float:
    """Energy ``||H_k||_F^2`` of a benign client off the shared subspace."""
    return spec.off_subspace**2 * spec.rank if spec.rank < spec.d_out else 0.0


def breakdown_noise(spec: ProblemSpec, n_kept: int | None = None) -> float:
    """Noise from which PCA on the benign clients loses the weakest shared direction.

    ``s_r / (d_out * n * d_in)**(1/4)`` with s_r the smallest singular value of the n stacked
    noiseless benign clients: the threshold of Baik, Ben Arous, Peche 2005 in the form of
    Benaych-Georges, Nadakuditi 2012.
    """
    n = n_kept or spec.n_clients - spec.n_contaminated
    values = signal_strengths(n, spec.rank, spec.d_in, spec.heterogeneity, spec.unevenness)
    return float(values[:, -1].mean() / (spec.d_out * n * spec.d_in) ** 0.25)


def _squared_sines(spec: ProblemSpec, n: int) -> np.ndarray:
    """Squared sine of each direction's angle to the truth, ndarray of shape (64, rank)."""
    values = signal_strengths(n, spec.rank, spec.d_in, spec.heterogeneity, spec.unevenness)
    sigma, width = effective_noise(spec), n * spec.d_in
    if sigma == 0 or spec.rank == spec.d_out:
        return np.zeros_like(values)
    theta = (values / (sigma * np.sqrt(width))) ** 2
    ratio = (spec.d_out - spec.rank) / width
    seen = theta**2 > ratio
    safe = np.where(seen, theta, 1.0)
    return np.where(seen, np.minimum(ratio * (1 + safe) / (safe * (safe + ratio)), 1.0), 1.0)


def subspace_slope(spec: ProblemSpec, n_kept: int | None = None) -> float:
    """Predicted subspace error per unit of noise, while noise is small.

    ``E ||G diag(1/s)||_2`` with G a Gaussian (d_out - r) x r matrix and s the singular values of
    the stacked benign clients: first-order perturbation of singular vectors (Wedin 1972).
    """
    n = n_kept or spec.n_clients - spec.n_contaminated
    values = signal_strengths(n, spec.rank, spec.d_in, spec.heterogeneity, spec.unevenness)
    return float(_largest(1 / values, spec.d_out - spec.rank).mean())


def predicted_subspace_error(spec: ProblemSpec, n_kept: int | None = None) -> float:
    """Sine of the largest angle after PCA on the benign clients.

    Parameters
    ----------
    spec : ProblemSpec
    n_kept : int, optional
        Benign clients in the PCA, all of them by default.

    Returns
    -------
    float
        In [0, 1]; assumes that the set of clients is right.

    References
    ----------
    Benaych-Georges, Nadakuditi, The singular values and vectors of low rank perturbations of large
    rectangular random matrices, J. Multivariate Anal. 2012 (the angle of a single direction);
    that the errors of several directions add up like Gaussian columns is ours.
    """
    n = n_kept or spec.n_clients - spec.n_contaminated
    squared = _squared_sines(spec, n)
    free = spec.d_out - spec.rank
    if free == 0:
        return 0.0
    tangents = np.sqrt(squared / np.maximum(1 - squared, 1e-12))
    largest = _largest(tangents / np.sqrt(free), free)
    return float(np.mean(largest / np.sqrt(1 + largest**2)))


def _largest(scales: np.ndarray, free: int) -> np.ndarray:
    """Largest singular value of Gaussian columns of given scale, one a draw, (64,)."""
    rank = scales.shape[1]
    grams = _gaussian_grams(free, rank) * scales[:, :, None] * scales[:, None, :]
    return np.sqrt(np.maximum(np.linalg.eigvalsh(grams)[:, -1], 0.0))


@lru_cache(maxsize=512)
def _gaussian_grams(free: int, rank: int) -> np.ndarray:
    draws = np.random.default_rng(1).standard_normal((_DRAWS, free, rank))
    return np.einsum("tij,til->tjl", draws, draws)


@dataclass(frozen=True)
class ScoreModel:
    """Squared leave-one-out residuals of the two kinds of client, as two normal distributions.

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
        return float(np.sqrt(self.contaminated / self.benign)) if self.benign else float("inf")


def score_model(spec: ProblemSpec) -> ScoreModel:
    """Predicted distribution of the detector's scores, before normalisation.

    Benign: noise and honest deviation off the subspace, and what a slightly wrong subspace lets
    out. Contaminated: the same plus the part of the attack off the subspace.
    """
    free, q, sigma = spec.d_out - spec.rank, spec.d_in, spec.noise
    noise, honest_off = free * q * sigma**2, off_energy(spec)
    honest_in = spec.rank * (1 + spec.heterogeneity**2)
    leak = float(_squared_sines(spec, spec.n_clients // 2).mean())
    outside, inside, spread = _attack_energy(spec, honest_in, honest_off)
    benign = noise + honest_off + leak * honest_in
    contaminated = noise + outside + leak * inside
    own = 2 * noise * sigma**2
    return ScoreModel(
        benign,
        float(np.sqrt(own + 4 * sigma**2 * (honest_off + leak * honest_in))),
        contaminated,
        float(np.sqrt(own + 4 * sigma**2 * max(outside + leak * inside, 0.0) + spread**2)),
    )


def _attack_energy(
    spec: ProblemSpec, honest_in: float, honest_off: float
) -> tuple[float, float, float]:
    """Energy of a contaminated update off and inside the subspace, and the sd of the former."""
    share, s2 = spec.rank / spec.d_out, spec.attack_scale**2
    added = s2 * honest_in  # attacks are sized against the typical energy of a benign update
    if spec.attack in ("sign_flip", "scaled"):
        factor = s2 * (100.0 if spec.attack == "scaled" else 1.0)
        return factor * honest_off, factor * honest_in, 0.0
    if spec.attack == "alie":
        bad = spec.n_contaminated
        good = spec.n_clients - bad
        supporters = spec.n_clients // 2 + 1 - bad
        z2 = max(0.0, float(norm.ppf((good - supporters) / good))) ** 2
        # The standard deviation of each entry is a matrix of its own, mostly off the subspace.
        shift = s2 * z2 * spec.rank * spec.heterogeneity**2
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
    """The same for the group of a plan that stands out least: it decides whether all are found."""
    noise, s2 = (spec.d_out - spec.rank) * spec.d_in * spec.noise**2, spec.attack_scale**2
    energies = []
    for tactic in plan.tactics:
        own, turned = tactic.own**2, min(s2 * tactic.tilt**2, 1.0)
        foreign, step = s2 * tactic.size**2 * honest_in, s2 * (tactic.ladder**2 - 1) * noise
        victim = s2 * (tactic.copy + tactic.echo) ** 2 * (noise + honest_off)
        outside = own * (honest_off + turned * honest_in) + (1 - tactic.inside) * foreign
        # What it sends in place of noise counts against the noise every client is taken to have.
        outside += step + victim + (tactic.noise**2 - 1) * noise
        inside = (own * (1 - turned) + s2 * tactic.copy**2) * honest_in + tactic.inside * foreign
        energies.append((outside, inside, 0.0))
    return min(energies)


@lru_cache(maxsize=128)
def _standard_normals(n_clients: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((_SCORE_DRAWS, n_clients))


def exact_set_probability(spec: ProblemSpec, gap: tuple[float, float] = GAP) -> float:
    """Predicted probability that the gap rule flags exactly the contaminated clients.

    Scores are drawn from `score_model` and put through the rule of `clair.evidence.gap_rule`.

    Parameters
    ----------
    spec : ProblemSpec
    gap : tuple of float
        As in `clair.evidence.gap_rule`.

    Returns
    -------
    float
        In [0, 1].
    """
    model, bad = score_model(spec), spec.n_contaminated
    means = np.full(spec.n_clients, model.benign)
    spreads = np.full(spec.n_clients, model.benign_sd)
    means[:bad], spreads[:bad] = model.contaminated, model.contaminated_sd
    squared = means + spreads * _standard_normals(spec.n_clients)
    floor = (SCORE_FLOOR**2) * spec.rank * (1 + spec.heterogeneity**2)
    order = np.argsort(squared, axis=1)
    ordered = np.sqrt(np.maximum(np.take_along_axis(squared, order, axis=1), floor))
    half = spec.n_clients // 2 + 1
    ratios = ordered[:, half:] / ordered[:, half - 1 : -1]
    best = half + ratios.argmax(axis=1)
    rows = np.arange(len(best))
    below = (ordered[rows, (best - 1) // 2] + ordered[rows, best // 2]) / 2
    flags = (ratios.max(axis=1) >= gap[0]) & (ordered[rows, best] >= gap[1] * below)
    if bad == 0:
        return float(np.mean(~flags))
    last = (order[:, -bad:] < bad).all(axis=1)
    return float(np.mean(flags & last & (best == spec.n_clients - bad)))


def critical_noise(spec: ProblemSpec, gap: tuple[float, float] = GAP) -> float:
    """Noise at which a typical contaminated score is only `gap[1]` times a typical benign one.

    Solves ``(d_out - r) d_in sigma^2 = A / (g^2 - 1) - h^2`` with A the attack's energy off the
    subspace and h^2 the honest one; the subspace error is left out. 0 where the attack cannot be
    seen even without noise, infinite never.
    """
    honest_in, honest_off = spec.rank * (1 + spec.heterogeneity**2), off_energy(spec)
    outside, _, _ = _attack_energy(spec, honest_in, honest_off)
    free = (spec.d_out - spec.rank) * spec.d_in
    level = (outside - honest_off) / (gap[1] ** 2 - 1) - honest_off
    return float(np.sqrt(max(level, 0.0) / free)) if free else 0.0


@dataclass(frozen=True)
class PredictedErrors:
    """Predicted root-mean-square error of a benign client, in Frobenius norm.

    Attributes
    ----------
    local, clair, clair_eb, clair_oracle, fedavg_benign : float
        By method, >= 0.
    gain : float
        Squared error of local training minus that of CLAIR; negative where CLAIR costs.
    subspace_cost : float
        Part of CLAIR's squared error that is due to the estimated subspace.
    """

    local: float
    clair: float
    clair_eb: float
    clair_oracle: float
    fedavg_benign: float
    gain: float
    subspace_cost: float


def predicted_errors(spec: ProblemSpec, n_kept: int | None = None) -> PredictedErrors:
    """Predicted error of the honest clients, given that exactly they are kept.

    Parameters
    ----------
    spec : ProblemSpec
        Sizes of the clients count as even.
    n_kept : int, optional
        Kept clients, all benign ones by default.

    Notes
    -----
    With n kept clients, noise variance s2 an entry and honest energy h2 off the subspace, local
    training has ``p q s2`` and CLAIR ``r q s2 + (p - r) q s2 / n + h2 (1 - 1/n)`` plus the cost of
    the subspace, which is the deviation of a client along each direction times the squared sine
    of that direction's error. Pooling shrinks a direction's deviation (energy t2) as Efron, Morris
    1973, to ``t2 q s2 / (t2 + q s2)``, and in this model drops the off-subspace mean.
    """
    n = n_kept or spec.n_clients - spec.n_contaminated
    p, q, r, s2 = spec.d_out, spec.d_in, spec.rank, spec.noise**2
    h2, own = off_energy(spec), spec.heterogeneity**2
    sines = float(_squared_sines(spec, n).mean(axis=0).sum())
    share = 1 - 1 / n
    oracle = r * q * s2 + (p - r) * q * s2 / n + h2 * share
    cost = sines * own * share
    # What the neighbouring directions show, noise and honest deviation, counts as noise.
    beside = q * s2 + (h2 / (p - r) if p > r else 0.0)
    weight = max(0.0, 1 - beside / (own + q * s2)) if own + q * s2 > 0 else 1.0
    pooled = share * (weight**2 * q * s2 + (1 - weight) ** 2 * own) + q * s2 / n
    local = p * q * s2
    return PredictedErrors(
        local=float(np.sqrt(local)),
        clair=float(np.sqrt(oracle + cost)),
        clair_eb=float(np.sqrt(r * pooled + h2 + sines * (1 + weight**2 * own))),
        clair_oracle=float(np.sqrt(oracle)),
        fedavg_benign=float(np.sqrt((r * own + h2) * share + p * q * s2 / n)),
        gain=local - oracle - cost,
        subspace_cost=cost,
    )


def break_even(spec: ProblemSpec, name: str, low: float, high: float) -> float | None:
    """Value of a field at which the predicted gain is zero.

    Parameters
    ----------
    spec : ProblemSpec
    name : str
        A real-valued field, such as "off_subspace" or "noise".
    low, high : float
        Where to look.

    Returns
    -------
    float or None
        None where the gain has the same sign at both ends.
    """

    def gain(value: float) -> float:
        changed: dict[str, Any] = {name: value}
        return predicted_errors(replace(spec, **changed)).gain

    first = gain(low)
    if first * gain(high) >= 0:
        return None
    for _ in range(40):
        middle = (low + high) / 2
        if gain(middle) * first > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def set_noise(spec: ProblemSpec) -> float | None:
    """Noise at which the exact set is found in half of the problems, by prediction.

    Returns
    -------
    float or None
        None where even the least noise is too much.
    """
    low, high = 1e-4, max(2 * critical_noise(spec), 0.01)
    if exact_set_probability(replace(spec, noise=low)) < 0.5:
        return None
    for _ in range(14):
        middle = (low + high) / 2
        if exact_set_probability(replace(spec, noise=middle)) >= 0.5:
            low = middle
        else:
            high = middle
    return (low + high) / 2
