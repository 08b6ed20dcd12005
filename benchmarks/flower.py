"""ClairStrategy beside Flower's own strategies, on the same clients and rounds.

Needs the environment of tests/requirements-extras.txt.

python benchmarks/flower.py            # fresh seeds; writes results/flower.md
python benchmarks/flower.py --develop  # the seeds that settings were chosen on; prints only
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _margins import write
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
from clair.federated.copytask.run import SIDE
from clair.federated.device import limited_threads
from clair.flower import ClairStrategy
from clair.flower.copying import Alone, CopyingGrid, other_names

ROUNDS, STEPS, CLIENTS, SEEDS = 3, 40, 12, 10
FRESH, DEVELOPMENT = 9000, 100
#: Name of the setting, attack, poisoned clients, and whether a client sends other keys.
SETTINGS = (
    ("2 of 12 poisoned, each its own way", "shift", 2, False),
    ("4 of 12 collude", "common_shift", 4, False),
    ("2 of 12 poisoned, an honest one sends other keys in round 2", "shift", 2, True),
)


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
    # as after an update of a client's libraries
    changes = {(number, honest[0]): other_names for number in range(2, ROUNDS + 1) if keys}
    grid, strategy = CopyingGrid(config, changes), make()
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
