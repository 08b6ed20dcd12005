"""The whole text-copying job: train, run CLAIR, evaluate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from clair import ClairFit, LoraFactors, fit
from clair.baselines import METHODS, estimate_all
from clair.metrics import detection_scores
from clair.tasks.copytask.config import CopyTaskConfig
from clair.tasks.copytask.data import TARGET_START, Federation, make_federation
from clair.tasks.copytask.federated import finetune_fedavg, tamper, train_adapters
from clair.tasks.copytask.model import FrozenPrefix, load_base_model
from clair.tasks.copytask.result import CopyTaskResult
from clair.tasks.copytask.scoring import Batch, write_samples
from clair.tasks.device import describe_device, limited_threads, resolve_device
from clair.tasks.evaluation import Estimates, evaluate_methods
from clair.tasks.progress import JobClock
from clair.tasks.results import MethodAccuracy, Sample, Stage, TrainingProgress

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

#: Clients share the *input* side of their adapters here: which letters are to be changed.
SIDE = "input"
#: The stricter pair of gap ratios suits a rank at or above the true one.
GAP = (1.15, 1.25)


def run(
    config: CopyTaskConfig,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> CopyTaskResult:
    """Do what `clair.tasks.copytask.run_copytask` documents."""
    with limited_threads(config.threads):
        return _run(config, JobClock(stage_costs(config), progress, cancelled))


def _run(config: CopyTaskConfig, clock: JobClock) -> CopyTaskResult:
    clock.step("prepare", 0, 1)
    device = resolve_device(config.device)
    if config.precision == "bfloat16" and device.type != "cuda":
        raise ValueError(f'precision "bfloat16" needs a CUDA device, got {device.type!r}')
    federation = make_federation(config)
    model = load_base_model(device)
    data = Batch([(client.texts, client.targets) for client in federation.clients], device)
    clock.step("prepare", 1, 1)

    trained, history = train_adapters(config, model, data, config.steps, clock, "train")
    updates = tamper(config.attack, trained, federation.contaminated)
    found = run_clair(config, updates, clock)
    estimates = estimate_all(updates, fit=found, contaminated=federation.contaminated)
    estimates["base"] = {name: np.zeros_like(part) for name, part in estimates["local"].items()}
    estimates["fedavg_finetuned"] = finetune_fedavg(config, model, data, estimates["fedavg"], clock)
    ordered = {key: estimates[key] for key in METHODS if key in estimates}
    accuracy, samples = _evaluate(config, federation, model, ordered, device, clock)
    return CopyTaskResult(
        config=config,
        device=describe_device(device, config.threads),
        seconds=dict(clock.seconds),
        contaminated=federation.contaminated,
        fit=found,
        loss_history=history,
        accuracy=accuracy,
        samples=samples,
        detection=detection_scores(found.flagged, federation.contaminated),
    )


def run_clair(
    config: CopyTaskConfig, updates: Mapping[str, LoraFactors], clock: JobClock
) -> ClairFit:
    """Run CLAIR on the adapters, jointly over the modules."""
    clock.step("clair", 0, 1)
    found = fit(
        updates,
        config.rank,
        screen_coefficients=config.screen_coefficients,
        side=SIDE,
        gap=GAP,
        progress=lambda _: clock.check(),
    )
    clock.step("clair", 1, 1)
    return found


def stage_costs(config: CopyTaskConfig) -> dict[Stage, float]:
    """Expected cost of the stages, in training steps of one client with eight sentences."""
    n_benign = config.n_clients - config.n_poisoned
    step = config.n_clients * config.n_local / 8
    finetune = config.steps if config.finetune_steps is None else config.finetune_steps
    train = config.steps * step
    scored = n_benign * config.n_test / 8 * len(METHODS) / 2
    written = 1.5 * config.n_samples * len(METHODS)
    return {
        "prepare": 0.1 * train,
        "train": train,
        "clair": 10.0 * config.n_clients,
        "finetune": finetune * step,
        "evaluate": scored + written,
    }


def _evaluate(
    config: CopyTaskConfig,
    federation: Federation,
    model: LlamaForCausalLM,
    estimates: Mapping[str, Estimates],
    device: torch.device,
    clock: JobClock,
) -> tuple[dict[str, MethodAccuracy], tuple[Sample, ...]]:
    """Held-out accuracy of every method over the truly benign clients, and a few samples."""
    benign = np.flatnonzero(~federation.contaminated)
    clients = {int(k): federation.clients[k] for k in benign}
    total = len(estimates) + 1
    clock.step("evaluate", 0, total)
    test = Batch([(c.test_texts, c.test_targets) for c in clients.values()], device)
    prefix = FrozenPrefix(model, test.tokens, TARGET_START)
    accuracy = evaluate_methods(
        model,
        estimates,
        ~federation.contaminated,
        lambda: test.accuracy(prefix.logits()),
        on_method=lambda done, _: clock.step("evaluate", done, total),
    )
    shown = dict(list(clients.items())[: config.n_samples])
    samples = write_samples(model, estimates, shown, device)
    clock.step("evaluate", total, total)
    return accuracy, samples
