"""``python -m clair board``: the board story from the command line."""

from __future__ import annotations

import argparse
from typing import Any

from clair.board import Story, slides_of, summary, tell
from clair.cli.terminal import perform
from clair.report.board import board_json, method_table


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``board`` subcommand; its ``run`` default takes the parsed arguments."""
    parser = commands.add_parser(
        "board",
        description="Draw five simulated hospitals, one of them poisoned, and print what the "
        "slides of the Board story say about them, with every method's error.",
    )
    parser.add_argument(
        "--draw", type=int, default=0, metavar="N", help="which five hospitals (default: 0)"
    )
    parser.add_argument(
        "--json", metavar="FILE", help='write all numbers; "-" writes them to the output'
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    def compute() -> tuple[dict[str, Any], str]:
        if args.draw < 0:
            raise ValueError(f"--draw must be at least 0, got {args.draw}")
        story = tell(args.draw)
        return board_json(story), _report(story)

    return perform("board", args.json, compute)


def _report(story: Story) -> str:
    """Write the summary, the headlines and a table of methods."""
    headlines = [f"{number}. {s.headline}" for number, s in enumerate(slides_of(story), 1)]
    rows = [
        f"  {label:<26}  {percent:5.1f}" + "  (oracle)" * bool(oracle)
        for _, label, oracle, percent in method_table(story).rows
    ]
    title = "error of the honest hospitals (training alone = 100):"
    return "\n".join([summary(story), "", *headlines, "", title, *rows])
