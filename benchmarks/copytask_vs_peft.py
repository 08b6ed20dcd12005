"""Training all clients in one batch against one after another with peft.

Both train the same adapters from the same initialisation on the same data with the same optimiser
and schedule, so their losses must agree; what differs is that peft takes the clients in turn. Run
with ``python benchmarks/copytask_vs_peft.py``; needs peft. Single thread by default: on shared
cores two threads are slower for both.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clair.federated.copytask import CopyTaskConfig
from clair.federated.copytask.data import TARGET_START, make_federation
from clair.federated.copytask.model import (
    ADAPTED_MODULES,
    FrozenPrefix,
    answer_logits,
    load_base_model,
)
from clair.federated.copytask.scoring import Batch
from clair.federated.device import limited_threads
from clair.federated.lora import ClientLora
from clair.federated.training import Schedule, train_clients

CPU = torch.device("cpu")
# On one thread, the process's own CPU time equals the wall time on an idle core.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def pairs(config: CopyTaskConfig) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Draw the local training pairs of all clients."""
    return [(client.texts, client.targets) for client in make_federation(config).clients]


def adapters(config: CopyTaskConfig, model: torch.nn.Module) -> ClientLora:
    """Make fresh adapters of all clients, attached to the model."""
    return ClientLora(
        model,
        ADAPTED_MODULES,
        n_clients=config.n_clients,
        rank=config.lora_rank,
        rng=np.random.default_rng(config.seed),
    )


def train_batched(
    config: CopyTaskConfig, clock: Callable[[], float], *, cached: bool
) -> tuple[np.ndarray, float]:
    """Train everybody at once; return losses (steps, n_clients) and seconds.

    With `cached` the frozen part of the model runs once, as in the task. Otherwise the whole model
    runs at every step, as it does under peft.
    """
    model = load_base_model(CPU)
    data = Batch(pairs(config), CPU)
    lora = adapters(config, model)
    started = clock()
    if cached:
        logits = FrozenPrefix(model, data.tokens, TARGET_START).logits
    else:
        logits = partial(answer_logits, model, data.tokens, TARGET_START)
    losses = train_clients(
        lambda: data.losses(logits()),
        lora.parameters(),
        Schedule(config.steps, config.learning_rate),
    )
    return losses, clock() - started


def train_with_peft(config: CopyTaskConfig, clock: Callable[[], float]) -> tuple[np.ndarray, float]:
    """Train the clients in turn with peft; return losses (steps, n_clients) and seconds."""
    from peft import LoraConfig, get_peft_model

    start = adapters(config, load_base_model(CPU)).A
    options = LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_rank, target_modules=list(ADAPTED_MODULES)
    )
    schedule = Schedule(config.steps, config.learning_rate)
    losses, seconds = [], 0.0
    for k, pair in enumerate(pairs(config)):
        model = get_peft_model(load_base_model(CPU), options)
        for name in ADAPTED_MODULES:
            module = model.base_model.model.get_submodule(name)
            module.lora_A["default"].weight.data.copy_(start[name][k])
        data = Batch([pair], CPU)
        trainable = [p for p in model.parameters() if p.requires_grad]
        # Loading the model is not timed: a careful loop would load it once for all clients.
        started = clock()
        logits = partial(answer_logits, model, data.tokens, TARGET_START)
        losses.append(
            train_clients(lambda d=data, f=logits: d.losses(f()), trainable, schedule)[:, 0]
        )
        seconds += clock() - started
    return np.stack(losses, axis=1), seconds


def main() -> None:
    """Print losses' agreement and the ratio of times for several numbers of clients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[12, 48])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    clock = CLOCKS[arguments.clock]
    print(
        "| clients | task, s | whole model in one batch, s | peft in turn, s | ratio, task "
        "| ratio, whole model | largest difference of losses |"
    )
    print("|---" * 7 + "|")
    with limited_threads(arguments.threads):
        for n_clients in arguments.clients:
            config = CopyTaskConfig(n_clients=n_clients, steps=arguments.steps)
            runs = [
                (
                    train_batched(config, clock, cached=True),
                    train_batched(config, clock, cached=False),
                    train_with_peft(config, clock),
                )
                for _ in range(arguments.repeats)
            ]
            task, whole, peft = (min(run[i][1] for run in runs) for i in range(3))
            gap = max(float(np.abs(run[i][0] - run[2][0]).max()) for run in runs for i in (0, 1))
            print(
                f"| {n_clients} | {task:.2f} | {whole:.2f} | {peft:.2f} | {peft / task:.1f} "
                f"| {peft / whole:.1f} | {gap:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
