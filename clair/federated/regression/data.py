"""Clients with regression data of their own, some of it poisoned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clair.federated.regression.config import RegressionConfig
from clair.method.linalg import orthonormal

LEVERAGE_SHARE = 0.2  # of a poisoned client's samples
LEVERAGE_FACTOR = 4.0  # how far out they lie


@dataclass(frozen=True)
class ClientData:
    """One client's samples; the responses hold what the common model leaves unexplained.

    Attributes
    ----------
    inputs : ndarray of shape (n, d_in)
        The first column is constant.
    residuals : ndarray of shape (n, d_out)
        ``Y - X Theta_0'``; everybody knows Theta_0.
    """

    inputs: np.ndarray
    residuals: np.ndarray


@dataclass(frozen=True)
class RegressionData:
    """A federation, with the truth that no method sees.

    Attributes
    ----------
    clients : tuple of ClientData
        Training data as each client holds it, poisoned where it is contaminated.
    contaminated : ndarray of shape (n_clients,) of bool
    true_updates : ndarray of shape (n_clients, d_out, d_in)
        Delta_k; for contaminated clients, that of an honest client in their place.
    subspace : ndarray of shape (d_out, true_rank)
    tests : dict of int to ClientData
        Clean held-out data of the benign clients.
    """

    clients: tuple[ClientData, ...]
    contaminated: np.ndarray
    true_updates: np.ndarray
    subspace: np.ndarray
    tests: dict[int, ClientData]

    @property
    def sizes(self) -> np.ndarray:
        """Samples of each client, ndarray of shape (n_clients,) of int."""
        return np.array([len(client.inputs) for client in self.clients])


def sample_regression(config: RegressionConfig) -> RegressionData:
    """Draw the federation a config describes.

    Each ingredient has its own random stream, so more samples or another attack leave the rest as
    it was: the first samples of a client are the same at every size.
    """
    rng = np.random.default_rng([config.seed, 0])
    theta_0 = rng.standard_normal((config.d_out, config.d_in)) / np.sqrt(config.d_in)
    subspace = orthonormal(rng.standard_normal((config.d_out, config.true_rank)))
    updates = _true_updates(config, subspace, rng)
    contaminated = np.zeros(config.n_clients, dtype=bool)
    contaminated[rng.permutation(config.n_clients)[: config.n_poisoned]] = True
    common = _false_map(config, np.random.default_rng([config.seed, 1]), config.true_rank)
    clients, tests = [], {}
    for k, n in enumerate(_sizes(config, rng)):
        streams = [np.random.default_rng([config.seed, 2, k, i]) for i in range(6)]
        root = _covariance_root(config, streams[0])
        theta = theta_0 + updates[k]
        inputs, responses = _draw(config, theta, root, int(n), streams[1], streams[2])
        if contaminated[k]:
            poison = POISONS.get(config.attack)
            if poison is not None:
                inputs, responses = poison(inputs, responses, config, common, streams[3])
        else:
            seen, answers = _draw(config, theta, root, config.n_test, streams[4], streams[5])
            tests[k] = ClientData(seen, answers - seen @ theta_0.T)
        clients.append(ClientData(inputs, responses - inputs @ theta_0.T))
    return RegressionData(tuple(clients), contaminated, updates, subspace, tests)


def _true_updates(
    config: RegressionConfig, subspace: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw adaptations with signal variance 1 per response inside the subspace, plus own parts."""
    shape = (config.true_rank, config.d_in)
    common = rng.standard_normal(shape)
    own = rng.standard_normal((config.n_clients, *shape))
    size = np.sqrt(config.d_out / (config.true_rank * config.d_in))
    mixed = (common + config.heterogeneity * own) / np.hypot(1.0, config.heterogeneity)
    outside = rng.standard_normal((config.n_clients, config.d_out, config.d_in))
    outside -= subspace @ (subspace.T @ outside)
    norms = np.linalg.norm(outside, axis=(1, 2), keepdims=True)
    outside *= config.off_subspace * np.sqrt(config.d_out) / norms
    updates: np.ndarray = subspace @ (size * mixed) + outside
    return updates


def _sizes(config: RegressionConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw each client's number of samples, evenly spread in logarithm, in random order."""
    exponents = rng.permutation(np.linspace(-0.5, 0.5, config.n_clients))
    sizes = config.samples * config.size_ratio**exponents
    return np.maximum(np.round(sizes).astype(int), 4)


def _covariance_root(config: RegressionConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw the Cholesky factor of a client's own covariance of the inputs that are not constant."""
    d = config.d_in - 1
    order, signs = rng.permutation(d), rng.choice([-1.0, 1.0], size=d)
    distance = np.abs(order[:, None] - order[None, :])
    return np.linalg.cholesky(np.outer(signs, signs) * config.correlation**distance)


def _draw(
    config: RegressionConfig,
    theta: np.ndarray,
    root: np.ndarray,
    n: int,
    input_rng: np.random.Generator,
    noise_rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    inputs = np.ones((n, config.d_in))
    inputs[:, 1:] = input_rng.standard_normal((n, config.d_in - 1)) @ root.T
    noise = config.noise * noise_rng.standard_normal((n, config.d_out))
    return inputs, inputs @ theta.T + noise


def _false_map(config: RegressionConfig, rng: np.random.Generator, rank: int) -> np.ndarray:
    """Draw a wrong adaptation as large as an honest one times the strength, (d_out, d_in)."""
    left = rng.standard_normal((config.d_out, rank))
    wrong = left @ rng.standard_normal((rank, config.d_in))
    return wrong * (config.strength * np.sqrt(config.d_out) / np.linalg.norm(wrong))


Poison = Callable[
    [np.ndarray, np.ndarray, RegressionConfig, np.ndarray, np.random.Generator],
    tuple[np.ndarray, np.ndarray],
]


def _colluders(
    inputs: np.ndarray,
    responses: np.ndarray,
    config: RegressionConfig,
    common: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    return inputs, responses + inputs @ common.T


def _response_shift(
    inputs: np.ndarray,
    responses: np.ndarray,
    config: RegressionConfig,
    common: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    shift = rng.standard_normal(config.d_out)
    return inputs, responses + shift * (
        config.strength * np.sqrt(config.d_out) / np.linalg.norm(shift)
    )


def _label_swap(
    inputs: np.ndarray,
    responses: np.ndarray,
    config: RegressionConfig,
    common: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    return inputs, responses[:, rng.permutation(config.d_out)]


def _leverage(
    inputs: np.ndarray,
    responses: np.ndarray,
    config: RegressionConfig,
    common: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    inputs, responses = inputs.copy(), responses.copy()
    planted = slice(0, max(1, round(LEVERAGE_SHARE * len(inputs))))
    inputs[planted, 1:] *= LEVERAGE_FACTOR
    wrong = _false_map(config, rng, config.true_rank)
    responses[planted] = inputs[planted] @ wrong.T
    return inputs, responses


def _random_responses(
    inputs: np.ndarray,
    responses: np.ndarray,
    config: RegressionConfig,
    common: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    return inputs, responses.std() * rng.standard_normal(responses.shape)


def _negated(
    inputs: np.ndarray,
    responses: np.ndarray,
    config: RegressionConfig,
    common: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    return inputs, -responses


#: Attacks on the data; those on the finished estimate are in `run`.
POISONS: dict[str, Poison] = {
    "colluders": _colluders,
    "response_shift": _response_shift,
    "label_swap": _label_swap,
    "leverage": _leverage,
    "random_responses": _random_responses,
    "negated": _negated,
}
