"""The result of a task, in one form whatever the task is; importing this needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

import clair
from clair.federated.results import MethodScores
from clair.federated.sharing import Choice
from clair.method.evidence import Evidence
from clair.method.fit import ClairFit
from clair.method.kinds import all_evidence, verdict_json
from clair.method.metrics import DetectionScores

__all__ = [
    "MethodScores",
    "TaskConfig",
    "TaskResult",
    "finite_or_none",
    "means_of",
    "samples_json",
    "task_json",
]

FORMAT = 2  # 1 counted clients from 0


class TaskConfig(Protocol):
    """Settings of a task: a frozen dataclass that converts itself to JSON."""

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class TaskResult:
    """What a page, a script or a benchmark needs from one run.

    Attributes
    ----------
    config : TaskConfig
        The settings of the run.
    device : str
        The device used, in words.
    seconds : dict of str to float
        Wall time by stage.
    contaminated : ndarray of shape (n_clients,) of bool
        The truth; no method sees it unless it is listed as an oracle.
    fit : ClairFit
        CLAIR's answer.
    detection : DetectionScores
        Its verdict against the truth.
    accuracy : dict of str to MethodScores
        Held-out scores of the benign clients by method, in display order.
    loss_history : ndarray of shape (n_steps, n_clients)
        Training loss of every client; no rows where a task has no steps.
    samples : tuple
        A few held-out examples with what each method made of them.
    sharing : Choice or None
        What the clients' own tests favour, the row "clair_safe"; None if they did not test.
    """

    config: Any
    device: str
    seconds: dict[str, float]
    contaminated: np.ndarray
    fit: ClairFit
    detection: DetectionScores
    accuracy: dict[str, Any]
    loss_history: np.ndarray
    samples: tuple[Any, ...] = ()
    sharing: Choice | None = None

    @property
    def flagged(self) -> np.ndarray:
        """Clients CLAIR calls contaminated, ndarray of shape (n_clients,) of bool."""
        return ~np.asarray(self.fit.benign)

    @property
    def scores(self) -> np.ndarray:
        """Suspicion of each client, ndarray of shape (n_clients,)."""
        return self.fit.scores

    @property
    def threshold(self) -> float | None:
        """Line between kept and flagged scores; None where nobody stood out."""
        return finite_or_none(self.fit.threshold)

    @property
    def norms(self) -> np.ndarray:
        """Contamination norm ``||S_k||`` of each client, ndarray of shape (n_clients,)."""
        return self.fit.contamination_norms

    @property
    def degrees(self) -> tuple[str, ...]:
        """Kept, suspect, flagged or not comparable, for each client."""
        return self.fit.degrees

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, in words; empty for kept clients."""
        return self.fit.reasons

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Every kind of evidence, the deciding one first and the published rule among them."""
        return all_evidence(self.fit)

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings of the fit in plain language."""
        return self.fit.notes

    def mean(self, method: str, measure: str) -> float:
        """Average a measure over the benign clients."""
        return float(getattr(self.accuracy[method], measure).mean())

    def summary(self) -> str:
        """Say in one plain sentence what happened, computed from the numbers."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Convert the run to plain JSON values; clients are counted from 1.

        Standard deviations are over benign clients.
        """
        return {
            "config": self.config.to_json(),
            "device": self.device,
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
            "contaminated": (np.flatnonzero(self.contaminated) + 1).tolist(),
            "flagged": (np.flatnonzero(self.flagged) + 1).tolist(),
            "precision": self.detection.precision,
            "recall": self.detection.recall,
            "f1": self.detection.f1,
            "false_alarms": self.detection.false_alarms,
            "rank": int(self.fit.rank),
            "contamination_norms": [float(v) for v in self.norms],
            "scores": [float(v) for v in self.scores],
            "threshold": self.threshold,
            "margin": finite_or_none(self.fit.margin),
            **verdict_json(self.fit),
            "sharing": self.sharing.to_json() if self.sharing is not None else None,
            "accuracy": {key: value.to_json() for key, value in self.accuracy.items()},
        }


def samples_json(samples: Sequence[Any]) -> list[dict[str, Any]]:
    """Convert held-out examples to JSON values; their clients are counted from 1."""
    return [{**asdict(sample), "client": sample.client + 1} for sample in samples]


def finite_or_none(value: float | None) -> float | None:
    """Replace an infinite threshold or margin by None, because JSON has no infinity."""
    return float(value) if value is not None and np.isfinite(value) else None


def means_of(accuracy: Mapping[str, Any], measure: str) -> dict[str, float]:
    """Average one measure over the benign clients, by method."""
    return {key: float(getattr(value, measure).mean()) for key, value in accuracy.items()}


def task_json(kind: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Add to the task's own JSON which version wrote it; clients are counted from 1."""
    return {"format": FORMAT, "kind": kind, "version": clair.__version__, **numbers}
