"""Result types that every trained task shares; importing them needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

Stage = Literal["prepare", "train", "clair", "finetune", "evaluate"]

#: Stages in the order in which a job passes through them, with a label for people.
STAGE_LABELS: dict[Stage, str] = {
    "prepare": "Preparing model and data",
    "train": "Training the clients",
    "clair": "Running CLAIR",
    "finetune": "Fine-tuning the averages and CLAIR on each client",
    "evaluate": "Evaluating on held-out data",
}


@dataclass(frozen=True)
class TrainingProgress:
    """One report from a running job.

    Attributes
    ----------
    stage : {"prepare", "train", "clair", "finetune", "evaluate"}
        What the job is doing; `STAGE_LABELS` has the wording.
    step, total_steps : int
        Position inside the stage, 0 <= step <= total_steps.
    fraction : float
        Share of the whole job that is done, in [0, 1]; never falls.
    seconds_left : float or None
        Estimate for the whole job, None until there is something to base it on.
    losses : ndarray of shape (n_clients,) or None
        Training loss of every client at this step, in stage "train" only.
    round, rounds : int
        Which round of the federation this is, from 1 on, and how many there are.
    """

    stage: Stage
    step: int
    total_steps: int
    fraction: float
    seconds_left: float | None = None
    losses: np.ndarray | None = None
    round: int = 1
    rounds: int = 1

    @property
    def label(self) -> str:
        """The stage in words, and the round where there are several."""
        words = STAGE_LABELS[self.stage]
        return words if self.rounds == 1 else f"Round {self.round} of {self.rounds}: {words}"

    @property
    def note(self) -> str:
        """Mean loss and time left, as far as they are known."""
        loss = "" if self.losses is None else f", mean loss {self.losses.mean():.2f}"
        left = "" if self.seconds_left is None else f", {self.seconds_left:.0f} s left"
        return loss + left


@dataclass(frozen=True)
class MethodScores:
    """Scores of one method on held-out data; a task adds one field per measure.

    Every field is an ndarray of shape (n_benign,), one entry for each truly benign client, so that
    one panel can draw any task's measures.
    """

    def to_json(self) -> dict[str, float]:
        """Compute the mean and standard deviation of every measure over the benign clients."""
        numbers = {}
        for measure in fields(self):
            values = getattr(self, measure.name)
            numbers[measure.name] = float(values.mean())
            numbers[f"{measure.name}_sd"] = float(values.std(ddof=1)) if values.size > 1 else 0.0
        return numbers


@dataclass(frozen=True)
class MethodAccuracy(MethodScores):
    """Accuracy of one method on held-out data, one entry for each truly benign client.

    Attributes
    ----------
    token : ndarray of shape (n_benign,)
        Share of single predictions that are right, in [0, 1].
    exact_match : ndarray of shape (n_benign,)
        Share of held-out examples that are right from end to end, in [0, 1].
    """

    token: np.ndarray
    exact_match: np.ndarray


@dataclass(frozen=True)
class RoundOutcome:
    """Verdict and accuracy of one round of several.

    Attributes
    ----------
    number : int
        From 1 on.
    degrees, reasons : tuple of str
        CLAIR's verdict on each client, in the federation that CLAIR leads.
    poisoned : ndarray of shape (n_clients,) of bool
        The truth in this round.
    accuracy : dict of str to MethodScores
        Held-out scores of the clients that are honest in all rounds, by method.
    """

    number: int
    degrees: tuple[str, ...]
    reasons: tuple[str, ...]
    poisoned: np.ndarray
    accuracy: dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """One held-out text with what the model of each method wrote for it (greedy decoding).

    Attributes
    ----------
    client : int
        Index of the benign client whose text it is.
    prompt, expected : str
        Text to copy and the right answer in the client's house style.
    outputs : dict of str to str
        Method key to the text written.
    """

    client: int
    prompt: str
    expected: str
    outputs: dict[str, str]
