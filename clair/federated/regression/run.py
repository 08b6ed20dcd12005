"""One federated regression from its settings to everything a page shows of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from clair._threads import single_blas_thread
from clair.federated.regression.config import RegressionConfig
from clair.federated.regression.data import RegressionData, sample_regression
from clair.federated.regression.estimates import (
    all_estimates,
    fit_clair,
    preliminary_estimates,
    share_if_it_pays,
)
from clair.federated.task_result import MethodScores, TaskResult, means_of
from clair.method.metrics import detection_scores
from clair.sentences import amount, detection_sentence, times

TIE = 0.03  # relative difference below which two errors are told as equal


@dataclass(frozen=True)
class HeldOutError(MethodScores):
    """Prediction error of one method, one entry for each truly benign client.

    Attributes
    ----------
    excess : ndarray of shape (n_benign,)
        Squared distance of the predictions from the noise-free responses on held-out inputs,
        relative to that of the common model: 0 is perfect, 1 as if nothing had been adapted.
    squared : ndarray of shape (n_benign,)
        Mean squared error on noisy held-out responses; the noise variance is its floor.
    """

    excess: np.ndarray
    squared: np.ndarray


@dataclass(frozen=True, kw_only=True)
class RegressionResult(TaskResult):
    """A `TaskResult` with what only a regression has.

    Attributes
    ----------
    sizes : ndarray of shape (n_clients,) of int
        Samples of each client.
    preliminary : ndarray of shape (n_benign,)
        Error ``||Delta_hat_k - Delta_k|| / ||Delta_k||`` of what each benign client sends.
    subspace : ndarray of shape (d_out, true_rank)
        The truth; no method sees it but the oracle.
    """

    sizes: np.ndarray
    preliminary: np.ndarray
    subspace: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Convert the run to plain JSON values."""
        return {
            **super().to_json(),
            "sizes": self.sizes.tolist(),
            "preliminary_error": [float(v) for v in self.preliminary],
        }

    @property
    def best_clair(self) -> str:
        """The CLAIR row with the least error."""
        means = means_of(self.accuracy, "excess")
        return min((key for key in CLAIR_ROWS if key in means), key=means.__getitem__)

    def summary(self) -> str:
        """Say in one plain sentence what happened, computed from the numbers."""
        means = means_of(self.accuracy, "excess")
        who = detection_sentence(self.detection, len(self.contaminated))
        plain, local = means["clair"], means["local"]
        if plain < local * (1 - TIE):
            what = f"fell {times(local / plain)} against estimating alone"
        elif plain <= local * (1 + TIE):
            what = "stayed what it is when estimating alone"
        else:
            what = f"rose {times(plain / local)} against estimating alone"
        text = (
            f"{who}; the honest clients' error on new data {what} "
            f"({amount(local)} → {amount(plain)}"
        )
        if "clair_own" in means:
            text += f", {amount(means['clair_own'])} once they go back to their own data"
        text += ")"
        rivals = [key for key in means if key in RIVALS]
        best = min(rivals, key=means.__getitem__)
        if means[best] < means[self.best_clair] * (1 - TIE):
            text += f"; {RIVALS[best]} would have been better here: {amount(means[best])}"
        return f"{text}."


CLAIR_ROWS = ("clair", "clair_eb", "clair_own", "clair_finetuned", "clair_safe")
RIVALS = {
    "base": "not adapting at all",
    "local": "staying alone",
    "fedavg": "averaging everybody",
    "fedavg_finetuned": "FedAvg followed by fine-tuning",
    "kept_finetuned": "the kept clients' average followed by fine-tuning",
    "fedavg_benign": "averaging the honest only (an oracle)",
    "pooled_benign": "one model of all honest data (an oracle)",
    "median": "the coordinate median",
    "trimmed_mean": "the trimmed mean",
    "geometric_median": "the geometric median",
    "krum": "Krum",
    "multi_krum": "multi-Krum",
    "pca": "the same refinement with everybody trusted",
}


def run_regression(
    config: RegressionConfig,
    *,
    methods: tuple[str, ...] | None = None,
    solver: str = "convex",
) -> RegressionResult:
    """Draw the federation, estimate at every client, run CLAIR and score every method.

    Parameters
    ----------
    config : RegressionConfig
        What to run.
    methods : tuple of str, optional
        Keys of `clair.methods.METHODS` to score; all that apply by default.
    solver : {"convex", "irls"}
        As in `clair.fit`; the verdict does not depend on it, only the contamination norms do.

    Returns
    -------
    RegressionResult

    Examples
    --------
    >>> result = run_regression(RegressionConfig())
    >>> result.detection.exact, result.mean("clair", "excess") < result.mean("local", "excess")
    (True, True)
    """
    with single_blas_thread():
        started = time.perf_counter()
        data = sample_regression(config)
        sent = preliminary_estimates(config, data)
        estimated = time.perf_counter()
        found = fit_clair(config, sent, solver)
        fitted = time.perf_counter()
        tested = methods is None or "clair_safe" in methods
        shared = share_if_it_pays(config, data, sent, found) if tested else None
        estimates = all_estimates(config, data, sent, found, methods, shared)
        accuracy = {key: held_out(data, value) for key, value in estimates.items()}
        scored = time.perf_counter()
    benign = ~data.contaminated
    truth = data.true_updates[benign]
    return RegressionResult(
        config=config,
        device="CPU (1 thread)",
        seconds={
            "train": estimated - started,
            "clair": fitted - estimated,
            "evaluate": scored - fitted,
        },
        contaminated=data.contaminated,
        fit=found,
        detection=detection_scores(found.flagged, data.contaminated, found.suspect),
        accuracy=accuracy,
        loss_history=np.zeros((0, config.n_clients)),
        sharing=shared.choice if shared is not None else None,
        sizes=data.sizes,
        subspace=data.subspace,
        preliminary=np.linalg.norm(sent.updates[benign] - truth, axis=(1, 2))
        / np.linalg.norm(truth, axis=(1, 2)),
    )


def held_out(data: RegressionData, estimates: np.ndarray) -> HeldOutError:
    excess, squared = [], []
    for k, test in data.tests.items():
        off = test.inputs @ (estimates[k] - data.true_updates[k]).T
        unadapted = test.inputs @ data.true_updates[k].T
        excess.append(float(np.sum(off**2) / np.sum(unadapted**2)))
        squared.append(float(np.mean((test.residuals - test.inputs @ estimates[k].T) ** 2)))
    return HeldOutError(np.array(excess), np.array(squared))
