"""Tasks in which clients really train: shared result types here, torch only further inside."""

from __future__ import annotations

from clair.cancellation import Cancelled
from clair.federated.results import (
    STAGE_LABELS,
    MethodAccuracy,
    Sample,
    TrainingProgress,
)

__all__ = [
    "STAGE_LABELS",
    "Cancelled",
    "MethodAccuracy",
    "Sample",
    "TrainingProgress",
]
