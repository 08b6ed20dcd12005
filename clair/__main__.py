"""CLAIR from the command line: the app, an audit of adapters, and the tasks without a browser."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from clair import __version__
from clair.cli.commands import COMMANDS

#: As a shell reports a program that SIGPIPE ended; not an exit code of any command.
EXIT_NOBODY_READS = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code."""
    from clair.cancellation import interruptible

    arguments = sys.argv[1:] if arguments is None else arguments
    arguments = arguments[1:] if arguments[:1] == ["--"] else arguments
    parser = _parser(arguments)
    args, further = parser.parse_known_args(arguments)
    if further and not args.passes_on:
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    args.further = further
    with interruptible():
        return int(args.run(args))


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for these arguments: of one command, or of the overview of all."""
    prog = "clair" if Path(sys.argv[0]).stem == "clair" else "python -m clair"
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("--version", action="version", version=f"clair {__version__}")
    parser.set_defaults(passes_on=False)
    commands = parser.add_subparsers(required=True, metavar="command")
    if arguments and arguments[0] in COMMANDS:
        # Not at the top: an interrupt during imports can get lost, see below.
        import_module(COMMANDS[arguments[0]][0]).add_parser(commands)
    else:
        for name, (_, about) in COMMANDS.items():
            commands.add_parser(name, help=about)
    return parser


def _import_commands() -> None:
    """Import what the command needs; meanwhile Ctrl-C ends the process at once.

    During imports Python loses about one interrupt in fifty: raised inside one of the interpreter's
    callbacks, it is printed and forgotten. Nothing has been written yet that needs cleaning up.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _parser(sys.argv[1:])
    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def console() -> int:
    """Run the command line of this process, as ``clair`` and as ``python -m clair``."""
    try:
        try:
            _import_commands()
            return main()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere()
        return EXIT_NOBODY_READS


def _write_nowhere() -> None:
    """Send what is still to be written nowhere: whoever read it, as ``head`` does, has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(console())
