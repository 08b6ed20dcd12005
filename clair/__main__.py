"""The main jobs without a browser: ``python -m clair simulate``, ``... audit DIR`` and others."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code."""
    from clair.cancellation import interruptible

    args = _parser().parse_args(arguments)
    with interruptible():
        return int(args.run(args))


def _parser() -> argparse.ArgumentParser:
    # Not at the top: an interrupt during imports can get lost (see `_import_commands`).
    from clair import audit_cli, board_cli, redteam_cli, simulate_cli, theory_cli
    from clair.tasks import commands as task_commands
    from clair.tasks.copytask import command as copytask_command

    parser = argparse.ArgumentParser(prog="python -m clair", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    simulate_cli.add_parser(commands)
    audit_cli.add_parser(commands)
    copytask_command.add_parser(commands)
    task_commands.add_parsers(commands)
    board_cli.add_parser(commands)
    theory_cli.add_parser(commands)
    redteam_cli.add_parser(commands)
    return parser


def _import_commands() -> None:
    """Import what the commands need; meanwhile Ctrl-C ends the process at once.

    During imports Python loses about one interrupt in fifty: raised inside one of the interpreter's
    callbacks, it is printed and forgotten. Nothing has been written yet that needs cleaning up.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _parser()
    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    _import_commands()
    sys.exit(main())
