"""The clients' side of the job: local training, tampering, and fine-tuning after FedAvg."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from clair import LoraFactors
from clair.tasks.copytask.config import CopyTaskConfig
from clair.tasks.copytask.data import TARGET_START
from clair.tasks.copytask.model import ADAPTED_MODULES, FrozenPrefix
from clair.tasks.copytask.scoring import Batch
from clair.tasks.evaluation import Estimates
from clair.tasks.lora import ClientLora, ClientUpdates
from clair.tasks.progress import JobClock
from clair.tasks.training import Schedule, train_clients

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from clair.tasks.results import Stage

SCALED_BY = 10.0


def train_adapters(
    config: CopyTaskConfig,
    model: LlamaForCausalLM,
    data: Batch,
    steps: int,
    clock: JobClock,
    stage: Stage,
) -> tuple[dict[str, LoraFactors], np.ndarray]:
    """Train one adapter a client on its own data, all in one batch.

    Parameters
    ----------
    config : CopyTaskConfig
    model : LlamaForCausalLM
        Frozen; updates attached to it stay in force during the training.
    data : Batch
    steps : int
    clock : JobClock
        Told of every step; may raise `Cancelled`.
    stage : {"train", "finetune"}

    Returns
    -------
    factors : dict of LoraFactors
        By module, the scaling applied.
    losses : ndarray of shape (steps, n_clients)
    """
    lora = ClientLora(
        model,
        ADAPTED_MODULES,
        n_clients=data.n_clients,
        rank=config.lora_rank,
        rng=np.random.default_rng([config.seed, 1]),
    )

    prefix = FrozenPrefix(model, data.tokens, TARGET_START)

    def losses() -> Tensor:
        with _arithmetic(config, data.tokens.device):
            return data.losses(prefix.logits())

    def report(step: int, values: np.ndarray) -> None:
        clock.step(stage, step, steps, values if stage == "train" else None)

    clock.step(stage, 0, steps)
    try:
        schedule = Schedule(steps, config.learning_rate)
        history = train_clients(losses, lora.parameters(), schedule, on_step=report)
    finally:
        lora.remove()
    factors = {name: LoraFactors(B=B, A=A) for name, (B, A) in lora.factors().items()}
    return factors, history


def tamper(
    attack: str, updates: dict[str, LoraFactors], contaminated: np.ndarray
) -> dict[str, LoraFactors]:
    """What the server receives: contaminated clients of an update attack change what they send."""
    factor = {"sign_flip": -1.0, "scaled": SCALED_BY}.get(attack, 1.0)
    scale = np.where(contaminated, factor, 1.0)[:, None, None]
    return {name: LoraFactors(B=scale * part.B, A=part.A) for name, part in updates.items()}


def finetune_fedavg(
    config: CopyTaskConfig,
    model: LlamaForCausalLM,
    data: Batch,
    fedavg: Estimates,
    clock: JobClock,
) -> dict[str, np.ndarray]:
    """FedAvg's model trained further by each client on its own data.

    The mean update stays in place and a fresh adapter is trained on top of it with the learning
    rate and schedule of the first training.

    Parameters
    ----------
    config : CopyTaskConfig
    model : LlamaForCausalLM
    data : Batch
    fedavg : mapping of module to ndarray of shape (n_clients, d_out, d_in)
    clock : JobClock

    Returns
    -------
    dict of ndarray of shape (n_clients, d_out, d_in)
        Mean update plus the client's own.
    """
    steps = config.steps if config.finetune_steps is None else config.finetune_steps
    if steps == 0:
        return dict(fedavg)
    start = ClientUpdates(model, fedavg)
    try:
        own, _ = train_adapters(config, model, data, steps, clock, "finetune")
    finally:
        start.remove()
    return {name: fedavg[name] + part.dense() for name, part in own.items()}


def _arithmetic(config: CopyTaskConfig, device: torch.device) -> AbstractContextManager[object]:
    if config.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
