"""Classes: a lecturer asks, an audience predicts on phones, and all see how it went.

Everything is in memory, bounded and forgotten after a while. A class knows its phones by marks from
which nobody can tell the visitor, and its lecturer by a key that no link of the audience holds. One
lock guards all; nothing is computed or drawn while it is held.
"""

from __future__ import annotations

import hmac
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from clair.lessons.course import courses
from clair.lessons.progress import Spot
from clair.lessons.typed import CODE_LENGTH, LETTERS, clean_code, clean_name

#: What is on stage: how to join, a question, its answer, or the audience's attacks.
Phase = Literal["join", "ask", "told", "attacks"]
#: A phone that has not asked for this many seconds is not counted as here. A browser asks for a
#: page in the background about once a minute.
ABSENT = 90.0
#: A class may be dropped for another one once its lecturer has not looked for this many seconds.
LEFT = 600.0


class ClassError(ValueError):
    """A class cannot do what was asked; the message says why, in words for a visitor."""


@dataclass(frozen=True)
class Limits:
    """How much is kept.

    Attributes
    ----------
    classes, seats : int
        Classes at once, and phones in each.
    idle, age : float
        Seconds until a class ends: after its lecturer last looked, and after it was opened.
    """

    classes: int = 20
    seats: int = 200
    idle: float = 2 * 3600
    age: float = 12 * 3600


@dataclass(frozen=True)
class Held:
    """A class in the hands of its lecturer: the code all may know, and the key nobody else has."""

    code: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Screen:
    """What a class shows now.

    Attributes
    ----------
    phase : {"join", "ask", "told", "attacks"}
    spot : tuple of str and int
        Course and step, from 1.
    value : float or None
        The computed answer, once it is told.
    here, answered : int
        Phones that are here, and those that have answered this question.
    """

    phase: Phase
    spot: Spot
    value: float | None
    here: int
    answered: int


@dataclass(frozen=True)
class Seat:
    """What a phone sees of itself: its number, its name, its prediction and its best attack."""

    number: int
    name: str
    guess: float | None
    harm: float


@dataclass(frozen=True)
class Attempt:
    """The best undetected attack of one phone.

    Attributes
    ----------
    who : str
        The phone by name and number, or by number.
    harm : float
        As a share of the honest clients' error.
    held : str
        How many of the clients were the attacker's.
    """

    who: str
    harm: float
    held: str


@dataclass
class _Seat:
    number: int
    seen: float
    name: str = ""
    guesses: dict[Spot, float] = field(default_factory=dict)
    harm: float = 0.0
    held: str = ""  # empty before the first attack

    @property
    def label(self) -> str:
        """A name is never alone: two phones may choose the same one."""
        return f"{self.name} ({self.number})" if self.name else f"Number {self.number}"


@dataclass
class _Class:
    held: Held
    owner: str
    opened: float
    seen: float
    spot: Spot
    phase: Phase = "join"
    value: float | None = None
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    seats: dict[str, _Seat] = field(default_factory=dict)


class Classes:
    """All classes of a server.

    Parameters
    ----------
    limits : Limits
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._clock = limits or Limits(), clock
        self._lock = threading.Lock()
        self._classes: dict[str, _Class] = {}
        self._salt = secrets.token_bytes(32)

    # -- the lecturer --------------------------------------------------------------------------

    def open(self, lecturer: str, spot: Spot) -> Held:
        """Open a class at a step; an earlier class of this lecturer ends.

        Parameters
        ----------
        lecturer : str
            Name of the browser; only a mark of it is kept.
        spot : tuple of str and int

        Raises
        ------
        ClassError
            If the server has no place left.
        """
        owner = _mark(self._salt, lecturer)
        with self._lock:
            now = self._tidy()
            for old in [one for one in self._classes.values() if one.owner == owner]:
                del self._classes[old.held.code]
            if len(self._classes) >= self._limits.classes:
                oldest = min(self._classes.values(), key=lambda one: one.seen)
                if now - oldest.seen < LEFT:
                    raise ClassError(
                        f"This server has {self._limits.classes} classes open, its limit. Try "
                        "again when one of them has ended."
                    )
                del self._classes[oldest.held.code]
            code = _free_code(self._classes)
            held = Held(code, secrets.token_urlsafe(32))
            self._classes[code] = _Class(held, owner, now, now, _known(spot))
            return held

    def held(self, lecturer: str) -> Held | None:
        """Find the class of a lecturer whose page was loaded again; None without one."""
        owner = _mark(self._salt, lecturer)
        with self._lock:
            self._tidy()
            mine = (one.held for one in self._classes.values() if one.owner == owner)
            return next(mine, None)

    def show(self, held: Held, phase: Phase, spot: Spot, value: float | None = None) -> None:
        """Move everybody to a step.

        Parameters
        ----------
        held : Held
        phase : {"join", "ask", "told", "attacks"}
        spot : tuple of str and int
        value : float, optional
            The computed answer; needed, and kept, where it is told.

        Raises
        ------
        ClassError
            If there is no such class, the key is another one, or the answer is missing.
        """
        if phase == "told" and (value is None or not math.isfinite(value)):
            raise ClassError(f"value must be a finite number where the answer is told: {value}")
        with self._lock:
            one = self._own(held)
            one.phase, one.spot = phase, _known(spot)
            one.value = value if phase == "told" else None

    def close(self, held: Held) -> None:
        """End a class and forget everything about it."""
        with self._lock:
            del self._classes[self._own(held).held.code]

    def screen(self, held: Held) -> Screen:
        """Return what the class shows; the lecturer counts as present."""
        with self._lock:
            return self._screen(self._own(held))

    def predictions(self, held: Held) -> Counter[float]:
        """Count the predictions at the current step, by their value."""
        with self._lock:
            one = self._own(held)
            return Counter(s.guesses[one.spot] for s in one.seats.values() if one.spot in s.guesses)

    def attempts(self, held: Held, most: int) -> list[Attempt]:
        """List the audience's best attacks, the most harmful first; at most `most`."""
        with self._lock:
            tried = [seat for seat in self._own(held).seats.values() if seat.held]
            tried.sort(key=lambda seat: (-seat.harm, seat.number))
            return [Attempt(seat.label, seat.harm, seat.held) for seat in tried[:most]]

    # -- the audience --------------------------------------------------------------------------

    def look(self, code: str, visitor: str) -> tuple[Screen, Seat]:
        """Return what the class shows, and the visitor's seat, taken now if there was none.

        Parameters
        ----------
        code : str
            As typed: small letters, spaces and hyphens count as the code without them.
        visitor : str
            Name of the browser; only a mark of it is kept.

        Raises
        ------
        ClassError
            If there is no such class, or it is full.
        """
        with self._lock:
            one, seat = self._seat(code, visitor)
            mine = Seat(seat.number, seat.name, seat.guesses.get(one.spot), seat.harm)
            return self._screen(one), mine

    def answer(self, code: str, visitor: str, spot: Spot, guess: float) -> bool:
        """Take a prediction; the last one before the answer is told counts, once a phone.

        Returns
        -------
        taken : bool
            False if `spot` is not asked (any more), or it allows no such prediction.

        Raises
        ------
        ClassError
            If there is no such class, or it is full.
        """
        with self._lock:
            one, seat = self._seat(code, visitor)
            if one.phase != "ask" or spot != one.spot:
                return False
            key, number = spot
            if not math.isfinite(guess) or not courses()[key].steps[number - 1].allows(guess):
                return False
            seat.guesses[spot] = float(guess)
            return True

    def rename(self, code: str, visitor: str, name: str) -> None:
        """Give a phone a name for the list of attacks; an empty one takes it away."""
        with self._lock:
            self._seat(code, visitor)[1].name = clean_name(name)

    def attempt(self, code: str, visitor: str, harm: float, held: str) -> None:
        """Take the harm of an undetected attack, and who held what; the largest harm counts."""
        with self._lock:
            seat = self._seat(code, visitor)[1]
            if math.isfinite(harm) and (harm > seat.harm or not seat.held):
                seat.harm, seat.held = max(float(harm), 0.0), held[:20]

    # -- all with the lock held ----------------------------------------------------------------

    def tidy(self) -> None:
        """Forget the classes whose time is over."""
        with self._lock:
            self._tidy()

    def _tidy(self) -> float:
        now, most = self._clock(), self._limits
        for one in list(self._classes.values()):
            if now - one.seen > most.idle or now - one.opened > most.age:
                del self._classes[one.held.code]
        return now

    def _find(self, code: str) -> _Class:
        self._tidy()
        one = self._classes.get(clean_code(code))
        if one is None:
            raise ClassError("There is no class with this code now.")
        return one

    def _own(self, held: Held) -> _Class:
        one = self._find(held.code)
        if not hmac.compare_digest(one.held.key.encode(), held.key.encode()):
            raise ClassError("This class belongs to another lecturer.")
        one.seen = self._clock()
        return one

    def _seat(self, code: str, visitor: str) -> tuple[_Class, _Seat]:
        one = self._find(code)
        mark, now = _mark(one.salt, visitor), self._clock()
        if mark not in one.seats:
            if len(one.seats) >= self._limits.seats:
                raise ClassError(f"This class is full: it has {self._limits.seats} phones.")
            one.seats[mark] = _Seat(len(one.seats) + 1, now)
        seat = one.seats[mark]
        seat.seen = now
        return one, seat

    def _screen(self, one: _Class) -> Screen:
        now = self._clock()
        answered = [one.spot in seat.guesses for seat in one.seats.values()]
        here = sum(
            done or now - seat.seen <= ABSENT
            for done, seat in zip(answered, one.seats.values(), strict=True)
        )
        return Screen(one.phase, one.spot, one.value, here, sum(answered))


def _mark(salt: bytes, name: str) -> str:
    return hmac.digest(salt, name.encode(), "sha256").hex()


def _free_code(taken: dict[str, _Class]) -> str:
    while True:
        code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
        if code not in taken:
            return code


def _known(spot: Spot) -> Spot:
    key, number = spot
    if key not in courses() or not 1 <= number <= len(courses()[key].steps):
        raise ClassError(f"spot must be a course and one of its steps, got {spot!r}")
    return key, number
