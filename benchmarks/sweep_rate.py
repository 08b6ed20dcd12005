"""How fast a phase diagram is computed, and which way of using two cores is fastest.

    OMP_NUM_THREADS=1 python benchmarks/sweep_rate.py [--cells 40] [--full]

Fits a second by the clock and per second of work of one core; the latter does not depend on what
else the machine is doing. ``--full`` also times 20 x 20 cells of 10 trials.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clair.simulation.sweeps.grid import METHODS, Axis, SweepConfig
from clair.simulation.sweeps.run import run_sweep
from clair.simulation.sweeps.trial import run_cell


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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
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
