"""ClairStrategy beside Flower's own strategies, on the same clients and rounds.

Needs the environment of tests/requirements-extras.txt.

python benchmarks/flower.py            # fresh seeds; writes results/flower.md
python benchmarks/flower.py --develop  # the seeds that settings were chosen on; prints only
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from _margins import write
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import (
    Bulyan,
    FedAvg,
    FedMedian,
    FedTrimmedAvg,
    Krum,
    MultiKrum,
    Strategy,
)

from clair.federated.copytask import CopyTaskConfig
from clair.federated.copytask.data import make_federation
from clair.federated.copytask.federated import CopyTask
from clair.federated.copytask.model import load_base_model
from clair.federated.copytask.run import SIDE
from clair.federated.device import limited_threads
from clair.federated.evaluation import evaluate_methods
from clair.federated.lora import ClientLora
from clair.federated.shares import whole
from clair.federated.training import Schedule, train_clients
from clair.flower import ClairStrategy
from clair.flower.memory import MemoryGrid

ROUNDS, STEPS, CLIENTS, SEEDS = 3, 40, 12, 10
FRESH, DEVELOPMENT = 9000, 100
PEFT = "base_model.model.{}.lora_{}.weight"
#: Name of the setting, attack, poisoned clients, and whether a client sends other keys.
SETTINGS = (
    ("2 of 12 poisoned, each its own way", "shift", 2, False),
    ("4 of 12 collude", "common_shift", 4, False),
    ("2 of 12 poisoned, an honest one sends other keys in round 2", "shift", 2, True),
)


class Copying(MemoryGrid):
    """All clients of a text-copying federation, trained in one batch.

    Parameters
    ----------
    config : CopyTaskConfig
    confused : int or None
        A node that sends other names from round 2 on, as after an update of its libraries.

    Attributes
    ----------
    copied : dict of "sent" or "trained" to ndarray of shape (n_honest,)
        Share of held-out texts that honest clients copy exactly: with the model that the server
        sends back, and with what they have trained from what it sent; of the last round.
    """

    def __init__(self, config: CopyTaskConfig, confused: int | None = None) -> None:
        super().__init__(self._never, config.n_clients)
        self.config, self.confused = config, confused
        model = load_base_model(torch.device("cpu"))
        self.task = CopyTask(config, make_federation(config), model)
        everybody = whole(np.arange(config.n_clients), self.task.n_local)
        self._examples = self.task.examples([everybody])
        self.copied: dict[str, np.ndarray] = {}

    @staticmethod
    def _never(*_: Any) -> Message:
        raise NotImplementedError

    def initial(self) -> ArrayRecord:
        """Make the untrained adapter that everybody begins with."""
        lora = self._adapters()
        lora.remove()
        return record({name: (B[0], A[0]) for name, (B, A) in lora.factors().items()})

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        by_node = {message.metadata.dst_node_id: message for message in messages}
        ordered = [by_node[node] for node in sorted(by_node)]
        sent = [message.content["arrays"] for message in ordered]
        if ordered[0].metadata.message_type == "evaluate":
            self.copied["sent"] = self._exact(self._stacked(sent))
            metrics = RecordDict({"metrics": MetricRecord({"num-examples": 1})})
            return [Message(metrics, reply_to=message) for message in ordered]
        trained = self._trained(self._stacked(sent))
        self.copied["trained"] = self._exact(trained)
        return [self._reply_of(k, message, trained) for k, message in enumerate(ordered)]

    def _reply_of(self, k: int, message: Message, trained: Any) -> Message:
        factor = float(self.task.factors[k])
        own = record({name: (factor * B[k], A[k]) for name, (B, A) in trained.items()})
        if k + 1 == self.confused and message.content["config"]["server-round"] >= 2:
            own = ArrayRecord({key.replace("lora_A", "lora_a"): own[key] for key in own})
        content = {"arrays": own, "metrics": MetricRecord({"num-examples": self.task.n_local})}
        return Message(RecordDict(content), reply_to=message)

    def _adapters(self) -> ClientLora:
        return ClientLora(
            self.task.model,
            self.task.modules,
            n_clients=self.config.n_clients,
            rank=self.config.lora_rank,
            rng=np.random.default_rng([self.config.seed, 1]),
            layout=self._examples.layout,
        )

    def _trained(self, start: Any) -> Any:
        lora = self._adapters()
        with torch.no_grad():
            for name, (B, A) in start.items():
                lora.B[name].copy_(torch.from_numpy(B))
                lora.A[name].copy_(torch.from_numpy(A))
        schedule = Schedule(self.config.steps, self.config.learning_rate)
        try:
            train_clients(self._examples.losses, lora.parameters(), schedule)
        finally:
            lora.remove()
        return lora.factors()

    def _stacked(self, arrays: list[ArrayRecord]) -> Any:
        return {
            name: tuple(
                np.stack([one[PEFT.format(name, side)].numpy() for one in arrays]) for side in "BA"
            )
            for name in self.task.modules
        }

    def _exact(self, adapters: Any) -> np.ndarray:
        updates = {name: B @ A for name, (B, A) in adapters.items()}
        honest = ~self.task.contaminated
        scored = evaluate_methods(self.task.model, {"": updates}, honest, self.task.scores)
        return scored[""].exact_match


def record(adapter: Any) -> ArrayRecord:
    """Write factors under PEFT's names."""
    return ArrayRecord(
        {
            PEFT.format(name, side): Array(np.asarray(part, dtype=np.float32))
            for name, factors in adapter.items()
            for side, part in zip("BA", factors, strict=True)
        }
    )


class Alone(FedAvg):
    """Send every client back what it sent: no federation at all."""

    def __init__(self, **sampling: Any) -> None:
        super().__init__(**sampling)
        self.own: dict[int, ArrayRecord] = {}

    def _construct_messages(
        self, record: RecordDict, node_ids: list[int], message_type: str
    ) -> list[Message]:
        return [
            Message(
                RecordDict({**record, "arrays": self.own.get(node, record["arrays"])}),
                message_type=message_type,
                dst_node_id=node,
            )
            for node in node_ids
        ]

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[None, None]:
        self.own = {reply.metadata.src_node_id: reply.content["arrays"] for reply in replies}
        return None, None


def strategies(n_poisoned: int) -> dict[str, Callable[[], Strategy]]:
    """Flower's rules are told the number of poisoned clients; CLAIR is not."""
    whole = {"min_available_nodes": CLIENTS}
    told = {"num_malicious_nodes": n_poisoned, **whole}
    clair = {"fit_options": {"side": SIDE}, **whole}
    return {
        "Training alone": lambda: Alone(**whole),
        "FedAvg": lambda: FedAvg(**whole),
        "Median": lambda: FedMedian(**whole),
        "Trimmed mean": lambda: FedTrimmedAvg(beta=n_poisoned / CLIENTS, **whole),
        "Krum": lambda: Krum(**told),
        "MultiKrum": lambda: MultiKrum(num_nodes_to_select=CLIENTS - n_poisoned, **told),
        "Bulyan": lambda: Bulyan(**told),
        "CLAIR, average sent back": lambda: ClairStrategy(sent_back="average", **clair),
        "CLAIR, refined sent back": lambda: ClairStrategy(**clair),
        "CLAIR, pooled and refined": lambda: ClairStrategy(
            fit_options={"side": SIDE, "pooling": "eb"}, min_available_nodes=CLIENTS
        ),
    }


@dataclass(frozen=True)
class Outcome:
    """One run: exact copies of the honest clients before and after their training, and who is out.

    Attributes
    ----------
    sent, trained : float
        Of the model that comes from the server after the last round, and of what a client trained
        in the last round.
    found, falsely : int or None
        Poisoned and honest clients flagged in the last round; None where nobody is named.
    stopped : str
        The error that ended the run; empty if it went through.
    """

    sent: float
    trained: float
    found: int | None = None
    falsely: int | None = None
    stopped: str = ""


def run(
    make: Callable[[], Strategy], attack: str, n_poisoned: int, keys: bool, seed: int
) -> Outcome:
    config = CopyTaskConfig(
        n_clients=CLIENTS,
        poisoned_fraction=n_poisoned / CLIENTS,
        attack=attack,
        steps=STEPS,
        seed=seed,
        device="cpu",
    )
    bad = {int(k) + 1 for k in np.flatnonzero(make_federation(config).contaminated)}
    honest = [node for node in range(1, CLIENTS + 1) if node not in bad]
    grid, strategy = Copying(config, honest[0] if keys else None), make()
    try:
        strategy.start(grid, grid.initial(), num_rounds=ROUNDS)
    except Exception as error:
        return Outcome(np.nan, np.nan, stopped=type(error).__name__)
    sent, trained = (float(grid.copied[kind].mean()) for kind in ("sent", "trained"))
    if not isinstance(strategy, ClairStrategy):
        return Outcome(sent, trained)
    flagged = {c.node for c in strategy.verdicts[-1].clients if c.degree == "flagged"}
    return Outcome(sent, trained, len(flagged & bad), len(flagged - bad))


def row(name: str, outcomes: list[Outcome], n_poisoned: int) -> str:
    if all(one.stopped for one in outcomes):
        return f"| {name} | run stopped: {outcomes[0].stopped} | | | |"
    sent, trained = (np.array([getattr(o, key) for o in outcomes]) for key in ("sent", "trained"))
    named = falsely = "nobody"
    if outcomes[0].found is not None:
        total = n_poisoned * len(outcomes)
        named = f"{sum(o.found or 0 for o in outcomes)} of {total}"
        falsely = str(sum(o.falsely or 0 for o in outcomes))
    return (
        f"| {name} | {sent.mean():.3f} ± {sent.std():.3f} | "
        f"{trained.mean():.3f} ± {trained.std():.3f} | {named} | {falsely} |"
    )


HEAD = f"""# Flower's strategies and CLAIR's, on the same clients

Text copying, {CLIENTS} clients, {ROUNDS} rounds of {STEPS} local steps, LoRA of rank 16, on
Flower's message API in memory. Flower's rules are told the number of poisoned clients (the trimmed
mean: their share); CLAIR is not. Exact copies of held-out texts, mean and standard deviation over
{SEEDS} seeds of the honest clients' mean: with the model that the server sends back after the last
round, and with what clients have trained in the last round from what they were sent. Named: flagged
in the last round, over all seeds. Training alone: everybody is sent back what it sent.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--develop", action="store_true")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    first, started = DEVELOPMENT if options.develop else FRESH, time.time()
    with limited_threads(1):
        lines = tables(first, options.seeds)
    if not options.develop:
        write("flower", lines, started, remark="")


def tables(first: int, seeds: int) -> list[str]:
    lines = [HEAD]
    for title, attack, n_poisoned, keys in SETTINGS:
        lines += [
            f"## {title}\n",
            "| strategy | sent back | after training on it | poisoned named | honest named |",
            "|---|---|---|---|---|",
        ]
        print("\n".join(lines[-3:]), flush=True)
        for name, make in strategies(n_poisoned).items():
            if keys and name == "Training alone":
                continue  # who is sent back other keys cannot train on
            began = time.monotonic()
            outcomes = [run(make, attack, n_poisoned, keys, first + i) for i in range(seeds)]
            lines.append(row(name, outcomes, n_poisoned))
            print(lines[-1], f"({time.monotonic() - began:.0f} s)", flush=True)
        lines.append("")
    return lines


if __name__ == "__main__":
    main()
