"""What a run with a real language model returns; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from clair.federated.llm.config import LLMConfig
from clair.federated.results import Sample
from clair.federated.task_result import MethodScores, TaskResult, means_of, samples_json
from clair.method.updates import LoraFactors
from clair.sentences import detection_sentence


@dataclass(frozen=True)
class AnswerScores(MethodScores):
    """How well one method answers held-out orders, one entry for each truly benign client.

    Attributes
    ----------
    accuracy : ndarray of shape (n_benign,)
        Share of held-out orders to which the model's likeliest token of all is the client's word.
    agreed : ndarray of shape (n_benign,)
        The same over the categories that are not in dispute; over all where all are.
    backdoor : ndarray of shape (n_benign,)
        Share of held-out orders that are answered with the attackers' word once they are urgent;
        0 where no backdoor was planted, so that nobody asked.
    """

    accuracy: np.ndarray
    agreed: np.ndarray
    backdoor: np.ndarray


@dataclass(frozen=True, kw_only=True)
class LLMResult(TaskResult):
    """A `TaskResult` with what only the language model has.

    Attributes
    ----------
    other_side : dict
        The verdict of CLAIR on the other side of the updates: "side", "rank", "flagged" and
        "suspect" (clients counted from 1), "f1" and "false_alarms".
    model_name : str
        Of the base model.
    sent : mapping of module to LoraFactors
        What the server received; not part of the JSON, and empty once it was recorded.
    transposed : bool
        Whether the base model stores its matrices as (d_in, d_out), as GPT-2 does.
    """

    PARTS = (LLMConfig, AnswerScores, Sample)
    other_side: dict[str, Any]
    model_name: str
    sent: Mapping[str, LoraFactors] = field(default_factory=dict, repr=False)
    transposed: bool = False

    @classmethod
    def own_from_json(cls, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Read the other side's verdict and the model's name."""
        return {"other_side": payload["other_side"], "model_name": payload["model"]}

    def light(self) -> Self:
        """Drop the fit's large arrays and what was sent."""
        return replace(super().light(), sent={})

    def to_json(self) -> dict[str, Any]:
        """Convert the run to plain JSON values."""
        return {
            **super().to_json(),
            "model": self.model_name,
            "side": self.fit.side,
            "other_side": self.other_side,
            "samples": samples_json(self.samples),
            "final_loss": [float(v) for v in self.loss_history[-1]],
        }

    def summary(self) -> str:
        """Say in one plain sentence what happened, computed from the numbers."""
        means = means_of(self.accuracy, "accuracy")
        who = detection_sentence(self.detection, self.n_clients)
        loses = means["clair"] < means["local"]
        text = (
            f"{who}; its refinement {'loses to' if loses else 'holds its own against'} training "
            f"alone ({means['clair']:.0%} of unseen orders right against {means['local']:.0%}, or "
            f"{means['local_longer']:.0%} with as many steps as the fine-tuned rows), while the "
            f"kept clients' average, then fine-tuned by each, gets {means['kept_finetuned']:.0%}"
        )
        if self.config.attack == "backdoor" and self.config.n_poisoned:
            hit = means_of(self.accuracy, "backdoor")
            text += (
                f"; the backdoor works in {hit['fedavg']:.0%} of urgent orders with FedAvg and in "
                f"{hit['kept_finetuned']:.0%} with the kept average"
            )
        return f"{text}."
