"""From the clients' preliminary estimates to one update a client by every method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clair.baselines import METHODS, estimate_all
from clair.linalg import block_grams
from clair.pipeline import ClairFit, fit
from clair.refinement import principal_subspace
from clair.tasks.regression.config import RegressionConfig
from clair.tasks.regression.data import ClientData, RegressionData
from clair.tasks.regression.ridge import joint_ridge, ridge_gcv

Estimates = dict[str, np.ndarray]


@dataclass(frozen=True)
class Preliminary:
    """What the clients send.

    Attributes
    ----------
    updates : ndarray of shape (n_clients, d_out, d_in)
        Ridge estimates of Delta_k, tampered with where an attack does that.
    standard_errors : ndarray of shape (n_clients,)
        Estimated root mean square error of an update from noise alone, as the client reports it.
    """

    updates: np.ndarray
    standard_errors: np.ndarray


def preliminary_estimates(config: RegressionConfig, data: RegressionData) -> Preliminary:
    """Ridge towards the common model at every client."""
    fits = [ridge_gcv(client.inputs, client.residuals) for client in data.clients]
    updates = np.stack([one.coefficients for one in fits])
    if config.attack == "sign_flip":
        updates[data.contaminated] *= -1
    return Preliminary(updates, np.sqrt([config.d_out * one.variance for one in fits]))


def fit_clair(config: RegressionConfig, sent: Preliminary, solver: str = "convex") -> ClairFit:
    """CLAIR on the updates, which share the output side."""
    return fit(
        sent.updates,
        config.rank,
        solver=solver,
        screen_coefficients=config.screen_coefficients,
    )


def all_estimates(
    config: RegressionConfig,
    data: RegressionData,
    sent: Preliminary,
    found: ClairFit,
    methods: tuple[str, ...] | None = None,
) -> Estimates:
    """Every method's estimates, in display order; `methods` restricts them."""
    wanted = set(METHODS if methods is None else methods)
    general = [key for key in METHODS if key in wanted and key not in _OWN]
    estimates: Estimates = estimate_all(
        sent.updates,
        fit=found,
        contaminated=data.contaminated,
        true_subspace=data.subspace,
        methods=general,
    )
    if config.precision_weights and "clair" in estimates:
        estimates["clair"] = _weighted_refinement(config, sent, found)
    if "base" in wanted:
        estimates["base"] = np.zeros_like(sent.updates)
    if "fedavg_finetuned" in wanted:
        estimates["fedavg_finetuned"] = _finetuned(data, sent.updates.mean(axis=0))
    if "clair_own" in wanted and (config.refit or config.own_weight):
        estimates["clair_own"] = back_to_own_data(config, data, sent, found)
    if "pooled_benign" in wanted:
        estimates["pooled_benign"] = _pooled(data)
    return {key: estimates[key] for key in METHODS if key in estimates}


_OWN = ("base", "fedavg_finetuned", "clair_own", "pooled_benign")


def back_to_own_data(
    config: RegressionConfig, data: RegressionData, sent: Preliminary, found: ClairFit
) -> np.ndarray:
    """CLAIR's refinement, after which each kept client uses its own data once more (ours).

    Refit: the preliminary ridge had to shrink d_out responses with one penalty although the client
    moves only `rank` combinations of them. Regressing ``U' r`` on x, with a penalty that the kept
    clients choose together, undoes what was shrunk too much.

    Own weight: outside the subspace CLAIR replaces a client's part by the average. How far its own
    data speak for a difference from that is again a ridge, towards the average and with a common
    penalty. Along an eigenvector of the client's design with eigenvalue s it keeps the share
    ``s / (s + noise variance / variance of true differences)``: a James-Stein weight a direction
    (James, Stein 1961; Efron, Morris 1973), near 0 where there is only noise.

    Returns
    -------
    ndarray of shape (n_clients, d_out, d_in)
        Flagged clients keep their own update.
    """
    kept = np.flatnonzero(found.benign)
    estimates = sent.updates.copy()
    if kept.size < 2:
        return estimates
    split = _split(config, sent, found)
    clients = [data.clients[k] for k in kept]
    inside, outside = split.inside, np.broadcast_to(split.centre, split.inside.shape)
    if config.refit:
        inside = _regressed(clients, split.basis, np.zeros_like(split.centre))
    if config.own_weight:
        complement = np.linalg.qr(split.basis, mode="complete")[0][:, found.rank :]
        outside = outside + _regressed(clients, complement, split.centre)
    estimates[kept] = inside + outside
    return estimates


def _regressed(clients: list[ClientData], basis: np.ndarray, start: np.ndarray) -> np.ndarray:
    """What the clients' data say inside a subspace beyond `start`, by ridge with one penalty."""
    left_over = [(one.inputs, (one.residuals - one.inputs @ start.T) @ basis) for one in clients]
    return np.stack([basis @ fitted.coefficients for fitted in joint_ridge(left_over)])


@dataclass(frozen=True)
class _Split:
    """The kept clients' updates inside the subspace, and their average outside it."""

    basis: np.ndarray
    inside: np.ndarray
    centre: np.ndarray


def _split(config: RegressionConfig, sent: Preliminary, found: ClairFit) -> _Split:
    updates, errors = sent.updates[found.benign], sent.standard_errors[found.benign]
    basis, weights = found.subspace, np.full(len(updates), 1 / len(updates))
    if config.precision_weights:
        noise = (1 - found.rank / config.d_out) * errors**2
        spread = _spread(updates - basis @ (basis.T @ updates), weights, noise)
        weights = 1 / np.maximum(spread + noise, np.finfo(float).tiny)
        weights /= weights.sum()
        basis = principal_subspace(weights[:, None, None] * block_grams(updates), found.rank)
    inside = basis @ (basis.T @ updates)
    return _Split(basis, inside, np.tensordot(weights, updates - inside, axes=1))


def _spread(outside: np.ndarray, weights: np.ndarray, noise: np.ndarray) -> float:
    """Energy of true differences outside the subspace: what is left after taking noise off."""
    difference = outside - np.tensordot(weights, outside, axes=1)
    total = np.einsum("kij,kij->k", difference, difference)
    return max(float(np.mean(total - (1 - weights) * noise)), 0.0)


def _weighted_refinement(
    config: RegressionConfig, sent: Preliminary, found: ClairFit
) -> np.ndarray:
    """CLAIR's refinement with clients weighed by their precision in subspace and average."""
    estimates = sent.updates.copy()
    if int(found.benign.sum()) >= 2:
        split = _split(config, sent, found)
        estimates[found.benign] = split.inside + split.centre
    return estimates


def _finetuned(data: RegressionData, mean: np.ndarray) -> np.ndarray:
    """Ridge towards the FedAvg model instead of the common one, on each client's own data."""

    def tuned(client: ClientData) -> np.ndarray:
        left_over = client.residuals - client.inputs @ mean.T
        return mean + ridge_gcv(client.inputs, left_over).coefficients

    return np.stack([tuned(client) for client in data.clients])


def _pooled(data: RegressionData) -> np.ndarray:
    """One least-squares model of all benign clients' samples together."""
    benign = np.flatnonzero(~data.contaminated)
    inputs = np.concatenate([data.clients[k].inputs for k in benign])
    residuals = np.concatenate([data.clients[k].residuals for k in benign])
    solution = np.linalg.lstsq(inputs, residuals, rcond=None)[0].T
    return np.broadcast_to(solution, (len(data.clients), *solution.shape)).copy()
