"""Computing a sweep: worker processes, progress and cancelling."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clair._files import IMPORT_ROOT
from clair.simulation.sweeps.grid import SweepConfig, SweepResult
from clair.simulation.sweeps.store import Cells, Keeper, cell_of


class WorkerFailed(RuntimeError):  # noqa: N818
    """A worker process ended before its cells were done; the message holds its last words."""


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is.

    Attributes
    ----------
    step, total_steps : int
        Cells done and cells in all.
    seconds_left : float or None
        From the mean pace so far; None before the first cell.
    rate : float
        Fits a second since the start, 0 before the first cell.
    stage : str
        Always "sweep".
    """

    step: int
    total_steps: int
    seconds_left: float | None
    rate: float = 0.0
    stage: str = "sweep"

    @property
    def fraction(self) -> float:
        """Share of the cells that are done."""
        return self.step / self.total_steps


def _order(config: SweepConfig, done: Cells) -> list[int]:
    """List missing cells in random order, so that an unfinished diagram already shows its shape."""
    shuffled = np.random.default_rng(0).permutation(config.n_cells)
    return [int(cell) for cell in shuffled if int(cell) not in done]


def run_sweep(
    config: SweepConfig,
    *,
    workers: int | None = None,
    folder: Path | None = None,
    progress: Callable[[SweepProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> SweepResult:
    """Compute the cells that are not kept yet, and keep them.

    Parameters
    ----------
    config : SweepConfig
    workers : int, optional
        Processes, by default one for each core this process may use.
    folder : Path, optional
        Where cells are kept, by default `cache_dir`. If it cannot be written, cells are kept
        in the memory of this process, where `clair.simulation.sweeps.store.load` finds them.
    progress : callable, optional
        Receives a `SweepProgress` at the start and after every cell.
    cancelled : callable, optional
        Asked after every cell; once it returns True, only the cells under way are finished.

    Returns
    -------
    SweepResult
        Not complete if it was cancelled.

    Raises
    ------
    WorkerFailed
        If a worker process breaks down. What was finished is kept.
    """
    with Keeper(config, folder) as keeper:
        run = _Run(config, keeper, progress or (lambda _: None), cancelled or (lambda: False))
        run.work(min(workers or _cores(), max(1, len(run.todo))))
    return SweepResult.of(config, keeper.cells, run.elapsed)


def _cores() -> int:
    """Count the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Run:
    """One call of `run_sweep`: the cells still to do, shared by a thread for each process."""

    def __init__(
        self,
        config: SweepConfig,
        keeper: Keeper,
        progress: Callable[[SweepProgress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.config, self.keeper, self.todo = config, keeper, _order(config, keeper.cells)
        self.progress, self.cancelled = progress, cancelled
        self.lock = threading.Lock()
        self.failure: BaseException | None = None
        self.already = len(keeper.cells)
        self.started = time.monotonic()
        self.elapsed = 0.0

    def work(self, workers: int) -> None:
        self.progress(self._state())
        if not self.todo:
            return
        threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.elapsed = time.monotonic() - self.started
        if self.failure is not None:
            raise self.failure

    def _serve(self) -> None:
        """Feed one process until nothing is left, somebody cancels or something breaks."""
        try:
            with _process() as process:
                assert process.stdin is not None
                assert process.stdout is not None
                print(json.dumps(self.config.to_json()), file=process.stdin, flush=True)
                while (cell := self._next()) is not None:
                    print(cell, file=process.stdin, flush=True)
                    line = process.stdout.readline()
                    if not line:
                        raise WorkerFailed("a worker process of the sweep broke down")
                    self._keep(cell, line)
        except BrokenPipeError:
            self._fail(WorkerFailed("a worker process of the sweep broke down"))
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self.lock:
            self.failure = self.failure or error

    def _next(self) -> int | None:
        with self.lock:
            if not self.todo or self.failure is not None or self.cancelled():
                return None
            return self.todo.pop(0)

    def _keep(self, cell: int, line: str) -> None:
        _, trials = cell_of(line.encode(), self.config)
        with self.lock:
            self.keeper.add(cell, trials)
            self.progress(self._state())

    def _state(self) -> SweepProgress:
        done, total = len(self.keeper.cells), self.config.n_cells
        here, spent = done - self.already, time.monotonic() - self.started
        if not here:
            return SweepProgress(done, total, None)
        left = spent / here * (total - done)
        return SweepProgress(done, total, left, here * self.config.trials / spent)


@contextlib.contextmanager
def _process() -> Iterator[subprocess.Popen[str]]:
    """Start a worker on one core and end it with the block, also when an error leaves the block."""
    paths = [str(IMPORT_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "clair.simulation.sweeps.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        yield process
        assert process.stdin is not None
        process.stdin.close()  # no more cells: the worker ends by itself
        process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
