"""A second process for large audits: half of the reading, and the side that does not decide.

It is this interpreter started anew, so it needs nothing of the caller's ``__main__``, and talks by
pickles of our own through its pipes. It does the same steps on the same numbers as one process
would, so the results are the same.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWorking
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clair._threads import single_blas_thread
from clair.cancellation import checkpoint

#: Audits that take less than this, in seconds on one core, are not worth starting a process for.
WORTHWHILE = 10.0
_POLL = 0.1
_RUN = "from clair.adapters.helper import serve; serve()"


class Helper:
    """A process that answers one question after the other; use as `helping` gives it."""

    def __init__(self) -> None:
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-c", _RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # an interrupt from the terminal is this process's business
        )
        self._thread = ThreadPoolExecutor(1)

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a function of a module called there; see `answer`."""
        return self._thread.submit(self._asked, (function, arguments))

    def _asked(self, question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(question, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()
        problem, value = pickle.load(self._process.stdout)
        if problem:
            raise RuntimeError(f"the second process failed:\n{problem}")
        return value

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._thread.shutdown(wait=True, cancel_futures=True)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue


def answer(asked: Future[Any]) -> Any:
    """Wait for what `Helper.ask` promised.

    Raises
    ------
    clair.cancellation.Cancelled
        If the caller's work is cancelled meanwhile.
    """
    while True:
        checkpoint()
        try:
            return asked.result(timeout=_POLL)
        except StillWorking:
            continue


@contextmanager
def helping(seconds: float, processes: int) -> Iterator[Helper | None]:
    """Start a helper for work of some length, if it may and is worthwhile; None otherwise."""
    if processes < 2 or seconds < WORTHWHILE:
        yield None
        return
    helper = Helper()
    try:
        yield helper
    finally:
        helper.close()


def serve() -> None:
    """Answer questions from standard input until it ends."""
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    while True:
        try:
            function, arguments = pickle.load(questions)
        except EOFError:
            return
        try:
            with single_blas_thread():
                told = "", function(*arguments)
        except Exception:
            told = traceback.format_exc(), None
        pickle.dump(told, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()
