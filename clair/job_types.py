"""What a job pool says about its jobs: states, views, limits, refusals."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Report = Callable[[Any], None]
Work = Callable[[Report, Callable[[], bool]], Any]


class JobState(StrEnum):
    """State of a job, from waiting to its end."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def live(self) -> bool:
        """Whether the job still waits or works."""
        return self in (JobState.QUEUED, JobState.RUNNING)


class QueueFull(Exception):  # noqa: N818
    """No room for another job; the message says which limit was met and is fit to be shown."""


class UnknownJob(KeyError):  # noqa: N818
    """No job with this id: it never existed, was pruned, or the server was restarted."""


@dataclass(frozen=True)
class Limits:
    """How much the pool accepts and how long it remembers.

    Attributes
    ----------
    workers : int
        Jobs that run at once, at least 1. Two trainings on two cores are slower than one after
        the other, hence 1.
    queued : int
        Jobs waiting, over all visitors.
    per_owner : int
        Live jobs (waiting and running) of one visitor.
    per_address : int
        Live jobs of one network address: many times what one visitor may have, for a lecture hall
        behind one router, and less than `queued`, so that no address fills the queue.
    finished : int
        Finished jobs remembered.
    seconds : float
        Age at which a finished job is forgotten.
    unseen_waiting : float
        Seconds after which a waiting job that nobody looked at loses its place. More than a minute:
        browsers let a tab in the background look once a minute. A private job is dropped after the
        same time in whatever state it is.
    unseen_running : float
        Seconds after which a running job that nobody looked at is stopped.
    history : int
        Progress records kept of one job; beyond it every second one is dropped.
    """

    workers: int = 1
    queued: int = 96
    per_owner: int = 3
    per_address: int = 64
    finished: int = 64
    seconds: float = 6 * 3600.0
    unseen_waiting: float = 90.0
    unseen_running: float = 300.0
    history: int = 512

    def __post_init__(self) -> None:
        least = {"workers": 1, "queued": 1, "per_owner": 1, "per_address": 1, "history": 4}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, got {getattr(self, name)}")


@dataclass(frozen=True)
class JobView:
    """A job as seen at one moment.

    Attributes
    ----------
    position : int
        Place in the queue, 1 for the next to start; 0 when not waiting.
    ahead : int
        Jobs that end before this one starts (running and waiting); 0 when not waiting.
    wait : float or None
        Estimated seconds until a waiting job starts, where the jobs ahead said how long they take.
    progress : object or None
        The latest report of the work.
    history : tuple
        The reports so far, thinned to a bounded number; the first and the latest are among them.
    message : str
        For a failed job, what went wrong, and for one that was dropped because nobody looked at
        it, that; in words fit to be shown. Empty otherwise.
    reused : bool
        Whether the result was taken from an equal job instead of being computed again.
    stopping : bool
        Whether somebody asked a live job to stop.
    private : bool
        Whether its result is for the screen that started it only.
    seconds : float
        Time worked so far, or in all.
    """

    id: str
    owner: str
    kind: str
    key: Hashable
    config: Any
    state: JobState
    position: int = 0
    ahead: int = 0
    wait: float | None = None
    progress: Any = None
    history: tuple[Any, ...] = ()
    result: Any = None
    message: str = ""
    reused: bool = False
    stopping: bool = False
    private: bool = False
    seconds: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """The work's own estimate of the time it still needs, if its reports carry one."""
        return getattr(self.progress, "seconds_left", None)

    @property
    def fraction(self) -> float:
        """Share of the work that is done, in [0, 1], if its reports carry one."""
        return min(max(float(getattr(self.progress, "fraction", 0.0) or 0.0), 0.0), 1.0)
