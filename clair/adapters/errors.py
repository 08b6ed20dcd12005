"""What can be wrong with an adapter, said in one way: the file, then the problem."""

from __future__ import annotations

from pathlib import PurePath

MAX_SHOWN = 120


def printable(text: object, limit: int = MAX_SHOWN) -> str:
    r"""Make a name from outside safe to show: control characters escaped, length bounded.

    Letters of every script are kept; what could move a terminal's cursor or reverse the reading
    direction is written as an escape.

    Examples
    --------
    >>> printable("klinik-zürich\x1b[2J")
    'klinik-zürich\\x1b[2J'
    """
    text = str(text)
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


class AdapterError(ValueError):
    """An adapter, or a folder of them, that cannot be used.

    Parameters
    ----------
    where : str or path
        The file, folder or tensor concerned.
    problem : str
        What is wrong with it, in words fit to be shown.
    """

    def __init__(self, where: str | PurePath, problem: str) -> None:
        self.where = printable(where)
        self.problem = problem
        super().__init__(f"{self.where}: {problem}")
