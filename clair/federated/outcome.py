"""What a finished training run has to show, in one form for every task and as plain JSON.

A page draws nothing but an `Outcome`, whether it was just computed or ships with the app as a
file, and the download holds exactly what is drawn. Importing this needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from clair.federated.results import MethodAccuracy, Sample
from clair.federated.sharing import Choice
from clair.method.detection import SUSPECT
from clair.method.evidence import Evidence
from clair.method.kinds import evidence_of
from clair.method.metrics import DetectionScores, detection_scores


class TrainedResult(Protocol):
    """What a task's result must offer to be shown."""

    @property
    def fit(self) -> Any: ...
    @property
    def device(self) -> str: ...
    @property
    def seconds(self) -> Mapping[str, float]: ...
    @property
    def contaminated(self) -> np.ndarray: ...
    @property
    def flagged(self) -> np.ndarray: ...
    @property
    def loss_history(self) -> np.ndarray: ...
    @property
    def accuracy(self) -> Mapping[str, Any]: ...
    @property
    def samples(self) -> tuple[Any, ...]: ...
    def summary(self) -> str: ...
    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Outcome:
    """A finished run, ready to be drawn.

    Attributes
    ----------
    config : dict
        The settings of the run, JSON scalars.
    sentence : str
        One plain sentence computed from the numbers.
    device : str
        What it was trained on.
    seconds : dict of str to float
        Wall time by stage.
    contaminated, flagged : ndarray of shape (n_clients,) of bool
        The truth, and CLAIR's verdict.
    scores : ndarray of shape (n_clients,)
        Suspicion of each client; flagged if above `threshold`.
    threshold : float or None
        None if the detector drew no line because nobody stood out.
    degrees, reasons : tuple of str
        Kept, suspect, flagged or not comparable, for each client, and why in words.
    evidence : tuple of Evidence
        Every kind, the deciding one first and the published rule among them.
    norms : ndarray of shape (n_clients,)
        ||S_k||, the size of what the convex program calls contamination.
    losses : ndarray of shape (n_steps, n_clients)
        Training loss.
    accuracy : dict of str to the task's scores
        Held-out accuracy of the truly benign clients by method, in display order; one field per
        measure, each an ndarray of shape (n_benign,).
    samples : tuple of the task's samples
        Held-out examples with what each method made of them.
    notes : tuple of str
        Warnings of the fit in plain language.
    sharing : Choice or None
        What the clients' own tests favour.
    numbers : dict
        The task's own JSON, as ``python -m clair`` writes it.
    """

    config: dict[str, Any]
    sentence: str
    device: str
    seconds: dict[str, float]
    contaminated: np.ndarray
    flagged: np.ndarray
    scores: np.ndarray
    threshold: float | None
    degrees: tuple[str, ...]
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    norms: np.ndarray
    losses: np.ndarray
    accuracy: dict[str, Any]
    samples: tuple[Any, ...]
    notes: tuple[str, ...]
    sharing: Choice | None
    numbers: dict[str, Any]

    @property
    def n_clients(self) -> int:
        """Clients in the federation."""
        return int(self.contaminated.size)

    @property
    def detection(self) -> DetectionScores:
        """The verdict against the truth."""
        suspect = np.array([degree == SUSPECT for degree in self.degrees], dtype=bool)
        return detection_scores(self.flagged, self.contaminated, suspect)

    @classmethod
    def of(cls, result: TrainedResult) -> Outcome:
        """Take what is shown out of a task's result."""
        some = next(iter(result.accuracy.values()))
        kind = type(result.samples[0]) if result.samples else Sample
        return cls.from_json(outcome_json(result), scores=type(some), sample=kind)

    @classmethod
    def from_json(
        cls,
        payload: Mapping[str, Any],
        *,
        scores: Callable[..., Any] = MethodAccuracy,
        sample: Callable[..., Any] = Sample,
    ) -> Outcome:
        """Rebuild an outcome from what `outcome_json` wrote.

        Parameters
        ----------
        payload : mapping
        scores, sample : type
            What the task calls its scores and samples: dataclasses made from the fields written.

        Raises
        ------
        KeyError
            If something is missing.
        """
        shown = payload["shown"]
        n_clients = len(payload["scores"])
        return cls(
            config=dict(payload["config"]),
            sentence=shown["sentence"],
            device=payload["device"],
            seconds=dict(payload["seconds"]),
            contaminated=_mask(payload["contaminated"], n_clients),
            flagged=_mask(payload["flagged"], n_clients),
            scores=np.asarray(payload["scores"], dtype=float),
            threshold=payload["threshold"],
            degrees=tuple(payload["degrees"]),
            reasons=tuple(payload["reasons"]),
            evidence=evidence_of(payload["evidence"]),
            norms=np.asarray(payload["contamination_norms"], dtype=float),
            losses=np.asarray(shown["losses"], dtype=float).reshape(-1, n_clients),
            accuracy={
                key: scores(**{name: np.asarray(v, dtype=float) for name, v in value.items()})
                for key, value in shown["accuracy_by_client"].items()
            },
            samples=tuple(
                sample(**{**one, "client": one["client"] - 1}) for one in payload["samples"]
            ),
            notes=tuple(shown["notes"]),
            sharing=Choice(**payload["sharing"]) if payload["sharing"] else None,
            numbers=dict(payload),
        )


def outcome_json(result: TrainedResult) -> dict[str, Any]:
    """Convert a result to the task's own JSON with, under "shown", what the charts need too.

    Losses and accuracies are rounded to what can be seen.
    """
    shown = {
        "sentence": result.summary(),
        "notes": list(result.fit.notes),
        "losses": [[round(float(v), 4) for v in row] for row in result.loss_history],
        "accuracy_by_client": {
            key: {
                measure.name: [round(float(v), 5) for v in getattr(value, measure.name)]
                for measure in fields(value)
            }
            for key, value in result.accuracy.items()
        },
    }
    return {**result.to_json(), "shown": shown}


def _mask(clients: list[int], n_clients: int) -> np.ndarray:
    """Convert clients counted from 1 to a mask."""
    mask = np.zeros(n_clients, dtype=bool)
    mask[np.asarray(clients, dtype=int) - 1] = True
    return mask
