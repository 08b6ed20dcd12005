r"""Regular expressions from untrusted files, matched in linear time and never by `re`.

An expression of a hundred characters can keep a backtracking matcher busy for years. This module
matches a part of the language, by sets of states: the work is at most the length of the name times
that of the expression.

It understands characters, ``.``, classes such as ``[0-9]``, ``\d`` and ``\w``, groups,
alternatives, ``?``, ``*``, ``+``, small counts such as ``{2}``, ``^`` and ``$``. It does not
understand look-arounds, back-references, flags and the like; a key with them is not evaluated.

References
----------
Thompson, Programming techniques: Regular expression search algorithm, CACM 1968.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

MAX_LENGTH = 256
MAX_STATES = 512
MAX_DEPTH = 20
MAX_COUNT = 32
_CACHED_STATES = 20_000
_TOO_LONG = "is too long when its counts are written out"

#: Characters that a plain name does not contain.
SPECIAL = frozenset("\\.[]{}()*+?^$|")
_CLASSES: Mapping[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "w": lambda c: c.isalnum() or c == "_",
    "s": str.isspace,
}


class NotUnderstood(Exception):  # noqa: N818 - not evaluated, which is no fault of the caller
    """The expression is outside the language, or broken; the message says where."""


# A tree of the expression: ("set", test), ("begin",), ("end",), ("seq", parts), ("or", parts),
# ("repeat", part, low, high) with high None for no bound.
_Node: TypeAlias = tuple


class _Parser:
    """Recursive descent over one expression."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    def parse(self) -> _Node:
        if len(self._text) > MAX_LENGTH:
            raise NotUnderstood(f"is longer than {MAX_LENGTH} characters")
        node = self._alternatives()
        if self._at < len(self._text):
            raise NotUnderstood("has a parenthesis too many")
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self, what: str) -> str:
        char = self._peek()
        if not char:
            raise NotUnderstood(f"ends inside {what}")
        self._at += 1
        return char

    def _alternatives(self) -> _Node:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else ("or", parts)

    def _sequence(self) -> _Node:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return ("seq", parts)

    def _repeated(self, node: _Node) -> _Node:
        bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        char = self._peek()
        if char in bounds and char:
            self._at += 1
            low, high = bounds[char]
        elif char == "{":
            low, high = self._count()
        else:
            return node
        if node[0] in ("begin", "end"):
            raise NotUnderstood("repeats an anchor")
        if self._peek() == "?":  # the lazy form finds the same matches in another order
            self._at += 1
        if self._peek() in ("*", "+", "?", "{") and self._peek():
            raise NotUnderstood("repeats a repetition")
        return ("repeat", node, low, high)

    def _count(self) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        inside = self._text[self._at + 1 : end] if end >= 0 else ""
        low, comma, high = inside.partition(",")
        numbers = (low, high) if comma else (low, low)
        if not low or not all((n.isascii() and n.isdecimal()) or not n for n in numbers):
            raise NotUnderstood("has braces that are no count")
        self._at = end + 1
        first, last = int(low[:4]), int(numbers[1][:4]) if numbers[1] else None
        if max(first, last or 0) > MAX_COUNT or (last is not None and last < first):
            raise NotUnderstood(f"repeats more than {MAX_COUNT} times")
        return first, last

    def _atom(self) -> _Node:
        char = self._next("the expression")
        if char == "(":
            return self._group()
        if char == "[":
            return ("set", self._class())
        if char == "\\":
            return ("set", self._escape())
        if char == ".":
            return ("set", lambda c: c != "\n")
        if char == "^":
            return ("begin",)
        if char == "$":
            return ("end",)
        if char in "*+?{":
            raise NotUnderstood("repeats nothing")
        return ("set", char.__eq__)

    def _group(self) -> _Node:
        if self._peek() == "?":
            if self._text[self._at : self._at + 2] != "?:":
                raise NotUnderstood("holds a look-around, a named group or a flag")
            self._at += 2
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotUnderstood("nests too many groups")
        node = self._alternatives()
        self._depth -= 1
        if self._next("a group") != ")":
            raise NotUnderstood("ends inside a group")
        return node

    def _escape(self) -> Callable[[str], bool]:
        char = self._next("an escape")
        if char in _CLASSES:
            return _CLASSES[char]
        if char.lower() in _CLASSES:
            inverse = _CLASSES[char.lower()]
            return lambda c: not inverse(c)
        if char.isascii() and char.isalnum():
            raise NotUnderstood(f"holds the escape \\{char}")
        return char.__eq__

    def _class(self) -> Callable[[str], bool]:
        negated = self._peek() == "^"
        self._at += negated
        tests: list[Callable[[str], bool]] = []
        first = True
        while (char := self._next("a class")) != "]" or first:
            first = False
            if char == "\\":
                single = self._peek()
                tests.append(self._escape())
                if single.isalnum() or self._peek() != "-":
                    continue
                char = single
                tests.pop()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
                self._at += 1
                last = self._next("a class")
                if last == "\\":
                    last = self._next("a class")
                    if last.isalnum():
                        raise NotUnderstood("has a range that is no range")
                if last < char:
                    raise NotUnderstood("has a range that is no range")
                tests.append(lambda c, low=char, high=last: low <= c <= high)  # type: ignore[misc]
            else:
                tests.append(char.__eq__)
        return lambda c: any(test(c) for test in tests) != negated


@dataclass
class Expression:
    """One expression as an automaton.

    Parameters
    ----------
    text : str

    Raises
    ------
    NotUnderstood
        If it is broken, too long, or outside the language.
    """

    text: str
    _tests: list[Callable[[str], bool] | None] = field(default_factory=list)
    _jumps: list[list[tuple[str, int]]] = field(default_factory=list)
    _steps: dict[tuple[frozenset[int], str], frozenset[int]] = field(default_factory=dict)
    _cached: int = 0
    _built: int = 0

    def __post_init__(self) -> None:
        last = self._new()
        self._last = last
        self._first = self._build(_Parser(self.text).parse(), last)
        self._anywhere = self._closure([self._first], "")
        self._at_start = self._closure([self._first], "begin")

    def _new(self, test: Callable[[str], bool] | None = None) -> int:
        if len(self._tests) >= MAX_STATES:
            raise NotUnderstood(_TOO_LONG)
        self._tests.append(test)
        self._jumps.append([])
        return len(self._tests) - 1

    def _build(self, node: _Node, after: int) -> int:
        """Add the states of a node that goes on to `after`; return its first."""
        self._built += 1  # counts of nothing make no states, and must not multiply unseen
        if self._built > 4 * MAX_STATES:
            raise NotUnderstood(_TOO_LONG)
        kind = node[0]
        if kind == "set":
            state = self._new(node[1])
            self._jumps[state].append(("read", after))
            return state
        if kind in ("begin", "end"):
            state = self._new()
            self._jumps[state].append((kind, after))
            return state
        if kind == "seq":
            for part in reversed(node[1]):
                after = self._build(part, after)
            return after
        if kind == "or":
            state = self._new()
            self._jumps[state] += [("", self._build(part, after)) for part in node[1]]
            return state
        _, part, low, high = node
        if high is None:
            loop = self._new()
            self._jumps[loop] += [("", after), ("", self._build(part, loop))]
            after = loop
        else:
            end = after
            for _ in range(high - low):
                skip = self._new()
                self._jumps[skip] += [("", end), ("", self._build(part, after))]
                after = skip
        for _ in range(low):
            after = self._build(part, after)
        return after

    def _closure(self, states: Iterable[int], where: str) -> frozenset[int]:
        """Find all states reached without reading; `where` is "begin", "end", both, or neither."""
        seen, pending = set(), list(states)
        while pending:
            state = pending.pop()
            if state not in seen:
                seen.add(state)
                for kind, target in self._jumps[state]:
                    if kind != "read" and kind in where:
                        pending.append(target)
        return frozenset(seen)

    def matches(self, name: str, spend: Callable[[int], None]) -> bool:
        r"""Tell whether ``(.*\.)?(KEY)$`` matches the whole of a name.

        Parameters
        ----------
        name : str
        spend : callable
            Called with the work done, in steps of the automaton; may raise.
        """
        if not name:
            return self._last in self._closure([self._first], "begin end")
        states = self._at_start
        for char in name:
            key = (states, char)
            after = self._steps.get(key)
            if after is None:
                spend(len(states))
                after = self._closure(
                    [
                        self._jumps[state][0][1]
                        for state in states
                        if (test := self._tests[state]) is not None and test(char)
                    ],
                    "",
                )
                if char == ".":
                    after |= self._anywhere
                self._cached += len(after) + 1
                if self._cached > _CACHED_STATES:
                    self._steps.clear()
                    self._cached = len(after) + 1
                self._steps[key] = after
            states = after
        spend(len(name))
        return self._last in self._closure(states, "end")
