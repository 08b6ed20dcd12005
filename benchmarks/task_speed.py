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
from pathlib import Path

# Reads the name of a task and times its default run; the first run of each task is only a warm-up.
SERVE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from clair.tasks.copytask import CopyTaskConfig, run_copytask
from clair.tasks.digits import DigitsConfig, run_digits
from clair.tasks.regression import RegressionConfig, run_regression
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
    """Print a row for each task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tree", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    trees = (arguments.tree.resolve(), Path(__file__).resolve().parents[1])
    processes = [start(tree) for tree in trees]
    print("| default run | other checkout | this one | this / other |\n|---|---|---|---|")
    for task in TASKS:
        pairs = [
            [seconds(process, task) for process in processes] for _ in range(arguments.rounds + 1)
        ][1:]
        other, this = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(now / before for before, now in pairs)
        print(f"| {task} | {other:.2f} s | {this:.2f} s | {ratio:.2f} |", flush=True)
    for process in processes:
        process.communicate()


if __name__ == "__main__":
    main()
