"""Stopping long computations: who runs one says when to stop, its innermost loops ask.

Whoever starts a computation wraps it in `cancellable`; loops deep inside call `checkpoint`, which
costs next to nothing where nobody wants to stop anything. The callable that answers is kept for the
current thread only, so computations side by side do not stop each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_asked: ContextVar[tuple[Callable[[], bool], ...]] = ContextVar("clair_cancelled", default=())


class Cancelled(Exception):  # noqa: N818 - an outcome the caller asked for, not an error
    """A computation stopped because its ``cancelled`` callback answered True."""


@contextmanager
def cancellable(cancelled: Callable[[], bool] | None) -> Iterator[None]:
    """Within the block, let `checkpoint` ask `cancelled`, besides what surrounds the block.

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


def checkpoint() -> None:
    """Raise `Cancelled` if a surrounding `cancellable` block is to stop."""
    for cancelled in _asked.get():
        if cancelled():
            raise Cancelled("the computation was cancelled")
