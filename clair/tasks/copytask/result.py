"""What a text-copying run returns; needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from clair.tasks.task_result import TaskResult, means_of


@dataclass(frozen=True)
class CopyTaskResult(TaskResult):
    """A `TaskResult` whose scores are `MethodAccuracy` and whose samples are written texts."""

    def to_json(self) -> dict[str, Any]:
        """The run as plain JSON values."""
        return {
            **super().to_json(),
            "samples": [asdict(sample) for sample in self.samples],
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
        shares = means_of(self.accuracy, "exact_match")
        return (
            f"{verdict}; the honest clients copy {shares['clair']:.0%} of unseen texts without a "
            f"mistake ({shares['clair_eb']:.0%} with pooling), against {shares['local']:.0%} when "
            f"each trains alone and {shares['fedavg']:.0%} with FedAvg."
        )
