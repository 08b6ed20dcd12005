"""Where the cells of a sweep are computed: processes of this machine, or a dask cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass

from loky import ProcessPoolExecutor

#: Address of a dask scheduler that takes the place of this machine's processes.
SCHEDULER_VARIABLE = "CLAIR_SCHEDULER"
#: Cells of a task on a cluster, where handing one over takes about 10 ms.
CELLS_OF_A_TASK = 4
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PATIENCE = 10  # seconds for a scheduler to answer


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
        Cells of one task.
    """

    executor: Executor
    tasks: int
    cells: int = 1


@contextmanager
def open_workers(count: int | None = None, scheduler: str | None = None) -> Iterator[Workers]:
    """Start processes on this machine, or connect to a cluster; end them with the block.

    Parameters
    ----------
    count : int, optional
        Processes on this machine, by default one for each core this process may use.
    scheduler : str, optional
        Address of a dask scheduler, such as "tcp://10.0.0.5:8786"; by default what the variable
        ``CLAIR_SCHEDULER`` says, and without it this machine.

    Raises
    ------
    WorkerFailed
        If no scheduler answers, or it has no workers.
    """
    address = scheduler or os.environ.get(SCHEDULER_VARIABLE)
    if address:
        with _cluster(address) as workers:
            yield workers
        return
    count = count or _cores()
    # Unlike the standard library's, loky's processes do not run the main script again, which is
    # the app's server where a page starts a sweep.
    pool = ProcessPoolExecutor(count, env=dict.fromkeys(_THREADS, "1"))
    try:
        yield Workers(pool, count)
    finally:
        pool.shutdown(wait=True, kill_workers=True)


@contextmanager
def _cluster(address: str) -> Iterator[Workers]:
    try:
        from distributed import Client
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
        yield Workers(client.get_executor(pure=False), 2 * threads, CELLS_OF_A_TASK)


def _cores() -> int:
    """Count the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
