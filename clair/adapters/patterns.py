r"""Module patterns of a PEFT configuration: which value counts for a module.

PEFT takes the first key of ``rank_pattern`` or ``alpha_pattern`` for which ``(.*\.)?(KEY)$``
matches a module's name as a regular expression (`peft.utils.other.get_pattern_key`). Here plain
names, the usual case, are looked up in a table, and `clair.adapters.expressions` matches the
other keys. The work of both is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping

from clair.adapters.expressions import SPECIAL, Expression, NotUnderstood
from clair.cancellation import checkpoint

MAX_EXPRESSIONS = 64


class Patterns:
    """The entries of ``rank_pattern`` or ``alpha_pattern``.

    Parameters
    ----------
    entries : mapping of str to float
        By module name or expression, in the order in which they count.
    max_steps : int
        Bound on the work of all look-ups together.

    Attributes
    ----------
    not_evaluated : dict of str to str
        Keys that are not evaluated, and why.

    Raises
    ------
    NotUnderstood
        If the entries alone take more than `max_steps`.
    """

    def __init__(self, entries: Mapping[str, float], max_steps: int) -> None:
        self._values = list(entries.values())
        # Plain names by length and by the positions of their dots, which match any character.
        self._plain: dict[tuple[int, tuple[int, ...]], dict[str, int]] = {}
        self._expressions: list[tuple[int, Expression | None]] = []
        self._left = self._max_steps = max_steps
        self.not_evaluated: dict[str, str] = {}
        for number, key in enumerate(entries):
            self._spend(1)
            if not SPECIAL.difference(".").intersection(key):
                dots = tuple(i for i, char in enumerate(key) if char == ".")
                self._plain.setdefault((len(key), dots), {}).setdefault(key, number)
            else:
                self._expressions.append((number, self._expression(key)))

    def _expression(self, key: str) -> Expression | None:
        try:
            if len(self._expressions) >= MAX_EXPRESSIONS:
                raise NotUnderstood(f"comes after {MAX_EXPRESSIONS} other expressions")
            return Expression(key)
        except NotUnderstood as problem:
            self.not_evaluated[key] = str(problem)
            return None

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise NotUnderstood(f"takes more than {self._max_steps:,} steps to match")

    def values(self, module: str, default: float) -> set[float]:
        """Look up the values a module may have: one, or several if a key could not be evaluated.

        Parameters
        ----------
        module : str
            Name of the module.
        default : float
            The value where no entry matches.

        Raises
        ------
        NotUnderstood
            If the look-up takes more work than is left.
        """
        checkpoint()
        plain = self._first_plain(module)
        found: set[float] = set()
        for number, expression in self._expressions:
            if number > plain:
                break
            if expression is None:
                found.add(self._values[number])
            elif expression.matches(module, self._spend):
                return found | {self._values[number]}
        return found | {self._values[plain] if plain < len(self._values) else default}

    def _first_plain(self, module: str) -> int:
        self._spend(len(self._plain))
        first = len(self._values)
        for (length, dots), keys in self._plain.items():
            start = len(module) - length
            if start < 0 or (start > 0 and module[start - 1] != "."):
                continue
            end = module[start:]
            if dots:
                letters = list(end)
                for i in dots:
                    letters[i] = "."
                end = "".join(letters)
            first = min(first, keys.get(end, first))
        return first
