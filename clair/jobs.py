"""Long computations in the background: a bounded worker pool with a fair, visible queue.

A job is any function ``work(report, cancelled)`` that calls ``report(progress)`` as it advances,
looks at ``cancelled()`` between steps and raises `clair.cancellation.Cancelled` when that is True.
The pool knows nothing of what is computed or of the screen that shows it. A job is found again by
its id, which nobody can guess, so whoever knows the id may watch and stop the job. A job lives on
as long as somebody looks at it now and then. Otherwise, after a while, a waiting job loses its
place and a running job is stopped, so that visitors who left do not keep the others waiting.

The queue takes turns over visitors, not over jobs: a visitor's second job waits until everybody
else who is waiting has had a first one.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from clair.cancellation import Cancelled
from clair.job_types import (
    LEFT_RUNNING,
    LEFT_WAITING,
    Job,
    JobState,
    JobView,
    Limits,
    QueueFull,
    Report,
    UnknownJob,
    Work,
)

__all__ = [
    "JobPool",
    "JobState",
    "JobView",
    "Limits",
    "QueueFull",
    "Report",
    "UnknownJob",
    "Work",
]

logger = logging.getLogger(__name__)


class JobPool:
    """Runs jobs on a few worker threads and remembers them for a while.

    Parameters
    ----------
    limits : Limits
        Sizes of the pool.
    clock : callable
        Seconds since some moment, monotonic; tests pass their own.

    Examples
    --------
    >>> pool = JobPool()
    >>> job_id = pool.submit("visitor", lambda report, cancelled: 6 * 7, kind="sum")
    >>> pool.wait(job_id, timeout=5).result
    42
    >>> pool.close()
    """

    def __init__(
        self, limits: Limits | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits or Limits()
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._workers: list[threading.Thread] = []
        self._turn = 0
        self._number = 0
        self._closed = False

    # -- asked by visitors ---------------------------------------------------------------------

    def submit(
        self,
        owner: str,
        work: Work,
        *,
        kind: str,
        key: Hashable = None,
        config: Any = None,
        expected_seconds: float | None = None,
        address: str | None = None,
        private: bool = False,
    ) -> str:
        """Queue a job and return its id.

        Parameters
        ----------
        owner : str
            The visitor; turns are taken over owners.
        work : callable
            ``work(report, cancelled) -> result``.
        kind : str
            What sort of job it is, for the screens that look for their own.
        key : hashable, optional
            Equal keys promise equal results. An owner's live job with this key is returned instead
            of a second one, and a job that would have to wait takes the result of an equal job
            instead. A job that can start at once is always computed, because a visitor who presses
            Run on a free machine wants to watch a run.
        config : object, optional
            What the job was asked to do, to be shown.
        expected_seconds : float, optional
            Used for the estimated waiting time of those behind it.
        address : str, optional
            The visitor's network address. Visitors of one address share one limit, larger than a
            visitor's own.
        private : bool
            Keep the result only while somebody looks, and give it to no other job.

        Raises
        ------
        QueueFull
            If the queue, or this owner's or address's share of it, is full.
        """
        with self._changed:
            if self._closed:
                raise QueueFull("The server is shutting down and takes no new runs.")
            self._prune()
            live = [job for job in self._jobs.values() if job.state.live]
            mine = [job for job in live if job.owner == owner]
            if key is not None:
                for job in mine:
                    if (job.kind, job.key) == (kind, key) and not job.stop.is_set():
                        job.looked = self._clock()
                        return job.id
            self.limits.require_room(live, len(mine), address)
            self._number += 1
            job = Job(
                id=secrets.token_urlsafe(9),
                owner=owner,
                kind=kind,
                key=key,
                config=config,
                work=work,
                expected=expected_seconds,
                turn=max([self._turn, *(job.turn + 1 for job in mine)]),
                number=self._number,
                waited=len(live) >= self.limits.workers,
                address=address,
                private=private,
                looked=self._clock(),
            )
            self._jobs[job.id] = job
            if self._reuse(job):
                return job.id
            if len(self._workers) < self.limits.workers:
                thread = threading.Thread(
                    target=self._serve, name=f"clair-job-{len(self._workers)}", daemon=True
                )
                self._workers.append(thread)
                thread.start()
            self._changed.notify_all()
            return job.id

    def get(self, job_id: str) -> JobView:
        """Show the job as it is now; this counts as looking at it.

        Raises
        ------
        UnknownJob
            If there is no such job (any more).
        """
        with self._changed:
            self._find(job_id).looked = self._clock()
            self._prune()
            return self._view(self._find(job_id))

    def cancel(self, job_id: str) -> None:
        """Take a waiting job out of the queue, or ask a running one to stop at its next step.

        A job that has ended already is left as it is.

        Raises
        ------
        UnknownJob
            If there is no such job (any more).
        """
        with self._changed:
            job = self._find(job_id)
            job.stop.set()
            if job.state is JobState.QUEUED:
                self._end(job, JobState.CANCELLED)

    def forget(self, job_id: str) -> None:
        """Drop an ended job and its result; leave an unknown or live job as it is."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is not None and not job.state.live:
                del self._jobs[job_id]

    def tidy(self) -> bool:
        """Drop jobs that nobody has looked at or that are too old; tell whether there was any."""
        with self._changed:
            before = len(self._jobs)
            self._prune()
            return len(self._jobs) < before

    def wait(
        self, job_id: str, *, until: JobState | None = None, timeout: float | None = None
    ) -> JobView:
        """Block until the job has ended, or is in the state ``until``.

        Raises
        ------
        UnknownJob
            If there is no such job (any more).
        TimeoutError
            If the wait took longer than ``timeout`` seconds.
        """
        with self._changed:
            job = self._find(job_id)
            there = self._changed.wait_for(
                lambda: not job.state.live or job.state is until, timeout=timeout
            )
            if not there:
                raise TimeoutError(f"job is still {job.state} after {timeout} s")
            return self._view(job)

    def close(self, timeout: float = 10.0) -> None:
        """Cancel everything, accept nothing more and wait for the workers to leave."""
        with self._changed:
            self._closed = True
            for job in list(self._jobs.values()):
                if job.state.live:
                    job.stop.set()
                if job.state is JobState.QUEUED:
                    self._end(job, JobState.CANCELLED)
            self._changed.notify_all()
        for thread in self._workers:
            thread.join(timeout)

    # -- workers -------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Run one job after the other until the pool closes; the body of a worker thread."""
        while self._serve_next():
            pass

    def _serve_next(self) -> bool:
        """Wait for the next job and run it; False once the pool has closed.

        A function of its own, because an idle worker's local variables would keep the last job's
        work and result alive, and with them whatever was uploaded for it.
        """
        with self._changed:
            self._changed.wait_for(self._something_to_do)
            if self._closed:
                return False
            job = self._queue()[0]
            self._turn = job.turn
            if self._reuse(job):
                return True
            job.started = self._clock()
            job.state = JobState.RUNNING
            work = job.work
            self._changed.notify_all()
        assert work is not None
        state, result, message = self._run(job, work)
        with self._changed:
            job.result = result
            if state is not JobState.CANCELLED:
                job.message = message
            self._end(job, state)
        return True

    def _run(self, job: Job, work: Work) -> tuple[JobState, Any, str]:
        """Run one job outside the lock; whatever it raises becomes a state and a message."""
        try:
            result = work(lambda seen: self._report(job, seen), lambda: self._stopping(job))
            return JobState.DONE, result, ""
        except Cancelled:
            return JobState.CANCELLED, None, ""
        except ValueError as error:
            # our validators name the argument, the rule and the value, so the message is shown
            logger.exception("job %s (%s) was refused", job.id, job.kind)
            return JobState.FAILED, None, f"These settings cannot be run: {error}"
        except MemoryError:
            logger.exception("job %s (%s) ran out of memory", job.id, job.kind)
            return JobState.FAILED, None, "The run needed more memory than this machine has."
        except Exception as error:
            logger.exception("job %s (%s) failed", job.id, job.kind)
            name = type(error).__name__
            return JobState.FAILED, None, f"The run stopped on an error ({name}); the log has it."

    def _report(self, job: Job, progress: Any) -> None:
        """Keep the latest report, and a history of bounded length back to the start."""
        with self._changed:
            job.progress = progress
            if job.reports % job.stride == 0:
                job.history.append(progress)
            job.reports += 1
            if len(job.history) >= self.limits.history:
                job.history = job.history[::2]
                job.stride *= 2
            self._changed.notify_all()

    def _stopping(self, job: Job) -> bool:
        """Tell whether a running job is to stop at its next step."""
        if not job.stop.is_set() and self._left(job):
            with self._changed:
                self._drop(job)
        return job.stop.is_set()

    # -- under the lock ------------------------------------------------------------------------

    def _something_to_do(self) -> bool:
        self._prune()
        return self._closed or bool(self._queue())

    def _find(self, job_id: str) -> Job:
        try:
            return self._jobs[job_id]
        except KeyError:
            raise UnknownJob(job_id) from None

    def _queue(self) -> list[Job]:
        """List the waiting jobs in the order in which they will start."""
        waiting = [job for job in self._jobs.values() if job.state is JobState.QUEUED]
        return sorted(waiting, key=lambda job: (job.turn, job.number))

    def _reuse(self, job: Job) -> bool:
        """End a job that had to wait with the result of an equal one, if there is one."""
        if job.key is None or job.private or not job.waited:
            return False
        for other in self._jobs.values():
            if (other.kind, other.key, other.state) == (job.kind, job.key, JobState.DONE):
                job.result, job.reused = other.result, True
                job.progress, job.history = other.progress, other.history
                self._end(job, JobState.DONE)
                return True
        return False

    def _end(self, job: Job, state: JobState) -> None:
        job.state = state
        job.ended = self._clock()
        job.work = None  # whatever the closure holds may be freed now
        self._changed.notify_all()

    def _prune(self) -> None:
        """Drop jobs nobody looks at, and forget ended ones that are too old or too many."""
        for job in [job for job in self._jobs.values() if self._left(job)]:
            self._drop(job)
        ended = [job for job in self._jobs.values() if not job.state.live]
        ended.sort(key=lambda job: (job.ended or 0.0, job.number))
        oldest = self._clock() - self.limits.seconds
        for i, job in enumerate(ended):
            if len(ended) - i > self.limits.finished or (job.ended or 0.0) < oldest:
                del self._jobs[job.id]

    def _left(self, job: Job) -> bool:
        """Tell whether nobody has looked at a job for so long that it is dropped."""
        unseen = self._clock() - job.looked
        if job.private or job.state is JobState.QUEUED:
            return unseen > self.limits.unseen_waiting
        return job.state is JobState.RUNNING and unseen > self.limits.unseen_running

    def _drop(self, job: Job) -> None:
        if not job.state.live:
            self._jobs.pop(job.id, None)
        elif not job.stop.is_set():
            logger.info("job %s (%s): nobody looked at it", job.id, job.kind)
            job.stop.set()
            job.message = LEFT_RUNNING
            if job.state is JobState.QUEUED:
                job.message = LEFT_WAITING
                self._end(job, JobState.CANCELLED)

    def _view(self, job: Job) -> JobView:
        position, ahead, wait = 0, 0, None
        if job.state is JobState.QUEUED:
            queue = self._queue()
            position = queue.index(job) + 1
            running = [other for other in self._jobs.values() if other.state is JobState.RUNNING]
            before = queue[: position - 1]
            ahead = len(running) + len(before)
            wait = self.limits.wait(running, before)
        return job.view(position, ahead, wait, self._clock())
