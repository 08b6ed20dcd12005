"""Results that all visitors with equal settings share.

They are kept in the process and outside Streamlit's caches, because any browser may ask Streamlit
to empty those. Callers get the kept object itself, so they must never change it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from clair.app.kit.turns import DRAWING

P = ParamSpec("P")
R = TypeVar("R")


class _Entry:
    """A result, or the promise of one."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.made = False
        self.value: Any = None


class Store:
    """The latest results by key; a second caller waits for a result that is being made.

    Parameters
    ----------
    most : int
        How many are kept, at least 1; the one that was asked for longest ago goes first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], R]) -> R:
        """Return the result of a key, made now if it is missing; keep nothing if `make` raises."""
        while True:
            with self._lock:
                entry = self._entries.get(key)
                first = entry is None
                if entry is None:
                    entry = self._entries[key] = _Entry()
                self._entries.move_to_end(key)
                while len(self._entries) > self._most:
                    self._entries.popitem(last=False)
            if first:
                return self._make(key, entry, make)
            if not entry.ready.is_set():
                with DRAWING.away():
                    entry.ready.wait()
            if entry.made:
                value: R = entry.value
                return value

    def _make(self, key: Hashable, entry: _Entry, make: Callable[[], R]) -> R:
        try:
            value = make()
            entry.value, entry.made = value, True
            return value
        finally:
            if not entry.made:
                with self._lock:
                    if self._entries.get(key) is entry:
                        del self._entries[key]
            entry.ready.set()


def shared(most: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a decorator that keeps a function's latest results for all visitors.

    The function's arguments must be hashable.

    Parameters
    ----------
    most : int
        How many results are kept.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        store = Store(most)

        @wraps(function)
        def kept(*args: P.args, **kwargs: P.kwargs) -> R:
            key = (args, tuple(sorted(kwargs.items())))
            return store.get(key, lambda: function(*args, **kwargs))

        return kept

    return decorate


class Same:
    """A key that stands for one object itself, for results that cannot be compared.

    It holds the object, so that no other object can get the same identity meanwhile.
    """

    __slots__ = ("it",)

    def __init__(self, it: Any) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.it is self.it

    def __hash__(self) -> int:
        return id(self.it)
