"""Python and shell that give the same numbers; only what differs from the defaults is written."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

_WIDTH = 88


@dataclass(frozen=True)
class Recipe:
    """How to get the same numbers without the page.

    Attributes
    ----------
    python : str
        Runs as it is where the package can be imported.
    command : str
        The same for a shell, "" where there is no such command.
    note : str
        What the reader should know about it.
    """

    python: str
    command: str = ""
    note: str = ""


def differing(config: Any, default: Any) -> dict[str, Any]:
    """Collect the fields in which a dataclass differs from another of its kind, in order."""
    pairs = ((f.name, getattr(config, f.name), getattr(default, f.name)) for f in fields(config))
    return {name: value for name, value, usual in pairs if value != usual}


def call(function: str, *values: str, **options: Any) -> str:
    """Write the source of a call, on several lines where one would be too long.

    Parameters
    ----------
    function : str
        What is called, with anything that stands before it on its line.
    *values : str
        Source of positional arguments.
    **options
        Keyword arguments.

    Examples
    --------
    >>> call("spec = ProblemSpec", attack="colluding", noise=0.1)
    'spec = ProblemSpec(attack="colluding", noise=0.1)'
    """
    arguments = [*values, *(f"{name}={literal(value)}" for name, value in options.items())]
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{function}(", *(f"    {text}," for text in arguments), ")"])


def literal(value: Any) -> str:
    r"""Write the source of a value; floats keep every digit.

    Examples
    --------
    >>> literal("it's"), literal(0.1), literal((1, "a"))
    ('"it\'s"', '0.1', '(1, "a")')
    """
    if isinstance(value, str):
        # Python's own escapes: those of JSON differ beyond the first 65,536 characters
        escaped = value.encode("unicode_escape").decode("ascii")
        return '"' + escaped.replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        inside = ", ".join(literal(one) for one in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def command(*words: str, options: Mapping[str, Any]) -> str:
    """Write a line for a shell.

    Options that are true stand alone; those that are false get ``--no-``.

    Tuples are several values of one option.

    Examples
    --------
    >>> command("python", "-m", "clair", "digits", options={"--seed": 3, "--screen": True})
    'python -m clair digits --seed 3 --screen'
    """
    parts = [*words]
    for name, value in options.items():
        if isinstance(value, bool):
            parts.append(name if value else f"--no-{name.removeprefix('--')}")
        elif isinstance(value, tuple):
            parts += [name, *map(str, value)]
        else:
            parts += [name, "none" if value is None else str(value)]
    return shlex.join(parts)
