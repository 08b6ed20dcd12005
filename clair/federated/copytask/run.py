"""The whole text-copying job: train, run CLAIR, evaluate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clair.federated.copytask.config import CopyTaskConfig
from clair.federated.copytask.data import make_federation
from clair.federated.copytask.federated import CopyTask
from clair.federated.copytask.model import load_base_model
from clair.federated.copytask.result import CopyTaskResult
from clair.federated.copytask.scoring import write_samples
from clair.federated.device import describe_device, limited_threads, resolve_device
from clair.federated.progress import JobClock, further_costs
from clair.federated.results import Stage, TrainingProgress
from clair.federated.round import Plan
from clair.federated.rounds import federate_rounds
from clair.federated.training import Schedule
from clair.methods import METHODS

#: Here clients share the *input* side of their adapters, which tells the letters to be changed.
SIDE = "input"


def run(
    config: CopyTaskConfig,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> CopyTaskResult:
    """Run the job; see `clair.federated.copytask.run_copytask`."""
    with limited_threads(config.threads):
        costs = stage_costs(config)
        further = further_costs(costs)
        return _run(
            config, JobClock(costs, progress, cancelled, further=further, rounds=config.rounds)
        )


def _run(config: CopyTaskConfig, clock: JobClock) -> CopyTaskResult:
    clock.step("prepare", 0, 1)
    device = resolve_device(config.device)
    if config.precision == "bfloat16" and device.type != "cuda":
        raise ValueError(f'precision "bfloat16" needs a CUDA device, got {device.type!r}')
    federation = make_federation(config)
    task = CopyTask(config, federation, load_base_model(device))
    tasks = [task] * config.rounds
    if config.poison_from > 1:
        before = CopyTask.before(config, federation.contaminated, task.model)
        tasks[: config.poison_from - 1] = [before] * (config.poison_from - 1)
    clock.step("prepare", 1, 1)
    done, rounds = federate_rounds(
        tasks, plan_of(config), clock, poison_from=config.poison_from, afterwards=1
    )
    benign = np.flatnonzero(~federation.contaminated)[: config.n_samples]
    shown = {int(k): federation.clients[k] for k in benign}
    samples = write_samples(task.model, done.estimates, shown, device)
    clock.step("evaluate", 1, 1)
    return CopyTaskResult(
        config=config,
        device=describe_device(device, config.threads),
        seconds=dict(clock.seconds),
        contaminated=federation.contaminated,
        fit=done.fit,
        detection=done.detection,
        accuracy=done.accuracy,
        loss_history=done.loss_history,
        samples=samples,
        sharing=done.sharing,
        rounds=rounds,
    )


def plan_of(config: CopyTaskConfig) -> Plan:
    """Plan how the clients train, and what CLAIR is told.

    The shapes of entries are not compared, so there is no setting for it: that needs three modules,
    and two are adapted here.
    """
    return Plan(
        lora_rank=config.lora_rank,
        schedule=Schedule(config.steps, config.learning_rate),
        finetune_steps=config.further_steps,
        seed=config.seed,
        rank=config.rank,
        fit_options={"side": SIDE, **config.judged_by},
    )


def stage_costs(config: CopyTaskConfig) -> dict[Stage, float]:
    """Estimate the stages' costs, in training steps of one client with eight sentences."""
    n_benign = config.n_clients - config.n_poisoned
    step = config.n_clients * config.n_local / 8
    train = 2 * config.steps * step  # every client, and its two halves
    scored = n_benign * config.n_test / 8 * len(METHODS) / 2
    written = 1.5 * config.n_samples * len(METHODS)
    return {
        "prepare": 0.1 * train,
        "train": train,
        "clair": 10.0 * config.n_clients,
        "finetune": 4 * config.further_steps * step * n_benign / config.n_clients,
        "evaluate": scored + written,
    }
