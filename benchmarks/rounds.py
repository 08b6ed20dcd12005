"""Copying and digits over three rounds, poisoned from the second on, on fresh seeds.

python benchmarks/rounds.py            # fresh seeds; writes results/rounds.md
python benchmarks/rounds.py --develop  # seeds that settings were chosen on; prints only
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _margins import write

from clair.federated.copytask import CopyTaskConfig, run_copytask
from clair.federated.digits import DigitsConfig, run_digits
from clair.federated.results import RoundOutcome
from clair.federated.task_result import TaskResult
from clair.methods import METHODS

SEEDS, FRESH, DEVELOPMENT = 5, 7000, 100
ROUNDS, SINCE = 3, 2
SHOWN = (
    "local", "local_longer", "fedavg", "fedavg_finetuned", "kept_finetuned", "median",
    "geometric_median", "krum", "multi_krum", "pca", "clair", "clair_eb", "clair_finetuned",
    "clair_safe", "clair_published", "fedavg_benign", "clair_oracle",
)  # fmt: skip
#: Title, run, measure.
TASKS: tuple[tuple[str, Callable[[int], TaskResult], str], ...] = (
    (
        "Text copying: share of held-out texts copied without a mistake",
        lambda seed: run_copytask(_settings(CopyTaskConfig, seed, device="cpu")),
        "exact_match",
    ),
    (
        "Digits: share of held-out images read right",
        lambda seed: run_digits(_settings(DigitsConfig, seed)),
        "accuracy",
    ),
)
HEAD = f"""# {ROUNDS} rounds, poisoned from round {SINCE} on

Default settings of both tasks otherwise. Every method has a federation of its own after the first
round: its clients train on from what it handed out. Mean over the honest clients, then mean and
standard deviation over {SEEDS} fresh seeds. Fine-tuned rows train further after the round.
"""


def _settings(kind: Callable[..., Any], seed: int, **more: Any) -> Any:
    return kind(seed=seed, rounds=ROUNDS, poison_from=SINCE, n_samples=0, **more)


def verdict_row(outcomes: list[RoundOutcome]) -> str:
    """Count poisoned and honest clients flagged in one round, over all seeds."""
    flagged = [np.array([degree == "flagged" for degree in one.degrees]) for one in outcomes]
    truth = [one.poisoned for one in outcomes]
    found = sum(int((f & t).sum()) for f, t in zip(flagged, truth, strict=True))
    falsely = sum(int((f & ~t).sum()) for f, t in zip(flagged, truth, strict=True))
    bad = sum(int(t.sum()) for t in truth)
    honest = sum(int((~t).sum()) for t in truth)
    return f"| {outcomes[0].number} | {found} of {bad} | {falsely} of {honest} |"


def table(results: list[TaskResult], measure: str) -> list[str]:
    """Write accuracy by method and round, and the verdict by round."""
    numbers = range(1, ROUNDS + 1)
    lines = [
        f"| method | {' | '.join(f'round {number}' for number in numbers)} |",
        "|---" * (ROUNDS + 1) + "|",
    ]
    for key in SHOWN:
        cells = []
        for number in numbers:
            values = np.array(
                [getattr(r.rounds[number - 1].accuracy[key], measure).mean() for r in results]
            )
            cells.append(f"{values.mean():.3f} ± {values.std(ddof=1):.3f}")
        oracle = " (oracle)" if METHODS[key].oracle else ""
        lines.append(f"| {METHODS[key].label}{oracle} | {' | '.join(cells)} |")
    lines += ["", "| round | poisoned flagged | honest flagged |", "|---|---|---|"]
    lines += [verdict_row([r.rounds[number - 1] for r in results]) for number in numbers]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--develop", action="store_true")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    first, started = DEVELOPMENT if options.develop else FRESH, time.time()
    lines = [HEAD]
    for title, run, measure in TASKS:
        results = []
        for seed in range(first, first + options.seeds):
            results.append(run(seed))
            seconds = ", ".join(f"{k} {v:.0f}" for k, v in results[-1].seconds.items())
            print(f"{title[:12]} seed {seed}: {results[-1].summary()} [{seconds}]", flush=True)
        lines += [f"## {title}\n", *table(results, measure), ""]
        print("\n".join(lines), flush=True)
    if not options.develop:
        write("rounds", lines, started, remark="")


if __name__ == "__main__":
    main()
