"""``clair app``: open the app in a browser."""

from __future__ import annotations

import argparse
import runpy
import sys

from clair._files import ROOT


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``app`` subcommand, which passes on what it does not know itself."""
    parser = commands.add_parser(
        "app",
        usage="%(prog)s [-h] [option of streamlit run ...]",
        description="Start the app's server, and open the app in a browser where there is a "
        "display. All options are passed on to `streamlit run`, which lists them with "
        "`streamlit run --help`: --server.port 8600 chooses the port, --server.headless true opens "
        "no browser, --server.address 0.0.0.0 lets other machines in.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=_run, passes_on=True)


def _run(args: argparse.Namespace) -> int:
    sys.argv = ["streamlit", "run", str(ROOT / "app.py"), *args.further]
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)
    return 0
