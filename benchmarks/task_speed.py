"""What the default run of every task costs, over what it cost in another checkout.

    git worktree add ../before d46593a      # the last commit without the clients' own tests
    python benchmarks/task_speed.py ../before

Both run alternately, each in a process of its own that has everything loaded, on one thread; times
are those of the processor. Medians over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from _margins import write

# Reads the name of a task and times its default run; the first run of each task is only a warm-up.
SERVE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from clair.federated.copytask import CopyTaskConfig, run_copytask
from clair.federated.digits import DigitsConfig, run_digits
from clair.federated.regression import RegressionConfig, run_regression
runs = {
    "copytask": lambda: run_copytask(CopyTaskConfig(device="cpu")),
    "digits": lambda: run_digits(DigitsConfig()),
    "regression": lambda: run_regression(RegressionConfig()),
}
for line in sys.stdin:
    start = time.process_time()
    runs[line.strip()]()
    print(time.process_time() - start, flush=True)
"""
TASKS = ("copytask", "digits", "regression")


def start(tree: Path) -> subprocess.Popen[str]:
    """Start a process that imports the package from one checkout."""
    return subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tree)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tree,
    )


def seconds(process: subprocess.Popen[str], task: str) -> float:
    """Run a task by default, and return the seconds of processor time."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(task, file=process.stdin, flush=True)
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit("the checkout's process ended; see its message above")
    return float(answer)


def main() -> None:
    """Print a row for each task, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tree", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    trees = (arguments.tree.resolve(), Path(__file__).resolve().parents[1])
    started, processes = time.time(), [start(tree) for tree in trees]
    lines = ["| default run | other checkout | this one | this / other |", "|---|---|---|---|"]
    print(*lines, sep="\n", flush=True)
    for task in TASKS:
        pairs = [
            [seconds(process, task) for process in processes] for _ in range(arguments.rounds + 1)
        ][1:]
        other, this = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(now / before for before, now in pairs)
        lines.append(f"| {task} | {other:.2f} s | {this:.2f} s | {ratio:.2f} |")
        print(lines[-1], flush=True)
    for process in processes:
        process.communicate()
    git = ["git", "-C", str(trees[0]), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    write(
        "task_speed",
        [f"# What the default run of every task costs, against the commit {commit}", "", *lines],
        started,
        f"Processor time on one thread, medians of {arguments.rounds} rounds run alternately.",
    )


if __name__ == "__main__":
    main()
