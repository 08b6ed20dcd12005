"""``python -m clair redteam``: look for the attack that does honest clients the most harm."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from typing import Any

from clair.cli.terminal import (
    WORKER_OPTIONS,
    ProgressBar,
    options_named,
    perform,
    rank_option,
)
from clair.redteam import DEFENCES, RedTeamConfig, search
from clair.redteam.words import report, result_json
from clair.report.scenario import PROBLEM_OPTIONS
from clair.simulation.matrix_model import ProblemSpec

_OPTIONS = {
    "defence": "--defence",
    "rank": "--rank",
    "budget": "--budget",
    "n_modules": "--modules",
}
# Settings that a plan replaces.
_NOT_ASKED = ("attack", "attack_scale", "second_attack", "second_share")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``redteam`` subcommand; its ``run`` default takes the parsed arguments."""
    usual = RedTeamConfig()
    parser = commands.add_parser(
        "redteam",
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
        type=rank_option,
        default=usual.rank,
        metavar="N|auto",
        help="number of directions CLAIR looks for (default: %(default)s)",
    )
    parser.add_argument(
        "--modules",
        type=int,
        default=usual.n_modules,
        metavar="N",
        help="modules of every update; from three on the shape of the updates is evidence too "
        "(default: %(default)s)",
    )
    for option, how in WORKER_OPTIONS.items():
        parser.add_argument(option, **how)
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


def _run(args: argparse.Namespace) -> int:
    bar = ProgressBar(sys.stderr, enabled=not args.quiet)

    def compute() -> tuple[dict[str, Any], str]:
        with options_named(PROBLEM_OPTIONS):
            given = {
                name: getattr(args, f"problem_{name}")
                for name in PROBLEM_OPTIONS
                if name not in _NOT_ASKED
            }
            spec = ProblemSpec(**given)
        with options_named(_OPTIONS | {"poisoned_fraction": "--poisoned"}):
            config = RedTeamConfig(spec, args.defence, args.rank, args.budget, args.modules)
        result = search(config, bar.show, workers=args.workers, scheduler=args.scheduler)
        return result_json(result), report(result)

    return perform("redteam", args.json, compute, bar.clear)
