"""Progress of a whole job from the cost of its stages, and cancelling at every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from clair.cancellation import Cancelled
from clair.federated.results import Stage, TrainingProgress


class JobClock:
    """Turns steps inside stages into the share of the whole job and the time that is left.

    Parameters
    ----------
    costs : mapping of Stage to float
        Expected cost of each stage in any common unit, in the order in which they run.
    progress : callable, optional
        Receives a `TrainingProgress` at every step.
    cancelled : callable, optional
        Asked at every step.

    Attributes
    ----------
    seconds : dict of str to float
        Wall time of the stages so far.
    """

    def __init__(
        self,
        costs: Mapping[Stage, float],
        progress: Callable[[TrainingProgress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._costs = dict(costs)
        self._total = sum(self._costs.values())
        self._progress = progress
        self._cancelled = cancelled
        self._started: dict[Stage, float] = {}
        self._fraction = 0.0
        self._rate_from: tuple[float, float] | None = None
        self.seconds: dict[str, float] = {}

    def check(self) -> None:
        """Raise `Cancelled` if the job's owner wants it to stop."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("the job was cancelled")

    def step(
        self, stage: Stage, step: int, total_steps: int, losses: np.ndarray | None = None
    ) -> None:
        """Report that `step` of `total_steps` steps of a stage are done.

        Raises
        ------
        Cancelled
            If the job's owner wants it to stop; asked before the report goes out.
        """
        self.check()
        now = time.perf_counter()
        started = self._started.setdefault(stage, now)
        self.seconds[stage] = now - started
        stages = list(self._costs)
        before = sum(self._costs[s] for s in stages[: stages.index(stage)])
        done = before + self._costs[stage] * step / max(total_steps, 1)
        self._fraction = max(self._fraction, min(done / self._total, 1.0))
        if self._progress is not None:
            self._progress(
                TrainingProgress(
                    stage, step, total_steps, self._fraction, self._seconds_left(stage, now), losses
                )
            )

    def _seconds_left(self, stage: Stage, now: float) -> float | None:
        """Extrapolate from the pace since training began; loading says nothing about it."""
        if stage == "prepare":
            return None
        if self._rate_from is None:
            self._rate_from = (now, self._fraction)
        start, fraction = self._rate_from
        gained = self._fraction - fraction
        return (now - start) * (1.0 - self._fraction) / gained if gained > 0 else None
