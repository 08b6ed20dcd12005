"""What all commands share: how they end, the progress line, where results go."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from clair.executors import WorkerFailed

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
STANDARD_OUTPUT = "-"
#: Who computes, for the commands that take long.
WORKER_OPTIONS: dict[str, dict[str, Any]] = {
    "--workers": {
        "type": int,
        "metavar": "N",
        "help": "processes on this machine (default: as many as help, at most one for each core)",
    },
    "--scheduler": {
        "metavar": "ADDRESS",
        "help": "a dask scheduler to compute on, such as tcp://10.0.0.5:8786; needs the extra dask "
        "(default: $CLAIR_SCHEDULER, else this machine)",
    },
}


class Progress(Protocol):
    """What every report of a running job says; attributes are read, never written."""

    @property
    def stage(self) -> str:
        """What the job is doing."""

    @property
    def label(self) -> str:
        """The stage in words."""

    @property
    def step(self) -> int:
        """Position inside the stage."""

    @property
    def total_steps(self) -> int:
        """Steps of the stage."""

    @property
    def fraction(self) -> float:
        """Share of the bar that is filled, in [0, 1]."""

    @property
    def note(self) -> str:
        """What follows the numbers; empty, or beginning with a comma."""


class ProgressBar:
    """Progress on one line of a terminal; elsewhere one line a stage.

    Parameters
    ----------
    stream : text file
    enabled : bool
    """

    def __init__(self, stream: TextIO, *, enabled: bool = True) -> None:
        self._stream = stream
        self._enabled = enabled
        self._terminal = stream.isatty()
        self._drawn = 0.0
        self._stage = ""

    def show(self, progress: Progress) -> None:
        """Draw the state of the job, at most ten times a second."""
        if not self._enabled:
            return
        if not self._terminal:
            if progress.stage != self._stage:
                print(f"{progress.label} ...", file=self._stream, flush=True)
            self._stage = progress.stage
            return
        now, done = time.monotonic(), progress.step == progress.total_steps
        if now - self._drawn < 0.1 and not done and progress.stage == self._stage:
            return
        self._drawn, self._stage = now, progress.stage
        filled = round(24 * progress.fraction)
        self._stream.write(
            f"\r\x1b[K[{'#' * filled}{'-' * (24 - filled)}] {progress.label} "
            f"{progress.step}/{progress.total_steps}{progress.note}"
        )
        self._stream.flush()

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self._enabled and self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def check_target(target: str | None, option: str = "--json") -> None:
    """Check before the work, not after it, that the result can be written.

    Raises
    ------
    ValueError
        If it is no file in a folder that exists.
    """
    if target in (None, STANDARD_OUTPUT):
        return
    path = Path(str(target))
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"{option} must name a file in a folder that exists, got {target!r}")


def rank_option(text: str) -> int | str:
    """Parse the value of ``--rank``: a whole number or "auto".

    Raises
    ------
    argparse.ArgumentTypeError
        For anything else.
    """
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'must be a whole number or "auto", got {text!r}'
        ) from None


@contextmanager
def options_named(options: Mapping[str, str]) -> Iterator[None]:
    """Let an error message begin with the option instead of the setting it is about.

    Parameters
    ----------
    options : mapping of str to str
        Option of the command line by setting.
    """
    try:
        yield
    except ValueError as error:
        name, _, rule = str(error).partition(" ")
        if name not in options:
            raise
        raise ValueError(f"{options[name]} {rule}") from error


def perform(
    command: str,
    target: str | None,
    compute: Callable[[], tuple[Mapping[str, Any], str]],
    clear: Callable[[], None] = lambda: None,
    interrupted: Callable[[], str] = lambda: "Interrupted; nothing was written.",
) -> int:
    """Run a command to its result, or to one line that says what was wrong.

    Parameters
    ----------
    command : str
        Name of the command, for the error line.
    target : str or None
        File that the numbers go to; "-" for standard output, without the words.
    compute : callable
        Returns the numbers, as JSON values, and the words.
    clear : callable
        Removes a progress line before anything is printed.
    interrupted : callable
        Says what an interrupt leaves behind.

    Returns
    -------
    int
        Exit code.
    """
    try:
        check_target(target)
        numbers, words = compute()
    except (ValueError, FileNotFoundError, WorkerFailed) as error:
        clear()
        print(f"clair {command}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        clear()
        print(interrupted(), file=sys.stderr)
        return EXIT_INTERRUPTED
    clear()
    _deliver(numbers, words, target)
    return 0


def _deliver(numbers: Mapping[str, Any], words: str, target: str | None) -> None:
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    if target == STANDARD_OUTPUT:
        print(text)
        return
    if target is not None:  # before the words, which nobody may read to the end
        Path(target).write_text(text + "\n", encoding="utf-8")
        words += f"\n\nwrote {target}"
    print(words)
