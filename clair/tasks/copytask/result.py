"""What a text-copying run returns; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clair.metrics import DetectionScores
from clair.tasks.copytask.config import CopyTaskConfig
from clair.tasks.results import MethodAccuracy, Sample

if TYPE_CHECKING:
    from clair import ClairFit


@dataclass(frozen=True)
class CopyTaskResult:
    """Everything a page, a report or a benchmark needs from one run.

    Attributes
    ----------
    config : CopyTaskConfig
        The settings of the run.
    device : str
        The device used, in words.
    seconds : dict of str to float
        Wall time of "prepare", "train", "finetune", "clair" and "evaluate".
    contaminated : ndarray of shape (n_clients,) of bool
        The truth; CLAIR never sees it.
    fit : ClairFit
        CLAIR's answer, jointly over the adapted modules.
    loss_history : ndarray of shape (steps, n_clients)
        Training loss of every client.
    accuracy : dict of str to MethodAccuracy
        Held-out accuracy of the benign clients by method, in display order.
    samples : tuple of Sample
        A few held-out texts with what each method wrote.
    detection : DetectionScores
        CLAIR's verdict against the truth.
    """

    config: CopyTaskConfig
    device: str
    seconds: dict[str, float]
    contaminated: np.ndarray
    fit: ClairFit
    loss_history: np.ndarray
    accuracy: dict[str, MethodAccuracy]
    samples: tuple[Sample, ...]
    detection: DetectionScores

    @property
    def flagged(self) -> np.ndarray:
        """Clients CLAIR calls contaminated, ndarray of shape (n_clients,) of bool."""
        return ~np.asarray(self.fit.benign)

    def to_json(self) -> dict[str, Any]:
        """The run as plain JSON values; standard deviations are over benign clients."""
        return {
            "config": self.config.to_json(),
            "device": self.device,
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
            "contaminated": np.flatnonzero(self.contaminated).tolist(),
            "flagged": np.flatnonzero(self.flagged).tolist(),
            "precision": self.detection.precision,
            "recall": self.detection.recall,
            "f1": self.detection.f1,
            "false_alarms": self.detection.false_alarms,
            "rank": int(self.fit.rank),
            "contamination_norms": [float(v) for v in self.fit.contamination_norms],
            "scores": [float(v) for v in self.fit.scores],
            "threshold": _finite_or_none(self.fit.threshold),
            "margin": _finite_or_none(self.fit.margin),
            "accuracy": {key: value.to_json() for key, value in self.accuracy.items()},
            "samples": [
                {
                    "client": sample.client,
                    "prompt": sample.prompt,
                    "expected": sample.expected,
                    "outputs": dict(sample.outputs),
                }
                for sample in self.samples
            ],
            "final_loss": [float(v) for v in self.loss_history[-1]],
        }

    def summary(self) -> str:
        """One plain sentence about what happened, computed from the numbers."""
        n_bad = int(self.contaminated.sum())
        found = int((self.flagged & self.contaminated).sum())
        alarms = self.detection.false_alarms
        honest = "no honest one" if alarms == 0 else f"{alarms} honest one{'s' * (alarms > 1)}"
        if n_bad:
            verdict = f"CLAIR flagged {found} of {n_bad} poisoned clients and {honest}"
        else:
            verdict = f"Nobody was poisoned and CLAIR flagged {honest}"
        shares = {key: float(value.exact_match.mean()) for key, value in self.accuracy.items()}
        return (
            f"{verdict}; the honest clients copy {shares['clair']:.0%} of unseen texts without a "
            f"mistake ({shares['clair_eb']:.0%} with pooling), against {shares['local']:.0%} when "
            f"each trains alone and {shares['fedavg']:.0%} with FedAvg."
        )


def _finite_or_none(value: float | None) -> float | None:
    """JSON knows no infinity: an unbounded threshold or margin becomes null."""
    return float(value) if value is not None and np.isfinite(value) else None
