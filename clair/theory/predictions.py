"""What the matrix model should do under noise, predicted without drawing a single problem.

Subspace error and error of the refined clients as functions of a `ProblemSpec` alone; who is found
is in `clair.theory.sets`. First-order formulas and limits for large random matrices, with their few
expectations over Gaussian matrices taken numerically from fixed draws; the tests compare each
formula with simulation. Ours, unless a reference is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from clair.simulation.matrix_model import ProblemSpec

#: Fixed draws that expectations are taken over.
DRAWS = 64


@lru_cache(maxsize=4096)
def signal_strengths(
    n_clients: int, rank: int, d_in: int, heterogeneity: float, unevenness: float = 0.0
) -> np.ndarray:
    """Compute singular values of n stacked noiseless benign clients, (64, rank).

    Fixed draws of ``[C_1, ..., C_n]`` with ``C_k = (C_0 + heterogeneity * own) / sqrt(d_in)``;
    each row descending.
    """
    rng = np.random.default_rng(0)
    common = rng.standard_normal((DRAWS, 1, rank, d_in))
    own = rng.standard_normal((DRAWS, n_clients, rank, d_in))
    sizes = np.exp(unevenness * rng.standard_normal((DRAWS, n_clients, 1, 1)))
    blocks = sizes * (common + heterogeneity * own) / np.sqrt(d_in)
    grams = np.einsum("tkij,tklj->til", blocks, blocks)
    return np.sqrt(np.maximum(np.linalg.eigvalsh(grams)[:, ::-1], 0.0))


def effective_noise(spec: ProblemSpec) -> float:
    """Compute the standard deviation of an entry off the subspace: noise and honest deviation."""
    free = (spec.d_out - spec.rank) * spec.d_in
    own = off_energy(spec) / free if free else 0.0
    return float(np.sqrt(spec.noise**2 + own))


def off_energy(spec: ProblemSpec) -> float:
    """Compute a benign client's energy ``||H_k||_F^2`` off the shared subspace."""
    return spec.off_subspace**2 * spec.rank if spec.rank < spec.d_out else 0.0


def breakdown_noise(spec: ProblemSpec, n_kept: int | None = None) -> float:
    """Predict the noise from which PCA on the benign clients loses the weakest direction.

    ``s_r / (d_out * n * d_in)**(1/4)`` with s_r the smallest singular value of the n stacked
    noiseless benign clients: the threshold of Baik, Ben Arous, Peche 2005 in the form of
    Benaych-Georges, Nadakuditi 2012.
    """
    n = n_kept or spec.n_clients - spec.n_contaminated
    values = signal_strengths(n, spec.rank, spec.d_in, spec.heterogeneity, spec.unevenness)
    return float(values[:, -1].mean() / (spec.d_out * n * spec.d_in) ** 0.25)


def squared_sines(spec: ProblemSpec, n: int) -> np.ndarray:
    """Predict the squared sine of each direction's angle to the truth, (64, rank)."""
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
    """Predict the subspace error per unit of noise, while noise is small.

    ``E ||G diag(1/s)||_2`` with G a Gaussian (d_out - r) x r matrix and s the singular values of
    the stacked benign clients: first-order perturbation of singular vectors (Wedin 1972).
    """
    n = n_kept or spec.n_clients - spec.n_contaminated
    values = signal_strengths(n, spec.rank, spec.d_in, spec.heterogeneity, spec.unevenness)
    return float(_largest(1 / values, spec.d_out - spec.rank).mean())


def predicted_subspace_error(spec: ProblemSpec, n_kept: int | None = None) -> float:
    """Predict the sine of the largest angle after PCA on the benign clients.

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
    squared = squared_sines(spec, n)
    free = spec.d_out - spec.rank
    if free == 0:
        return 0.0
    tangents = np.sqrt(squared / np.maximum(1 - squared, 1e-12))
    largest = _largest(tangents / np.sqrt(free), free)
    return float(np.mean(largest / np.sqrt(1 + largest**2)))


def _largest(scales: np.ndarray, free: int) -> np.ndarray:
    """Compute the largest singular value of Gaussian columns of given scales per draw, (64,)."""
    rank = scales.shape[1]
    grams = gaussian_grams(free, rank) * scales[:, :, None] * scales[:, None, :]
    return np.sqrt(np.maximum(np.linalg.eigvalsh(grams)[:, -1], 0.0))


@lru_cache(maxsize=512)
def gaussian_grams(free: int, rank: int) -> np.ndarray:
    draws = np.random.default_rng(1).standard_normal((DRAWS, free, rank))
    return np.einsum("tij,til->tjl", draws, draws)


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
    """Predict the error of the honest clients, given that exactly they are kept.

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
    the subspace. That cost is the deviation of a client along each direction times the squared sine
    of that direction's error. Pooling shrinks a direction's deviation (energy t2) as Efron, Morris
    1973, to ``t2 q s2 / (t2 + q s2)``, and in this model drops the off-subspace mean.
    """
    n = n_kept or spec.n_clients - spec.n_contaminated
    p, q, r, s2 = spec.d_out, spec.d_in, spec.rank, spec.noise**2
    h2, own = off_energy(spec), spec.heterogeneity**2
    sines = float(squared_sines(spec, n).mean(axis=0).sum())
    share = 1 - 1 / n
    oracle = r * q * s2 + (p - r) * q * s2 / n + h2 * share
    cost = sines * own * share
    # Noise and honest deviation in the neighbouring directions both count as noise.
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
    """Find the value of a field at which the predicted gain is zero.

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
