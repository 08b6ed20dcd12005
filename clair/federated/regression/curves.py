"""What more data changes: errors, verdict and gain against the samples a client has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from clair.federated.regression.config import RegressionConfig
from clair.federated.regression.run import run_regression

SAMPLES = (8, 12, 16, 24, 40, 64, 100, 160, 250, 400, 640)
DRAWS = 3
TEST_SAMPLES = 60
METHODS = (
    "local",
    "fedavg",
    "fedavg_finetuned",
    "clair",
    "clair_own",
    "fedavg_benign",
    "pooled_benign",
)
IDENTIFIED = 0.95


@dataclass(frozen=True)
class SampleCurves:
    """One federation at several sizes of its clients' data, averaged over draws.

    Attributes
    ----------
    samples : ndarray of shape (m,)
        Typical samples of a client.
    draws : int
        Federations behind each point.
    excess : dict of str to ndarray of shape (m,)
        Mean error on new data of the benign clients by method; see `HeldOutError`.
    preliminary : ndarray of shape (m,)
        Squared relative error of what the benign clients send.
    f1 : ndarray of shape (m,)
        Of the verdict, mean over draws.
    false_alarms : ndarray of shape (m,)
        Honest clients flagged, mean over draws.
    """

    samples: np.ndarray
    draws: int
    excess: dict[str, np.ndarray]
    preliminary: np.ndarray
    f1: np.ndarray
    false_alarms: np.ndarray

    @property
    def gain(self) -> dict[str, np.ndarray]:
        """How many times smaller the error is than when estimating alone, by CLAIR row."""
        rows = [key for key in ("clair", "clair_own") if key in self.excess]
        return {key: self.excess["local"] / self.excess[key] for key in rows}

    def crossing(self, method: str = "clair") -> float | None:
        """Find the samples from which on estimating alone stays better; None if it never does.

        Interpolated on a logarithmic scale between the points.
        """
        ahead = np.log(self.excess["local"] / self.excess[method])
        behind = np.flatnonzero(ahead >= 0)
        if not behind.size:
            return float(self.samples[0])
        last = int(behind[-1])
        if last == len(ahead) - 1:
            return None
        share = ahead[last] / (ahead[last] - ahead[last + 1])
        low, high = np.log(self.samples[last : last + 2])
        return float(np.exp(low + share * (high - low)))

    @property
    def identified_from(self) -> int | None:
        """Fewest samples from which on the verdict is right (F1 >= .95); None if never."""
        wrong = np.flatnonzero(self.f1 < IDENTIFIED)
        first = int(wrong[-1]) + 1 if wrong.size else 0
        return int(self.samples[first]) if first < len(self.samples) else None


def sample_curves(
    config: RegressionConfig,
    *,
    samples: tuple[int, ...] = SAMPLES,
    draws: int = DRAWS,
    progress: Callable[[int, int], None] | None = None,
) -> SampleCurves:
    """Repeat a run at several sample sizes, with several draws each.

    Parameters
    ----------
    config : RegressionConfig
        Its `samples` is replaced; the first draw has its seed.
    samples : tuple of int
    draws : int
        Federations a point, >= 1.
    progress : callable, optional
        Receives the number of points done and of all points.

    Notes
    -----
    The fast solver is used. It gives the same verdict and estimates; only contamination norms
    differ, and none are kept.
    """
    excess: dict[str, list[float]] = {}
    preliminary, f1, alarms = [], [], []
    for done, n in enumerate(samples, start=1):
        results = [
            run_regression(
                replace(config, samples=n, n_test=TEST_SAMPLES, seed=config.seed + 7919 * i),
                methods=METHODS,
                solver="irls",
            )
            for i in range(draws)
        ]
        for key in results[0].accuracy:
            excess.setdefault(key, []).append(_average([r.mean(key, "excess") for r in results]))
        preliminary.append(_average([float(np.mean(r.preliminary**2)) for r in results]))
        f1.append(_average([r.detection.f1 for r in results]))
        alarms.append(_average([r.detection.false_alarms for r in results]))
        if progress is not None:
            progress(done, len(samples))
    return SampleCurves(
        samples=np.array(samples),
        draws=draws,
        excess={key: np.array(values) for key, values in excess.items()},
        preliminary=np.array(preliminary),
        f1=np.array(f1),
        false_alarms=np.array(alarms),
    )


def _average(values: list[float]) -> float:
    return float(np.mean(values))
