"""What a federation under Flower leaves behind: verdict and accuracy of every round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from clair.federated.results import RoundOutcome
from clair.federated.task_result import (
    MethodScores,
    TaskResult,
    client_mask,
    round_json,
    rounds_from_json,
)
from clair.flower.config import FlowerConfig
from clair.flower.verdicts import SET_ASIDE
from clair.method.detection import FLAGGED, KEPT, SUSPECT
from clair.method.evidence import Evidence
from clair.method.metrics import detection_scores
from clair.sentences import detection_sentence, listing

#: What becomes of the client of each mishap, after "client 3".
MISHAPS = {
    "crash": "crashes in round {}",
    "broken": "sends NaN in round {}",
    "leave": "stops answering in round {}",
}


@dataclass(frozen=True)
class CopiedScores(MethodScores):
    """Exact copies of held-out texts, one entry for each honest client without a mishap.

    Attributes
    ----------
    sent : ndarray of shape (n,)
        Share that the model copies which the server sends back after the round.
    trained : ndarray of shape (n,)
        Share that the model copies which the client trained in the round.
    """

    sent: np.ndarray
    trained: np.ndarray


@dataclass(frozen=True)
class LastVerdict:
    """The strategy's verdict of the last round."""

    benign: np.ndarray
    degrees: tuple[str, ...]
    reasons: tuple[str, ...]
    rank: int | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, last: RoundOutcome, rank: int | None) -> LastVerdict:
        """Take it from the last round."""
        benign = np.array([degree != FLAGGED for degree in last.degrees])
        return cls(benign, last.degrees, last.reasons, rank)


@dataclass(frozen=True, kw_only=True)
class FlowerResult(TaskResult):
    """A run of `ClairStrategy`, and of Flower's FedAvg and of training alone on the same clients.

    Attributes
    ----------
    mishap_clients : dict of str to int
        Client of each mishap, from 0 on.
    """

    mishap_clients: dict[str, int]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The strategy tells reasons, no scores."""
        return ()

    @property
    def scored(self) -> np.ndarray:
        """Honest clients without a mishap, ndarray of int."""
        clients = np.flatnonzero(~self.contaminated)
        return clients[~np.isin(clients, list(self.mishap_clients.values()))]

    @property
    def mishaps(self) -> list[str]:
        """What happens to honest clients, in words."""
        rounds = self.config.mishaps
        return [
            f"client {k + 1} {MISHAPS[name].format(rounds[name])}"
            for name, k in self.mishap_clients.items()
        ]

    def summary(self) -> str:
        """Say in one plain sentence what happened, computed from the numbers."""
        last = self.rounds[-1]
        verdict = detection_sentence(self.detection, self.n_clients)
        aside = [str(k + 1) for k, degree in enumerate(last.degrees) if degree == SET_ASIDE]
        told = f"{self.when}{verdict}"
        if aside:
            told += f", and set aside {'clients' if len(aside) > 1 else 'client'} {listing(aside)}"
        why = " (NaN is in its average)" if "broken" in self.config.mishaps else ""
        sent = {key: self.mean(key, "sent") for key in self.accuracy}
        return (
            f"{told}; with what the server sends back honest clients copy {sent['clair']:.0%} of "
            f"unseen texts, with Flower's FedAvg {sent['fedavg']:.0%}{why}, "
            f"alone {sent['local']:.0%}."
        )

    def told(self) -> list[str]:
        """List by round who is not simply kept, and why."""
        lines = [f"mishaps: {listing(self.mishaps) or 'none'}"]
        for one in self.rounds:
            copied = one.accuracy["clair"].sent.mean()
            lines.append(f"round {one.number}: with what is sent back {copied:.3f} copied exactly")
            lines += [
                f"  client {k + 1} is {degree}: {one.reasons[k]}"
                for k, degree in enumerate(one.degrees)
                if degree != KEPT
            ]
        return lines

    def light(self) -> Self:
        """Return the result, which has nothing large."""
        return self

    def to_json(self) -> dict[str, Any]:
        """Convert the run to plain JSON values; clients are counted from 1."""
        return {
            "config": self.config.to_json(),
            "device": self.device,
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
            "contaminated": (np.flatnonzero(self.contaminated) + 1).tolist(),
            "flagged": (np.flatnonzero(self.flagged) + 1).tolist(),
            "mishap_clients": {name: k + 1 for name, k in self.mishap_clients.items()},
            "rank": self.fit.rank,
            "accuracy": {key: value.to_json() for key, value in self.accuracy.items()},
            "rounds": [round_json(one) for one in self.rounds],
        }

    def shown_json(self) -> dict[str, Any]:
        """Convert to JSON with the sentence and the losses."""
        losses = [[round(float(v), 4) for v in row] for row in self.loss_history]
        return {**self.to_json(), "shown": {"sentence": self.summary(), "losses": losses}}

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> Self:
        """Rebuild a result from what `shown_json` wrote."""
        config = FlowerConfig(**payload["config"])
        truth = client_mask(payload["contaminated"], config.n_clients)
        rounds = rounds_from_json(CopiedScores, payload["rounds"], truth.size)
        return cls.of_rounds(
            config,
            rounds,
            truth,
            device=payload["device"],
            seconds=dict(payload["seconds"]),
            loss_history=np.asarray(payload["shown"]["losses"], dtype=float),
            mishap_clients={name: k - 1 for name, k in payload["mishap_clients"].items()},
            rank=payload["rank"],
        )

    @classmethod
    def of_rounds(
        cls,
        config: FlowerConfig,
        rounds: tuple[RoundOutcome, ...],
        contaminated: np.ndarray,
        *,
        rank: int | None,
        **more: Any,
    ) -> Self:
        """Make a result of what the rounds tell; see the attributes for the other arguments."""
        fit = LastVerdict.of(rounds[-1], rank)
        suspect = np.array([degree == SUSPECT for degree in fit.degrees])
        return cls(
            config=config,
            contaminated=contaminated,
            fit=fit,
            detection=detection_scores(~fit.benign, contaminated, suspect),
            accuracy=rounds[-1].accuracy,
            rounds=rounds,
            **more,
        )
