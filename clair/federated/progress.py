"""Progress of a whole job from the cost of its stages, and cancelling at every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from clair.cancellation import Cancelled
from clair.federated.results import Stage, TrainingProgress

#: A round after the first, where every method has a federation of its own: how many times as much
#: it trains, of which the first spends half on halves of the data, and runs CLAIR.
_TRAINED, _JUDGED = 7.0, 3.0


def further_costs(costs: Mapping[Any, float]) -> dict[Any, float]:
    """Estimate the cost of each stage in a round after the first from that of the first."""
    times = {"prepare": 0.0, "train": _TRAINED, "clair": _JUDGED}
    return {stage: cost * times.get(stage, 1.0) for stage, cost in costs.items()}


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
    further : mapping of Stage to float, optional
        Cost of the stages in each round after the first.
    rounds : int
        Rounds of the federation.

    Attributes
    ----------
    seconds : dict of str to float
        Wall time of the stages so far, over all rounds.
    """

    def __init__(
        self,
        costs: Mapping[Stage, float],
        progress: Callable[[TrainingProgress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        *,
        further: Mapping[Stage, float] | None = None,
        rounds: int = 1,
    ) -> None:
        later = dict(costs if further is None else further)
        self._costs = [dict(costs), *(later for _ in range(rounds - 1))]
        self._total = sum(sum(one.values()) for one in self._costs)
        self._progress = progress
        self._cancelled = cancelled
        self._started: dict[Stage, float] = {}
        self._earlier: dict[str, float] = {}
        self._fraction = 0.0
        self._rate_from: tuple[float, float] | None = None
        self._round = 0
        self._part = (0, 1)
        self.seconds: dict[str, float] = {}

    def check(self) -> None:
        """Raise `Cancelled` if the job's owner wants it to stop."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("the job was cancelled")

    def next_round(self) -> None:
        """Begin the stages anew, for the next round."""
        self._round += 1
        self._earlier, self._started = dict(self.seconds), {}

    @contextmanager
    def part(self, index: int, total: int) -> Iterator[None]:
        """Count the steps inside as one of several equal parts of their stage."""
        self._part = index, total
        try:
            yield
        finally:
            self._part = (0, 1)

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
        index, parts = self._part
        step, total_steps = index * total_steps + step, parts * total_steps
        started = self._started.setdefault(stage, now)
        self.seconds[stage] = self._earlier.get(stage, 0.0) + now - started
        costs = self._costs[self._round]
        stages = list(costs)
        before = sum(sum(one.values()) for one in self._costs[: self._round])
        before += sum(costs[s] for s in stages[: stages.index(stage)])
        done = before + costs[stage] * step / max(total_steps, 1)
        self._fraction = max(self._fraction, min(done / self._total, 1.0))
        if self._progress is not None:
            left = self._seconds_left(stage, now)
            self._progress(
                TrainingProgress(
                    stage,
                    step,
                    total_steps,
                    self._fraction,
                    left,
                    losses if index == 0 else None,
                    self._round + 1,
                    len(self._costs),
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
