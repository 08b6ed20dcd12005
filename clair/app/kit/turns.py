"""Pages take turns at being drawn.

Python runs one thread at a time, so pages drawn at once only hold each other up: with forty in
progress all forty come late, and each has to fight for the interpreter at every message it sends.
Drawn one after the other, in the order in which they were asked for, the first ones come at once
and the last ones no later.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Pages drawn at once: a second one goes on while the first waits for arithmetic or a disk.
PLACES = 2
#: Seconds between two looks at whether a waiting page is still wanted.
_LOOK = 0.1


class Turnstile:
    """Hands out places in the order in which they were asked for.

    Parameters
    ----------
    places : int
        How many there are.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._mine = threading.local()

    @property
    def free(self) -> int:
        """How many places nobody holds."""
        return self._free

    @contextmanager
    def turn(self, look: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Hold a place; inside another turn of the same thread, do nothing.

        Parameters
        ----------
        look : callable
            Called now and then while waiting; an exception from it ends the wait.
        """
        if getattr(self._mine, "held", False):
            yield
            return
        self._enter(look)
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Give the place up for a while, to wait for something that others do."""
        if not getattr(self._mine, "held", False):
            yield
            return
        self._leave()
        try:
            yield
        finally:
            self._enter(lambda: None)

    def _enter(self, look: Callable[[], object]) -> None:
        turn = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                turn.set()
            else:
                self._waiting.append(turn)
        try:
            while not turn.wait(_LOOK):
                look()
        except BaseException:
            with self._lock:
                given = turn.is_set()
                if not given:
                    self._waiting.remove(turn)
            if given:
                self._pass_on()
            raise
        self._mine.held = True

    def _leave(self) -> None:
        self._mine.held = False
        self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


DRAWING = Turnstile(PLACES)
