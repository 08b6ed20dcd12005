"""What a text-copying run returns; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clair.federated.copytask.config import CopyTaskConfig
from clair.federated.results import MethodAccuracy, Sample
from clair.federated.task_result import TaskResult, means_of, samples_json
from clair.sentences import average_words, detection_sentence


@dataclass(frozen=True)
class CopyTaskResult(TaskResult):
    """A `TaskResult` whose scores are `MethodAccuracy` and whose samples are written texts."""

    PARTS = (CopyTaskConfig, MethodAccuracy, Sample)

    def to_json(self) -> dict[str, Any]:
        """Convert the run to plain JSON values."""
        return {
            **super().to_json(),
            "samples": samples_json(self.samples),
            "final_loss": [float(v) for v in self.loss_history[-1]],
        }

    def summary(self) -> str:
        """Say in one plain sentence what happened, computed from the numbers."""
        verdict = detection_sentence(self.detection, len(self.contaminated))
        shares = means_of(self.accuracy, "exact_match")
        return (
            f"{self.when}{verdict}; the honest clients copy {shares['clair']:.0%} of unseen texts "
            f"without a mistake ({shares['clair_eb']:.0%} with pooling), against "
            f"{shares['local']:.0%} when each trains alone and "
            f"{average_words(shares, self.config.n_poisoned)}."
        )
