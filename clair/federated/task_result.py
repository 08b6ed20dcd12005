"""The result of a task, in one form whatever the task is; importing this needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

import clair
from clair.federated.results import MethodAccuracy, MethodScores, RoundOutcome, Sample
from clair.federated.sharing import Choice
from clair.method.detection import SUSPECT
from clair.method.evidence import Evidence
from clair.method.fit import ClairFit
from clair.method.kinds import all_evidence, evidence_of, verdict_json
from clair.method.metrics import DetectionScores, detection_scores
from clair.sentences import count, verdict_lines

__all__ = [
    "MethodScores",
    "TaskResult",
    "finite_or_none",
    "means_of",
    "samples_json",
    "task_json",
]

FORMAT = 2  # 1 counted clients from 0


@dataclass(frozen=True)
class RecordedVerdict:
    """What is shown of a fit, without its large arrays; see `clair.method.fit.ClairFit`."""

    benign: np.ndarray
    scores: np.ndarray
    threshold: float
    contamination_norms: np.ndarray
    degrees: tuple[str, ...]
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, fit: ClairFit) -> RecordedVerdict:
        """Take what is shown out of a fit."""
        own = {field.name: getattr(fit, field.name) for field in fields(cls)}
        return cls(**{**own, "evidence": all_evidence(fit)})

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> RecordedVerdict:
        """Read what `TaskResult.shown_json` wrote."""
        line = payload["threshold"]
        return cls(
            ~client_mask(payload["flagged"], len(payload["scores"])),
            np.asarray(payload["scores"], dtype=float),
            float("inf") if line is None else line,
            np.asarray(payload["contamination_norms"], dtype=float),
            tuple(payload["degrees"]),
            tuple(payload["reasons"]),
            evidence_of(payload["evidence"]),
            tuple(payload["shown"]["notes"]),
        )


@dataclass(frozen=True)
class TaskResult:
    """What a page, a script or a benchmark needs from one run, computed now or read from a file.

    Attributes
    ----------
    config : dataclass
        The settings of the run, with `to_json`.
    device : str
        The device used, in words.
    seconds : dict of str to float
        Wall time by stage.
    contaminated : ndarray of shape (n_clients,) of bool
        The truth; no method sees it unless it is listed as an oracle.
    fit : ClairFit or RecordedVerdict
        CLAIR's answer; of a recorded run only what is shown of it.
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
    rounds : tuple of RoundOutcome
        Of every round, where there are several; all else is of the last one.
    recorded : mapping or None
        The whole run as JSON values, where it was recorded.
    """

    #: Config, scores and samples of the task, to read a result from JSON.
    PARTS: ClassVar[tuple[Callable[..., Any], ...]] = (dict, MethodAccuracy, Sample)

    config: Any
    device: str
    seconds: dict[str, float]
    contaminated: np.ndarray
    fit: Any
    detection: DetectionScores
    accuracy: dict[str, Any]
    loss_history: np.ndarray
    samples: tuple[Any, ...] = ()
    sharing: Choice | None = None
    rounds: tuple[RoundOutcome, ...] = ()
    recorded: Mapping[str, Any] | None = None

    @property
    def n_clients(self) -> int:
        """Clients in the federation."""
        return int(self.contaminated.size)

    @property
    def scored(self) -> np.ndarray:
        """Clients whose scores `accuracy` holds: the honest ones, ndarray of int."""
        return np.flatnonzero(~self.contaminated)

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

    @property
    def when(self) -> str:
        """How the sentence begins where there are several rounds."""
        if not self.rounds:
            return ""
        since = next((one.number for one in self.rounds if one.poisoned.any()), 1)
        late = f", poisoned from round {since} on" if since > 1 else ""
        return f"After {count(len(self.rounds), 'round')}{late}: "

    def mean(self, method: str, measure: str) -> float:
        """Average a measure over the benign clients."""
        return float(getattr(self.accuracy[method], measure).mean())

    def summary(self) -> str:
        """Say in one plain sentence what happened, computed from the numbers."""
        raise NotImplementedError

    def told(self) -> list[str]:
        """Say who was flagged or is suspect and why, in lines of plain text."""
        found = self.detection
        return [
            *verdict_lines(self.fit, self.contaminated),
            *([f"sharing: {self.sharing.reason}"] if self.sharing is not None else []),
            f"precision {found.precision:.2f}, recall {found.recall:.2f}, F1 {found.f1:.2f}; "
            f"rank {self.fit.rank}, margin {self.fit.margin:.2f}",
        ]

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
            **({"rounds": [round_json(one) for one in self.rounds]} if self.rounds else {}),
        }

    def shown_json(self) -> dict[str, Any]:
        """Convert to the task's own JSON with, under "shown", what the charts need too.

        Losses and accuracies are rounded to what can be seen.
        """
        if self.recorded is not None:
            return dict(self.recorded)
        shown = {
            "sentence": self.summary(),
            "notes": list(self.notes),
            "losses": [[round(float(v), 4) for v in row] for row in self.loss_history],
            "accuracy_by_client": scores_json(self.accuracy),
        }
        return {**self.to_json(), "shown": shown}

    def light(self) -> Self:
        """Drop the large arrays of the fit; what is shown and all numbers stay."""
        fit = RecordedVerdict.of(self.fit)
        return replace(self, fit=fit, recorded=self.shown_json())

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> Self:
        """Rebuild a result from what `shown_json` wrote.

        Raises
        ------
        KeyError
            If something is missing.
        """
        config, scores, sample = cls.PARTS
        shown, fit = payload["shown"], RecordedVerdict.from_json(payload)
        truth = client_mask(payload["contaminated"], fit.benign.size)
        suspect = np.array([degree == SUSPECT for degree in fit.degrees], dtype=bool)
        return cls(
            config=config(**payload["config"]),
            device=payload["device"],
            seconds=dict(payload["seconds"]),
            contaminated=truth,
            fit=fit,
            detection=detection_scores(~fit.benign, truth, suspect),
            accuracy=scores_from_json(scores, shown["accuracy_by_client"]),
            loss_history=np.asarray(shown["losses"], dtype=float).reshape(-1, truth.size),
            samples=tuple(
                sample(**{**one, "client": one["client"] - 1}) for one in payload["samples"]
            ),
            sharing=Choice(**payload["sharing"]) if payload["sharing"] else None,
            rounds=rounds_from_json(scores, payload.get("rounds", ()), truth.size),
            recorded=payload,
            **cls.own_from_json(payload),
        )

    @classmethod
    def own_from_json(cls, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Read the fields that only this task has."""
        return {}


def scores_json(accuracy: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Convert scores by method to lists of numbers, rounded to what can be seen."""
    return {
        key: {
            measure.name: [round(float(v), 5) for v in getattr(value, measure.name)]
            for measure in fields(value)
        }
        for key, value in accuracy.items()
    }


def scores_from_json(scores: Callable[..., Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Read what `scores_json` wrote; `scores` makes one method's."""
    return {
        key: scores(**{name: np.asarray(v, dtype=float) for name, v in value.items()})
        for key, value in payload.items()
    }


def round_json(outcome: RoundOutcome) -> dict[str, Any]:
    """Convert one round of several to JSON values; clients are counted from 1."""
    return {
        "round": outcome.number,
        "poisoned": (np.flatnonzero(outcome.poisoned) + 1).tolist(),
        "degrees": list(outcome.degrees),
        "reasons": list(outcome.reasons),
        "accuracy_by_client": scores_json(outcome.accuracy),
    }


def rounds_from_json(
    scores: Callable[..., Any], payload: Sequence[Mapping[str, Any]], n_clients: int
) -> tuple[RoundOutcome, ...]:
    """Read what `round_json` wrote."""
    return tuple(
        RoundOutcome(
            one["round"],
            tuple(one["degrees"]),
            tuple(one["reasons"]),
            client_mask(one["poisoned"], n_clients),
            scores_from_json(scores, one["accuracy_by_client"]),
        )
        for one in payload
    )


def client_mask(clients: Sequence[int], n_clients: int) -> np.ndarray:
    """Convert clients counted from 1 to a mask."""
    mask = np.zeros(n_clients, dtype=bool)
    mask[np.asarray(clients, dtype=int) - 1] = True
    return mask


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
