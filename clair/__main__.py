"""The main jobs without a browser: ``python -m clair simulate``, ``... audit DIR`` and others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from clair import audit_cli, board_cli, redteam_cli, simulate_cli, theory_cli
from clair.tasks import commands as task_commands
from clair.tasks.copytask import command as copytask_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m clair", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    simulate_cli.add_parser(commands)
    audit_cli.add_parser(commands)
    copytask_command.add_parser(commands)
    task_commands.add_parsers(commands)
    board_cli.add_parser(commands)
    theory_cli.add_parser(commands)
    redteam_cli.add_parser(commands)
    args = parser.parse_args(arguments)
    return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main())
