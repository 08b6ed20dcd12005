"""``python -m clair redteam``: look for the attack that does honest clients the most harm."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from typing import Any, TextIO

from clair.redteam import DEFENCES, RedTeamConfig, SearchProgress, search
from clair.redteam.words import report, result_json
from clair.reports.scenario import PROBLEM_OPTIONS
from clair.synthetic import ProblemSpec
from clair.tasks.terminal import options_named, perform

_OPTIONS = {"defence": "--defence", "rank": "--rank", "budget": "--budget"}
# A plan replaces both.
_NOT_ASKED = ("attack", "attack_scale")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``redteam`` subcommand; its ``run`` default takes the parsed arguments."""
    usual = RedTeamConfig()
    parser = commands.add_parser(
        "redteam",
        help="play the attacker: search for the attack that does honest clients the most harm",
        description="Search for the attack that costs honest clients the most against a defence, "
        "by an attacker who knows everything, and measure it on draws the search never saw.",
        epilog="defences:\n" + "\n".join(f"  {key:17} {d.label}" for key, d in DEFENCES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--defence", choices=tuple(DEFENCES), default=usual.defence, help="default: %(default)s"
    )
    parser.add_argument(
        "--budget",
        type=int,
        default=usual.budget,
        metavar="N",
        help="how many times the defence may be run (default: %(default)s)",
    )
    parser.add_argument(
        "--rank",
        type=_rank,
        default=usual.rank,
        metavar="N|auto",
        help="number of directions CLAIR looks for (default: %(default)s)",
    )
    drawn = parser.add_argument_group("the problems that are drawn")
    for field in fields(ProblemSpec):
        if field.name in _NOT_ASKED:
            continue
        default = getattr(usual.spec, field.name)
        drawn.add_argument(
            PROBLEM_OPTIONS[field.name],
            dest=f"problem_{field.name}",
            type=type(default),
            default=default,
            metavar="N" if type(default) is int else "X",
            help="default: %(default)s",
        )
    parser.add_argument(
        "--json", metavar="FILE", help='write all numbers; "-" writes them to the output'
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=_run)


def _rank(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'must be a whole number or "auto", got {text!r}'
        ) from None


class _Line:
    """Progress on one line of a terminal; elsewhere a line a quarter of the budget."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._terminal, self._shown = stream, stream.isatty(), -1

    def show(self, progress: SearchProgress) -> None:
        steps = 100 if self._terminal else 4
        step = steps * progress.done // progress.budget
        if step == self._shown:
            return
        self._shown = step
        filled = 24 * progress.done // progress.budget
        text = (
            f"[{'#' * filled}{'-' * (24 - filled)}] {progress.done}/{progress.budget} runs, worst "
            f"so far {progress.worst:.2f} times the oracle's error, unflagged {progress.hidden:.2f}"
        )
        self._stream.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _run(args: argparse.Namespace) -> int:
    line = _Line(sys.stderr)

    def compute() -> tuple[dict[str, Any], str]:
        with options_named(PROBLEM_OPTIONS):
            given = {
                name: getattr(args, f"problem_{name}")
                for name in PROBLEM_OPTIONS
                if name not in _NOT_ASKED
            }
            spec = ProblemSpec(**given)
        with options_named(_OPTIONS | {"contaminated_fraction": "--poisoned"}):
            config = RedTeamConfig(spec, args.defence, args.rank, args.budget)
        result = search(config, None if args.quiet else line.show)
        return result_json(result), report(result)

    return perform("redteam", args.json, compute, line.clear)
