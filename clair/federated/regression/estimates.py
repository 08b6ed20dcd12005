"""From the clients' preliminary estimates to one update a client by every method."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from clair.baselines import estimate_all
from clair.federated.regression.config import RegressionConfig
from clair.federated.regression.data import ClientData, RegressionData
from clair.federated.regression.ridge import Design, joint_ridge, ridge_gcv
from clair.federated.sharing import Choice, candidates, choose, refitted, voters
from clair.method.fit import ClairFit, fit
from clair.method.linalg import block_grams
from clair.method.refinement import principal_subspace
from clair.methods import METHODS

Estimates = dict[str, np.ndarray]


@dataclass(frozen=True)
class Preliminary:
    """What the clients send.

    Attributes
    ----------
    updates : ndarray of shape (n_clients, d_out, d_in)
        Ridge estimates of Delta_k, changed by the attack if it acts on updates.
    standard_errors : ndarray of shape (n_clients,)
        Estimated root mean square error of an update from noise alone, as the client reports it.
    """

    updates: np.ndarray
    standard_errors: np.ndarray


def preliminary_estimates(config: RegressionConfig, data: RegressionData) -> Preliminary:
    """Estimate at every client by ridge regression towards the common model."""
    fits = [ridge_gcv(client.inputs, client.residuals) for client in data.clients]
    updates = np.stack([one.coefficients for one in fits])
    if config.attack == "sign_flip":
        updates[data.contaminated] *= -1
    return Preliminary(updates, np.sqrt([config.d_out * one.variance for one in fits]))


def fit_clair(config: RegressionConfig, sent: Preliminary, solver: str = "convex") -> ClairFit:
    """Fit CLAIR on the updates, which share the output side."""
    return fit(sent.updates, config.rank, solver=solver, **config.judged_by)


def all_estimates(
    config: RegressionConfig,
    data: RegressionData,
    sent: Preliminary,
    found: ClairFit,
    methods: tuple[str, ...] | None = None,
    shared: Shared | None = None,
) -> Estimates:
    """Compute every method's estimates, in display order; `methods` restricts them.

    The row that the clients' own tests favour needs `shared`; estimates in it are not computed
    again.
    """
    wanted = set(METHODS if methods is None else methods)
    known = shared.candidates if shared is not None else {}
    general = [key for key in METHODS if key in wanted - known.keys() and key not in _OWN]
    estimates: Estimates = estimate_all(
        sent.updates,
        fit=found,
        contaminated=data.contaminated,
        true_subspace=data.subspace,
        methods=general,
    )
    estimates |= {key: known[key] for key in wanted & known.keys()}
    if config.precision_weights and "clair" in estimates:
        estimates["clair"] = _weighted_refinement(config, sent, found)
    if "base" in wanted:
        estimates["base"] = np.zeros_like(sent.updates)
    estimates |= _finetuned(data, _starts(sent, found, estimates, wanted))
    if "clair_own" in wanted - known.keys() and (config.refit or config.own_weight):
        estimates["clair_own"] = back_to_own_data(config, data, sent, found)
    if "clair_safe" in wanted and shared is not None:
        estimates["clair_safe"] = shared.updates
    if "pooled_benign" in wanted:
        estimates["pooled_benign"] = _pooled(data)
    return {key: estimates[key] for key in METHODS if key in estimates}


_OWN = (
    "base",
    "fedavg_finetuned",
    "kept_finetuned",
    "clair_finetuned",
    "clair_own",
    "clair_safe",
    "pooled_benign",
)


def back_to_own_data(
    config: RegressionConfig, data: RegressionData, sent: Preliminary, found: ClairFit
) -> np.ndarray:
    """Refine by CLAIR, then let each kept client use its own data once more (ours).

    Refit: the preliminary ridge shrinks d_out responses with one penalty, although the client
    changes only `rank` combinations of them. Regressing ``U' r`` on x, with a penalty that the kept
    clients choose together, undoes excessive shrinkage.

    Own weight: outside the subspace CLAIR replaces a client's part by the average. A second ridge,
    towards that average and with a common penalty, estimates the client's difference from it. Along
    an eigenvector of the client's design with eigenvalue s it keeps the share
    ``s / (s + noise variance / variance of true differences)``: a James-Stein weight per direction
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


@dataclass(frozen=True)
class Shared:
    """What the clients' own tests favour.

    Attributes
    ----------
    choice : Choice
    tests : dict of candidate to ndarray of shape (n_voters,)
        The errors these tests found.
    candidates : dict of candidate to ndarray of shape (n_clients, d_out, d_in)
        Made from all data.
    """

    choice: Choice
    tests: dict[str, np.ndarray]
    candidates: Estimates

    @property
    def updates(self) -> np.ndarray:
        """The candidate that was chosen."""
        return self.candidates[self.choice.chosen]


def share_if_it_pays(
    config: RegressionConfig, data: RegressionData, sent: Preliminary, found: ClairFit
) -> Shared:
    """Choose CLAIR, a variant or staying alone by the clients' own tests (ours).

    Every client estimates from each half of its samples, and measures on the other half how much
    of its responses the candidates leave unexplained, relative to the common model. This ratio has
    no unit and means the same for all clients, however noisy.
    """
    who = voters(found)
    errors: dict[str, list[np.ndarray]] = {}
    for first in (0, 1):
        trained, tested = (
            tuple(ClientData(one.inputs[half::2], one.residuals[half::2]) for one in data.clients)
            for half in (first, 1 - first)
        )
        part = replace(data, clients=trained)
        made = _candidates(config, part, preliminary_estimates(config, part), found, half=True)
        for key, updates in made.items():
            errors.setdefault(key, []).append(
                np.array([_unexplained(tested[k], updates[k]) for k in who], dtype=float)
            )
    tests = {key: np.mean(both, axis=0) for key, both in errors.items()}
    return Shared(choose(tests), tests, _candidates(config, data, sent, found))


def _candidates(
    config: RegressionConfig,
    data: RegressionData,
    sent: Preliminary,
    found: ClairFit,
    *,
    half: bool = False,
) -> Estimates:
    made: Estimates = candidates(sent.updates, found, half=half)
    if config.refit or config.own_weight:
        own = refitted(sent.updates, found, found.rank) if half else found
        made["clair_own"] = back_to_own_data(config, data, sent, own)
    return made


def _unexplained(client: ClientData, update: np.ndarray) -> float:
    left_over = client.residuals - client.inputs @ update.T
    everything = float(np.sum(client.residuals**2))
    return float(np.sum(left_over**2)) / everything if everything > 0 else 0.0


def _regressed(clients: list[ClientData], basis: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Estimate updates beyond `start` inside a subspace, by ridge with one common penalty."""
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
    """Estimate the energy of true differences outside the subspace by subtracting the noise."""
    difference = outside - np.tensordot(weights, outside, axes=1)
    total = np.einsum("kij,kij->k", difference, difference)
    return max(float(np.mean(total - (1 - weights) * noise)), 0.0)


def _weighted_refinement(
    config: RegressionConfig, sent: Preliminary, found: ClairFit
) -> np.ndarray:
    """Refine by CLAIR, with clients weighed by precision in the subspace and the average."""
    estimates = sent.updates.copy()
    if int(found.benign.sum()) >= 2:
        split = _split(config, sent, found)
        estimates[found.benign] = split.inside + split.centre
    return estimates


def _starts(
    sent: Preliminary, found: ClairFit, estimates: Estimates, wanted: set[str]
) -> Estimates:
    """Collect the starts of the fine-tuned rows, (n_clients, d_out, d_in), by method.

    There is no row for training alone with more steps: a ridge estimate is exact at once.
    """
    weights = found.influence if found.influence.any() else None
    means = {
        "fedavg_finetuned": sent.updates.mean(axis=0),
        "kept_finetuned": np.average(sent.updates, axis=0, weights=weights),
    }
    begun = {key: np.broadcast_to(mean, sent.updates.shape) for key, mean in means.items()}
    if "clair" in estimates:
        begun["clair_finetuned"] = estimates["clair"]
    return {key: start for key, start in begun.items() if key in wanted}


def _finetuned(data: RegressionData, begun: Estimates) -> Estimates:
    """Estimate by ridge towards a start, on each client's own data, by method."""
    tuned = {key: np.array(starts) for key, starts in begun.items()}
    for k, client in enumerate(data.clients if begun else ()):
        design = Design.of(client.inputs)
        for updates in tuned.values():
            left_over = client.residuals - client.inputs @ updates[k].T
            updates[k] += ridge_gcv(design, left_over).coefficients
    return tuned


def _pooled(data: RegressionData) -> np.ndarray:
    """Fit one least-squares model to all benign clients' samples together."""
    benign = np.flatnonzero(~data.contaminated)
    inputs = np.concatenate([data.clients[k].inputs for k in benign])
    residuals = np.concatenate([data.clients[k].residuals for k in benign])
    solution = np.linalg.lstsq(inputs, residuals, rcond=None)[0].T
    return np.broadcast_to(solution, (len(data.clients), *solution.shape)).copy()
