"""How fast a phase diagram is computed, and which way of using two cores is fastest.

    OMP_NUM_THREADS=1 python benchmarks/sweep_rate.py [--cells 40] [--full]
    git worktree add TREE COMMIT
    OMP_NUM_THREADS=1 python benchmarks/sweep_rate.py --against TREE [--rounds 5]

Fits a second by the clock and per second of work of one core; the latter does not depend on what
else the machine is doing. ``--full`` also times 20 x 20 cells of 10 trials. ``--against`` compares
this tree with another one, both in turn, and writes results/sweep_rate.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Last, so that the sweep of a tree that PYTHONPATH names is timed.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from _margins import write

from clair.simulation.sweeps.grid import METHODS, Axis, SweepConfig
from clair.simulation.sweeps.run import run_sweep
from clair.simulation.sweeps.trial import run_cell

TREE = Path(__file__).resolve().parents[1]


def config(method: str, cells: int, trials: int = 10) -> SweepConfig:
    """Build a sweep of noise and attack strength at 20 clients, 32 x 32."""
    rows = max(1, cells // 8)
    return SweepConfig(
        along=(
            Axis("noise", tuple(0.02 + 0.02 * i for i in range(8))),
            Axis("attack_scale", tuple(0.3 + 0.1 * i for i in range(rows))),
        ),
        trials=trials,
        options=METHODS[method],
    )


def in_processes(sweep: SweepConfig, workers: int) -> None:
    """Run with worker processes, nothing kept."""
    with tempfile.TemporaryDirectory() as folder:
        run_sweep(sweep, workers=workers, folder=Path(folder))


def in_threads(sweep: SweepConfig, workers: int) -> None:
    """Run the same cells with threads of one process."""
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda cell: run_cell(sweep, cell), range(sweep.n_cells)))


def work() -> float:
    """Read the processor seconds of this process and its ended children."""
    usages = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(run: Callable[[SweepConfig, int], None], sweep: SweepConfig, workers: int) -> str:
    """Run a sweep and write its row of the table."""
    started, before = time.perf_counter(), work()
    run(sweep, workers)
    seconds, spent = time.perf_counter() - started, work() - before
    fits = sweep.n_cells * sweep.trials
    return f"{fits:6d} {seconds:8.1f} {fits / seconds:8.1f} {fits / spent:14.1f}"


def once(tree: Path, cells: int) -> tuple[float, float]:
    """Run a sweep of another tree in two processes; return wall and processor seconds."""
    command = [sys.executable, __file__, "--once", "--cells", str(cells)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    before, started = work(), time.perf_counter()
    subprocess.run(command, env=environment, check=True)
    return time.perf_counter() - started, work() - before


def commit(tree: Path) -> str:
    """Name the commit of a tree."""
    command = ["git", "-C", str(tree), "log", "-1", "--format=%h, “%s”"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def compare(other: Path, cells: int, rounds: int) -> None:
    """Time both trees in turn and write the ratios."""
    started, names = time.time(), {TREE: "this tree", other: "before"}
    rows = {tree: [] for tree in names}
    lines = [
        "# Rate of sweeps on executors, and before\n",
        f"A sweep of {cells} cells of 10 trials (20 clients, 32 x 32) in two processes, the start "
        "of Python and of the processes included, run in turn from this tree "
        f"({commit(TREE)}) and from the one before ({commit(other)}). The machine was shared "
        f"(load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores), so wall time says little.\n",
        "| round | " + " | ".join(f"{n}, processor s | {n}, wall s" for n in names.values()) + " |",
        "|---" * 5 + "|",
    ]
    for number in range(rounds + 1):
        for tree in (TREE, other) if number % 2 else (other, TREE):
            rows[tree].append(once(tree, cells))
        if number:  # the first round compiles and fills the disk's cache
            pairs = (f"{spent:.1f} | {wall:.1f}" for wall, spent in (rows[t][-1] for t in names))
            lines.append(f"| {number} | {' | '.join(pairs)} |")
            print(lines[-1], flush=True)
    for which, name in ((1, "processor"), (0, "wall")):
        ratios = [b[which] / a[which] for a, b in zip(rows[TREE][1:], rows[other][1:], strict=True)]
        lines.append(
            f"\nRate relative to before, by {name} time: median {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds)."
        )
        print(lines[-1])
    options = f"Options: `--against TREE --cells {cells} --rounds {rounds}`."
    write("sweep_rate", lines, started, remark=options)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--against", type=Path, metavar="TREE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        in_processes(config("residual", options.cells), 2)
        return
    if options.against:
        compare(options.against.resolve(), options.cells, options.rounds)
        return
    print(f"cores {os.cpu_count()}, load at start {os.getloadavg()[0]:.1f}")
    print("method    how            fits  seconds   fits/s  fits/core-second")
    for method in ("residual", "norms"):
        sweep = config(method, options.cells)
        for name, run in (("processes", in_processes), ("threads", in_threads)):
            for workers in (1, 2):
                print(f"{method:9} {workers} {name:10} {measure(run, sweep, workers)}", flush=True)
    if options.full:
        sweep = SweepConfig(
            along=(
                Axis("noise", tuple(round(0.01 * i, 2) for i in range(20))),
                Axis("attack_scale", tuple(round(0.1 * i, 1) for i in range(1, 21))),
            ),
            trials=10,
        )
        print(f"20 x 20 x 10, 2 processes:  {measure(in_processes, sweep, 2)}")


if __name__ == "__main__":
    main()
