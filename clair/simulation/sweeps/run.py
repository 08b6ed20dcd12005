"""Computing a sweep: feeding an executor, progress and cancelling."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clair.executors import Workers, open_workers
from clair.simulation.sweeps.grid import SweepConfig, SweepResult, Trial
from clair.simulation.sweeps.store import Cells, Keeper
from clair.simulation.sweeps.trial import run_cell

#: Finished cells and their trials.
Done = list[tuple[int, tuple[Trial, ...]]]


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
    def label(self) -> str:
        """The stage in words."""
        return "Drawing and solving"

    @property
    def note(self) -> str:
        """Pace and time left, beginning with a comma; empty before the first cell."""
        if self.seconds_left is None:
            return ""
        return f", {self.rate:.3g} fits/s, {self.seconds_left:.0f} s left"

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
    workers: int | Workers | None = None,
    scheduler: str | None = None,
    folder: Path | None = None,
    progress: Callable[[SweepProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> SweepResult:
    """Compute the cells that are not kept yet, and keep them.

    Parameters
    ----------
    config : SweepConfig
    workers : int or Workers, optional
        Processes on this machine, by default one for each core; or an executor of the caller's:
        see `clair.executors.open_workers`.
    scheduler : str, optional
        Address of a dask scheduler to compute on instead.
    folder : Path, optional
        Where cells are kept, by default `cache_dir`. If it cannot be written, cells are kept
        in the memory of this process, where `clair.simulation.sweeps.store.load` finds them.
    progress : callable, optional
        Receives a `SweepProgress` at the start and after every cell.
    cancelled : callable, optional
        Asked after every task; once it returns True, only the cells under way are finished.

    Returns
    -------
    SweepResult
        Not complete if it was cancelled.

    Raises
    ------
    WorkerFailed
        If a worker process breaks down, or no scheduler answers. What was finished is kept.
    """
    with Keeper(config, folder) as keeper:
        run = _Run(config, keeper, progress or (lambda _: None), cancelled or (lambda: False))
        if run.todo:
            with open_workers(workers, scheduler) as found:
                run.work(found)
    return SweepResult.of(config, keeper.cells, run.elapsed)


def run_cells(config: SweepConfig, cells: tuple[int, ...]) -> Done:
    """Compute some cells; this is what workers are sent."""
    return [(cell, run_cell(config, cell)) for cell in cells]


class _Run:
    """One call of `run_sweep`: the cells still to do, a bounded number of them under way."""

    def __init__(
        self,
        config: SweepConfig,
        keeper: Keeper,
        progress: Callable[[SweepProgress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.config, self.keeper, self.todo = config, keeper, _order(config, keeper.cells)
        self.progress, self.cancelled = progress, cancelled
        self.already = len(keeper.cells)
        self.started = time.monotonic()
        self.elapsed = 0.0
        self.progress(self._state())

    def work(self, workers: Workers) -> None:
        """Compute until nothing is left, somebody cancels or something breaks."""
        under_way: set[Future[Done]] = set()
        try:
            while True:
                while self.todo and len(under_way) < workers.tasks and not self.cancelled():
                    cells = tuple(self.todo[: workers.cells])
                    del self.todo[: workers.cells]
                    under_way.add(workers.submit(run_cells, self.config, cells))
                if not under_way:
                    break
                finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for task in finished:
                    self._keep(workers.result(task))
        finally:
            for task in under_way:
                task.cancel()
            self.elapsed = time.monotonic() - self.started

    def _keep(self, done: Done) -> None:
        for cell, trials in done:
            self.keeper.add(cell, trials)
            self.progress(self._state())

    def _state(self) -> SweepProgress:
        done, total = len(self.keeper.cells), self.config.n_cells
        here, spent = done - self.already, time.monotonic() - self.started
        if not here:
            return SweepProgress(done, total, None)
        left = spent / here * (total - done)
        return SweepProgress(done, total, left, here * self.config.trials / spent)
