"""Where long computations go: processes of this machine, a dask cluster, or any other executor."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from concurrent.futures import TimeoutError as StillWorking
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from loky import ProcessPoolExecutor, cpu_count  # the latter knows the limits of a container

from clair._threads import single_blas_thread
from clair._validation import check_integer
from clair.cancellation import checkpoint

#: Address of a dask scheduler that takes the place of this machine's processes.
SCHEDULER_VARIABLE = "CLAIR_SCHEDULER"
#: Small tasks to hand over as one on a cluster, where a task costs about 10 ms.
TASKS_AT_ONCE = 4
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PATIENCE = 10  # seconds for a scheduler to answer
_POLL = 0.1

T = TypeVar("T")


class WorkerFailed(RuntimeError):  # noqa: N818
    """Workers broke down, or cannot be reached; the message says which."""


@dataclass(frozen=True)
class Workers:
    """An executor and how it is best fed.

    Attributes
    ----------
    executor : concurrent.futures.Executor
    tasks : int
        Tasks to keep under way.
    cells : int
        Small tasks, such as cells of a sweep, to hand over as one.
    files : bool
        Whether tasks can read the files of this machine.
    failures : tuple of exception types
        How the executor says that its workers broke down.
    """

    executor: Executor
    tasks: int
    cells: int = 1
    files: bool = True
    failures: tuple[type[BaseException], ...] = (BrokenExecutor, CancelledError)

    def submit(self, function: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Hand over a task. It has BLAS on one thread, so that all executors compute the same."""
        return self.executor.submit(_on_one_thread, function, *arguments)

    def result(self, task: Future[T]) -> T:
        """Wait for a task, and ask meanwhile whether to stop.

        Raises
        ------
        WorkerFailed
            If its worker broke down.
        clair.cancellation.Cancelled
            If a surrounding `cancellable` block is to stop.
        """
        while True:
            checkpoint()
            try:
                return task.result(timeout=_POLL)
            except StillWorking:
                if task.done():
                    return task.result()
            except self.failures as error:
                raise WorkerFailed("a worker process broke down") from error


def _on_one_thread(function: Callable[..., T], *arguments: Any) -> T:
    with single_blas_thread():
        return function(*arguments)


class Here(Executor):
    """Computes at once, in the thread that asks."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Compute now; return a future that is done."""
        task: Future[T] = Future()
        try:
            task.set_result(fn(*args, **kwargs))
        except Exception as error:
            task.set_exception(error)
        return task


@contextmanager
def open_workers(
    workers: int | Workers | None = None, scheduler: str | None = None, *, besides: int = 0
) -> Iterator[Workers]:
    """Start processes on this machine, or connect to a cluster; end them with the block.

    Parameters
    ----------
    workers : int or Workers, optional
        Processes on this machine, by default one for each core this process may use; 1 computes
        in the process that asks. Or an executor of the caller's, which stays open.
    scheduler : str, optional
        Address of a dask scheduler, such as "tcp://10.0.0.5:8786"; by default what the variable
        ``CLAIR_SCHEDULER`` says, and without it this machine.
    besides : int
        How many of the processes are there already, because the caller's computes too.

    Raises
    ------
    ValueError
        If `workers` is below 1.
    WorkerFailed
        If no scheduler answers, or it has no workers.
    """
    address = scheduler or os.environ.get(SCHEDULER_VARIABLE)
    if isinstance(workers, Workers):
        yield workers
        return
    if workers is not None:
        check_integer("workers", workers, minimum=1)
    if address:
        with _cluster(address) as found:
            yield found
    elif workers == 1:
        yield Workers(Here(), 1)
    else:
        with _processes(max(1, (workers or cpu_count()) - besides)) as found:
            yield found


@contextmanager
def _processes(count: int) -> Iterator[Workers]:
    # Unlike the standard library's, loky's processes do not run the main script again, which is
    # the app's server where a page starts a sweep.
    pool = ProcessPoolExecutor(count, env=dict.fromkeys(_THREADS, "1"), initializer=_uninterrupted)
    try:
        yield Workers(pool, count)
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _uninterrupted() -> None:
    """Leave an interrupt from the terminal to the process that asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _cluster(address: str) -> Iterator[Workers]:
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise WorkerFailed('a scheduler needs dask: pip install "clair-explorer[dask]"') from None
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise WorkerFailed(f"no scheduler answers at {address}") from error
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise WorkerFailed(f"the scheduler at {address} has no workers")
        # Not pure: equal calls are computed anew, as nothing is kept on the cluster.
        yield Workers(
            client.get_executor(pure=False),
            tasks=2 * threads,
            cells=TASKS_AT_ONCE,
            files=False,
            failures=(BrokenExecutor, CancelledError, KilledWorker),
        )
