"""ClairStrategy beside Flower's own strategies, on the same clients and rounds.

Needs the environment of tests/requirements-flower.txt.

python benchmarks/flower.py            # fresh seeds; writes results/flower.md
python benchmarks/flower.py --develop  # the seeds that settings were chosen on; prints only
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _margins import write
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import (
    Bulyan,
    FedAvg,
    FedMedian,
    FedTrimmedAvg,
    Krum,
    MultiKrum,
    Strategy,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples" / "flower"))

from clair_copying.client_app import app as copying_app
from clair_copying.task import adapter_model, arrays_of, data_of, settings

from clair.flower import ClairStrategy
from clair.flower.memory import MemoryGrid
from clair.tasks.copytask.run import SIDE

ROUNDS, STEPS, CLIENTS, SEEDS = 3, 40, 12, 10
FRESH, DEVELOPMENT = 9000, 100
#: Name of the setting, attack, poisoned clients, and whether a client sends other keys.
SETTINGS = (
    ("2 of 12 poisoned, each its own way", "shift", 2, False),
    ("2 of 12 collude", "common_shift", 2, False),
    ("4 of 12 poisoned, each its own way", "shift", 4, False),
    ("4 of 12 collude", "common_shift", 4, False),
    ("2 of 12 poisoned, an honest one sends other keys in round 2", "shift", 2, True),
)


class Recorded(MemoryGrid):
    """A grid that remembers how well every client's model copied, by round and occasion."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.copied: dict[tuple[int, str], dict[int, float]] = {}

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        messages = list(messages)
        replies = list(super().send_and_receive(messages, timeout=timeout))
        number = int(messages[0].content["config"]["server-round"])
        for reply in replies:
            if reply.has_content() and "metrics" in reply.content.metric_records:
                told = reply.content["metrics"]["exact-copies"]
                occasion = number, str(reply.metadata.message_type)
                self.copied.setdefault(occasion, {})[reply.metadata.src_node_id] = float(told)
        return replies


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


def with_other_keys(app: ClientApp, client: int) -> ClientApp:
    """Wrap an app, so that a client sends other names from round 2 on, as after an update."""

    def wrapped(message: Message, context: Context) -> Message:
        reply = app(message, context)
        if (
            message.metadata.message_type == "train"
            and message.content["config"]["server-round"] >= 2
            and context.node_config["partition-id"] == client
        ):
            old = reply.content["arrays"]
            new = {key.replace("lora_A", "lora_a"): array for key, array in old.items()}
            reply.content["arrays"] = ArrayRecord(new)
        return reply

    return wrapped  # type: ignore[return-value]


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
    run_config = {
        "poisoned-fraction": n_poisoned / CLIENTS,
        "attack": attack,
        "local-steps": STEPS,
        "seed": seed,
    }
    config = settings(CLIENTS, run_config)
    bad = {k + 1 for k in range(CLIENTS) if data_of(config, k)[1]}
    honest = [node for node in range(1, CLIENTS + 1) if node not in bad]
    app = with_other_keys(copying_app, honest[0] - 1) if keys else copying_app
    grid, strategy = Recorded(app, CLIENTS, run_config), make()
    try:
        strategy.start(grid, arrays_of(adapter_model(config)), num_rounds=ROUNDS)
    except Exception as error:
        return Outcome(np.nan, np.nan, stopped=type(error).__name__)
    sent, trained = (
        float(np.mean([grid.copied[ROUNDS, kind][node] for node in honest]))
        for kind in ("evaluate", "train")
    )
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

Text copying, {CLIENTS} clients, {ROUNDS} rounds of {STEPS} local steps, LoRA of rank 16 under PEFT;
the app of `examples/flower` on the in-memory grid. Flower's rules are told the number of poisoned
clients (the trimmed mean: their share); CLAIR is not. Exact copies of held-out texts, mean and
standard deviation over {SEEDS} seeds of the honest clients' mean: with the model that the server
sends back after the last round, and with what a client has trained in the last round from what it
was sent. Who is named: flagged in the last round, over all seeds. Training alone for as many steps
is the row that is never sent anything.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--develop", action="store_true")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    first = DEVELOPMENT if options.develop else FRESH
    lines = [HEAD]
    for title, attack, n_poisoned, keys in SETTINGS:
        lines += [
            f"## {title}\n",
            "| strategy | sent back | after training on it | poisoned named | honest named |",
            "|---|---|---|---|---|",
        ]
        print("\n".join(lines[-3:]), flush=True)
        for name, make in strategies(n_poisoned).items():
            began = time.monotonic()
            outcomes = [
                run(make, attack, n_poisoned, keys, first + i) for i in range(options.seeds)
            ]
            lines.append(row(name, outcomes, n_poisoned))
            print(lines[-1], f"({time.monotonic() - began:.0f} s)", flush=True)
        lines.append("")
    if not options.develop:
        write("flower.md", "\n".join(lines))


if __name__ == "__main__":
    main()
