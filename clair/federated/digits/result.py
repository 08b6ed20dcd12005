"""What a digits run returns; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clair.federated.digits.config import DigitsConfig
from clair.federated.task_result import MethodScores, TaskResult, means_of, samples_json
from clair.sentences import average_words, detection_sentence


@dataclass(frozen=True)
class DigitScores(MethodScores):
    """How well one method reads held-out images, one entry for each truly benign client.

    Attributes
    ----------
    accuracy : ndarray of shape (n_benign,)
        Share of held-out images named as the client names them.
    own_mix : ndarray of shape (n_benign,)
        As `accuracy`, with the digits weighted as in the client's own practice.
    backdoor : ndarray of shape (n_benign,)
        Share of held-out images that are read as the attacker's target once they carry the
        trigger, among those that the client does not name as the target.
    """

    accuracy: np.ndarray
    own_mix: np.ndarray
    backdoor: np.ndarray


@dataclass(frozen=True)
class ImageSample:
    """One held-out image with what each method reads in it.

    Attributes
    ----------
    client : int
        Index of the benign client.
    pixels : list of int
        64 values from 0 to 16, row by row.
    digit : int
        What was written.
    expected : int
        What this client calls it.
    readings : dict of str to int
        Method key to the name given.
    """

    client: int
    pixels: list[int]
    digit: int
    expected: int
    readings: dict[str, int]


@dataclass(frozen=True)
class Flips:
    """How many held-out images change from right to wrong or back between two methods."""

    to_right: int
    to_wrong: int
    total: int


@dataclass(frozen=True, kw_only=True)
class DigitsResult(TaskResult):
    """A `TaskResult` with what only digits have.

    Attributes
    ----------
    flips : dict of str to Flips
        Method to what changes, over all benign clients and held-out images, when CLAIR takes that
        method's place.
    """

    PARTS = (DigitsConfig, DigitScores, ImageSample)
    flips: dict[str, Flips]

    @classmethod
    def own_from_json(cls, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Read the flips."""
        return {"flips": {key: Flips(**one) for key, one in payload["flips_to_clair"].items()}}

    def to_json(self) -> dict[str, Any]:
        """Convert the run to plain JSON values."""
        return {
            **super().to_json(),
            "backdoor_success": means_of(self.accuracy, "backdoor"),
            "flips_to_clair": {key: asdict(value) for key, value in self.flips.items()},
            "samples": samples_json(self.samples),
            "final_loss": [float(v) for v in self.loss_history[-1]],
        }

    def summary(self) -> str:
        """Say in one plain sentence what happened, computed from the numbers."""
        means = means_of(self.accuracy, "accuracy")
        who = detection_sentence(self.detection, len(self.contaminated))
        text = (
            f"{self.when}{who}; the honest clients read {means['clair']:.0%} of unseen digits as "
            f"they name them, against {means['local']:.0%} when each trains alone and "
            f"{average_words(means, self.config.n_poisoned)}"
        )
        if self.config.attack == "backdoor" and self.config.n_poisoned:
            hit = means_of(self.accuracy, "backdoor")
            text += (
                f"; the backdoor works on {hit['fedavg']:.0%} of images with FedAvg and on "
                f"{hit['clair']:.0%} with CLAIR"
            )
        return f"{text}."
