"""Federated text copying: a small Transformer, many clients, some of them poisoned.

Importing this package needs no torch; `run_copytask` loads it when it is called.
"""

from __future__ import annotations

from collections.abc import Callable

from clair.federated.copytask.attacks import ATTACKS
from clair.federated.copytask.config import OPENING, CopyTaskConfig
from clair.federated.copytask.result import CopyTaskResult
from clair.federated.results import TrainingProgress

__all__ = ["ATTACKS", "OPENING", "CopyTaskConfig", "CopyTaskResult", "run_copytask"]


def run_copytask(
    config: CopyTaskConfig,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> CopyTaskResult:
    """Train all clients, run CLAIR on their adapters and evaluate every method.

    Parameters
    ----------
    config : CopyTaskConfig
        What to run.
    progress : callable, optional
        Receives a `TrainingProgress` at every step.
    cancelled : callable, optional
        Asked at every step; answering True stops the job.

    Returns
    -------
    CopyTaskResult

    Raises
    ------
    clair.federated.Cancelled
        If `cancelled` answered True.
    ValueError
        If the device asked for is not there.
    FileNotFoundError
        If the base model's weights are missing; random weights are never used instead.
    """
    from clair.federated.copytask.run import run  # torch and transformers load here, not on import

    return run(config, progress=progress, cancelled=cancelled)
