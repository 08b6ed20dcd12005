"""What a job pool keeps and says of its jobs: states, views, limits, refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Report = Callable[[Any], None]
Work = Callable[[Report, Callable[[], bool]], Any]

LEFT_WAITING = (
    "Nobody looked at this run for more than a minute, so it gave up its place in the queue. "
    "Run puts it at the end again."
)
LEFT_RUNNING = "Nobody looked at this run for some minutes, so it was stopped. Run starts it again."


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


@dataclass
class Job:
    """A job as the pool keeps it; read and changed only under the pool's lock."""

    id: str
    owner: str
    kind: str
    key: Hashable
    config: Any
    work: Work | None
    expected: float | None
    turn: int
    number: int
    waited: bool
    address: str | None
    private: bool
    looked: float
    state: JobState = JobState.QUEUED
    progress: Any = None
    history: list[Any] = field(default_factory=list)
    stride: int = 1
    reports: int = 0
    result: Any = None
    message: str = ""
    reused: bool = False
    started: float | None = None
    ended: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def view(self, position: int, ahead: int, wait: float | None, now: float) -> JobView:
        """Show the job at the moment `now` of the pool's clock; see `JobView` for its place."""
        end = self.ended if self.ended is not None else now
        history = tuple(self.history)
        if self.progress is not None and (not history or history[-1] is not self.progress):
            history = (*history, self.progress)
        return JobView(
            id=self.id,
            owner=self.owner,
            kind=self.kind,
            key=self.key,
            config=self.config,
            state=self.state,
            position=position,
            ahead=ahead,
            wait=wait,
            progress=self.progress,
            history=history,
            result=self.result,
            message=self.message,
            reused=self.reused,
            stopping=self.state.live and self.stop.is_set(),
            private=self.private,
            seconds=0.0 if self.started is None else max(0.0, end - self.started),
        )


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

    def require_room(self, live: list[Job], mine: int, address: str | None) -> None:
        """Refuse a job for which the queue, or its owner's or address's share, has no room.

        Parameters
        ----------
        live : list of Job
            All that wait or work.
        mine : int
            How many of them are the new job's owner's.
        address : str or None
            The new job's.

        Raises
        ------
        QueueFull
        """
        if mine >= self.per_owner:
            raise QueueFull(
                f"You already have {mine} runs waiting or working here, which is the most one "
                "visitor may have, over all tabs of a browser. Cancel one of them, or wait until "
                "it ends."
            )
        there = sum(job.address == address for job in live) if address is not None else 0
        if there >= self.per_address:
            raise QueueFull(
                f"{there} runs from your network are waiting or working here already, which is "
                "the most that one network may have. Try again when some of them have ended."
            )
        waiting = sum(job.state is JobState.QUEUED for job in live)
        if waiting >= self.queued:
            raise QueueFull(
                f"This machine is busy: {waiting} runs are waiting already, which is the most "
                "it accepts. Try again in a minute."
            )

    def wait(self, running: list[Job], before: list[Job]) -> float | None:
        """Estimate the seconds until a worker is free for the job behind these; None if unknown."""
        lefts: list[float] = []
        for job in running:
            left = getattr(job.progress, "seconds_left", None)
            if left is None:
                left = job.expected
            if left is None:
                return None
            lefts.append(float(left))
        waits = [job.expected for job in before]
        if any(seconds is None for seconds in waits):
            return None
        return (sum(lefts) + sum(s for s in waits if s is not None)) / self.workers


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
