"""Federated reading of real handwritten digits by clients who name some of them differently.

Importing this package needs no torch; `run_digits` loads it when it is called.
"""

from __future__ import annotations

from collections.abc import Callable

from clair.federated.digits.config import ATTACKS, LAYERS, OPENING, DigitsConfig
from clair.federated.digits.result import DigitScores, DigitsResult, ImageSample
from clair.federated.results import TrainingProgress

__all__ = [
    "ATTACKS",
    "LAYERS",
    "OPENING",
    "DigitScores",
    "DigitsConfig",
    "DigitsResult",
    "ImageSample",
    "run_digits",
]


def run_digits(
    config: DigitsConfig,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> DigitsResult:
    """Train all clients, run CLAIR on their adapters and evaluate every method.

    Parameters
    ----------
    config : DigitsConfig
        What to run.
    progress : callable, optional
        Receives a `TrainingProgress` at every step.
    cancelled : callable, optional
        Asked at every step; answering True stops the job.

    Returns
    -------
    DigitsResult

    Raises
    ------
    clair.federated.Cancelled
        If `cancelled` answered True.
    ValueError
        If the device asked for is not there.
    FileNotFoundError
        If the images or the base model's weights are missing.
    """
    from clair.federated.digits.run import run  # torch loads here, not on import

    return run(config, progress=progress, cancelled=cancelled)
