"""Stopping long computations: the caller says when to stop, and innermost loops ask.

The caller wraps a computation in `cancellable`. Loops deep inside call `checkpoint`, which costs
next to nothing outside such a block. The callable that answers is kept for the current thread
only, so parallel computations do not stop each other.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_asked: ContextVar[tuple[Callable[[], bool], ...]] = ContextVar("clair_cancelled", default=())


class Cancelled(Exception):  # noqa: N818 - an outcome the caller asked for, not an error
    """A computation stopped because its ``cancelled`` callback answered True."""


@contextmanager
def cancellable(cancelled: Callable[[], bool] | None) -> Iterator[None]:
    """Let `checkpoint` ask `cancelled` too within the block, besides what outer blocks ask.

    Parameters
    ----------
    cancelled : callable or None
        Answers whether to stop; None changes nothing.
    """
    if cancelled is None:
        yield
        return
    token = _asked.set((*_asked.get(), cancelled))
    try:
        yield
    finally:
        _asked.reset(token)


@contextmanager
def interruptible() -> Iterator[None]:
    """Make sure that no Ctrl-C gets lost within the block.

    Python raises ``KeyboardInterrupt`` wherever it happens to be. Inside a callback of the
    interpreter (of a weak reference, which every import uses, or of a destructor) the exception is
    printed and forgotten. The interrupt is therefore also recorded, and raised again at the next
    `checkpoint`.

    Nothing changes outside the main thread, or if the signal is ignored (as shells do for
    background jobs) or handled otherwise.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    interrupted = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    def asked() -> bool:
        if interrupted:
            raise KeyboardInterrupt
        return False

    signal.signal(signal.SIGINT, interrupt)
    try:
        with cancellable(asked):
            yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def checkpoint() -> None:
    """Raise `Cancelled` if a surrounding `cancellable` block is to stop."""
    for cancelled in _asked.get():
        if cancelled():
            raise Cancelled("the computation was cancelled")
