"""One round of a federation, whatever the task: train, tamper, CLAIR, fine-tune, evaluate.

A task brings a frozen model, the names of the layers that are adapted, its clients' losses and the
scores of its held-out data; everything else is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from clair.baselines import METHODS, estimate_all
from clair.metrics import DetectionScores, detection_scores
from clair.pipeline import ClairFit, fit
from clair.tasks.evaluation import Estimates, evaluate_methods
from clair.tasks.lora import ClientLora, ClientUpdates
from clair.tasks.progress import JobClock
from clair.tasks.results import Stage
from clair.tasks.training import Schedule, train_clients
from clair.updates import LoraFactors


@dataclass(frozen=True)
class Plan:
    """How the clients train and what CLAIR is told.

    Attributes
    ----------
    lora_rank : int
        Rank of each adapter; lora_alpha equals it.
    schedule : Schedule
        Of the local training.
    finetune_steps : int
        Further local steps of "FedAvg, then fine-tuned"; 0 leaves FedAvg as it is.
    seed : int
        Of the adapters' common start.
    rank : int or "auto"
        Of the shared subspace.
    fit_options : mapping
        Further keywords of `clair.fit`.
    """

    lora_rank: int
    schedule: Schedule
    finetune_steps: int
    seed: int
    rank: int | str = "auto"
    fit_options: Mapping[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """What a task brings; attributes are read, never written."""

    @property
    def model(self) -> nn.Module:
        """The common model, frozen."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the ``nn.Linear`` layers that are adapted."""

    @property
    def contaminated(self) -> np.ndarray:
        """The truth, ndarray of shape (n_clients,) of bool."""

    @property
    def factors(self) -> np.ndarray:
        """What each client multiplies its finished update with, (n_clients,); 1 if honest."""

    def losses(self) -> Tensor:
        """Loss of the model as it is now on every client's data, (n_clients,)."""

    def scores(self) -> Any:
        """`MethodScores` of the model as it is now on the benign clients' held-out data."""


@dataclass(frozen=True)
class Round:
    """What one round of a federation ended with.

    Attributes
    ----------
    fit : ClairFit
    detection : DetectionScores
    loss_history : ndarray of shape (steps, n_clients)
    estimates : dict of method to {module: ndarray of shape (n_clients, d_out, d_in)}
        In display order.
    accuracy : dict of method to scores
    """

    fit: ClairFit
    detection: DetectionScores
    loss_history: np.ndarray
    estimates: dict[str, Estimates]
    accuracy: dict[str, Any]


def federate(task: Task, plan: Plan, clock: JobClock, *, afterwards: int = 0) -> Round:
    """Train all clients at once, run CLAIR on their adapters and evaluate every method.

    Parameters
    ----------
    task : Task
    plan : Plan
    clock : JobClock
        Told of every step; may raise `Cancelled`.
    afterwards : int
        Steps of stage "evaluate" that the caller takes itself once this is done.
    """
    trained, history = train_adapters(task, plan, plan.schedule, clock, "train")
    sent = tampered(task, trained)
    clock.step("clair", 0, 1)
    found = fit(sent, plan.rank, progress=lambda _: clock.check(), **plan.fit_options)
    clock.step("clair", 1, 1)
    estimates = estimate_all(sent, fit=found, contaminated=task.contaminated)
    estimates["base"] = {name: np.zeros_like(part) for name, part in estimates["local"].items()}
    estimates["fedavg_finetuned"] = finetune(task, plan, estimates["fedavg"], clock)
    ordered = {key: estimates[key] for key in METHODS if key in estimates}
    total = len(ordered) + afterwards
    clock.step("evaluate", 0, total)
    accuracy = evaluate_methods(
        task.model,
        ordered,
        ~task.contaminated,
        task.scores,
        on_method=lambda done, _: clock.step("evaluate", done, total),
    )
    verdict = detection_scores(found.flagged, task.contaminated, found.suspect)
    return Round(found, verdict, history, ordered, accuracy)


def train_adapters(
    task: Task, plan: Plan, schedule: Schedule, clock: JobClock, stage: Stage
) -> tuple[dict[str, LoraFactors], np.ndarray]:
    """Train one adapter a client on its own data, all in one batch.

    Updates attached to the model stay in force during the training.

    Returns
    -------
    factors : dict of LoraFactors
        By module, the scaling applied.
    losses : ndarray of shape (steps, n_clients)
    """
    lora = ClientLora(
        task.model,
        task.modules,
        n_clients=len(task.contaminated),
        rank=plan.lora_rank,
        rng=np.random.default_rng([plan.seed, 1]),
    )

    def report(step: int, values: np.ndarray) -> None:
        clock.step(stage, step, schedule.steps, values if stage == "train" else None)

    clock.step(stage, 0, schedule.steps)
    try:
        history = train_clients(task.losses, lora.parameters(), schedule, on_step=report)
    finally:
        lora.remove()
    return {name: LoraFactors(B=B, A=A) for name, (B, A) in lora.factors().items()}, history


def tampered(task: Task, trained: Mapping[str, LoraFactors]) -> dict[str, LoraFactors]:
    """What the server receives: contaminated clients may change what they send."""
    scale = task.factors[:, None, None]
    return {name: LoraFactors(B=scale * part.B, A=part.A) for name, part in trained.items()}


def finetune(task: Task, plan: Plan, fedavg: Estimates, clock: JobClock) -> dict[str, np.ndarray]:
    """FedAvg's model trained further by each client on its own data.

    The mean update stays in place and a fresh adapter is trained on top of it with the rate and
    schedule of the first training.

    Returns
    -------
    dict of ndarray of shape (n_clients, d_out, d_in)
        Mean update plus the client's own.
    """
    if plan.finetune_steps == 0:
        return dict(fedavg)
    schedule = Schedule(
        plan.finetune_steps, plan.schedule.peak, plan.schedule.warmup, plan.schedule.final
    )
    start = ClientUpdates(task.model, fedavg)
    try:
        own, _ = train_adapters(task, plan, schedule, clock, "finetune")
    finally:
        start.remove()
    return {name: fedavg[name] + part.dense() for name, part in own.items()}
