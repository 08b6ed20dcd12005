"""``python -m clair sweep``: any grid of problems and options without a browser."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from clair._validation import check_choice
from clair.cli.simulate import HELP, METHOD_HELP
from clair.cli.terminal import WORKER_OPTIONS, ProgressBar, check_target, options_named, perform
from clair.executors import WorkerFailed
from clair.methods import METHODS
from clair.report.scenario import PLAN, PROBLEM_OPTIONS
from clair.report.sweep_figure import sweep_svg
from clair.report.sweeps import FIT_OPTIONS, sweep_json, sweep_table
from clair.report.tables import to_csv
from clair.simulation import own_code as own
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.attacks import ATTACKS
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.sweeps.axes import (
    ALIASES,
    CHOICES,
    FIT_DEFAULTS,
    OPTION_AXES,
    PROBLEM_AXES,
    Axis,
    parse_axis,
    parse_value,
)
from clair.simulation.sweeps.grid import (
    DEFAULT_MEASURES,
    ERRORS,
    MEASURES,
    SweepConfig,
    SweepResult,
    obstacle,
)
from clair.simulation.sweeps.run import run_sweep
from clair.simulation.sweeps.store import load, path_of

_HELP: dict[str, str] = {
    "threshold": 'flag scores above this, or "auto"',
    "use_rank": 'number of directions CLAIR looks for, or "auto" (default: the true rank)',
    "lam": 'the price of entry into S, or "auto"',
    "gap": 'ratios of the gap rule, as 1.15/1.25, or "auto"',
    "compare_shape": "also compare the shapes of the updates' entries",
    "tol": "tolerance of the solver",
    "max_iter": "bound on the solver's iterations",
}
_EPILOG = f"""\
settings of a problem that may be an axis:
  {", ".join(PROBLEM_AXES)}
options of CLAIR that may be an axis:
  {", ".join(OPTION_AXES)}
other names:
  {", ".join(f"{short} ({name})" for short, name in ALIASES.items())}
measures:
{chr(10).join(f"  {key:15} {title}" for key, title in MEASURES.items())}
methods (mean distance of the honest clients to their true updates):
{chr(10).join(f"  {key:16} {METHODS[key].label}" for key in ERRORS)}

code of your own:
{own.__doc__}"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``sweep`` subcommand; its ``run`` default takes the parsed arguments."""
    parser = commands.add_parser(
        "sweep",
        description="Draw problems on a grid, let CLAIR and other methods work on each, and keep "
        "every cell as it is finished. The same settings and seed give the same bytes, on however "
        "many processes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_grid(parser.add_argument_group("the grid"))
    _add_problem(parser.add_argument_group("the problems, where no axis changes them"))
    _add_method(parser.add_argument_group("what CLAIR does, where no axis changes it"))
    _add_run(parser.add_argument_group("how it is computed, and what is written"))
    parser.set_defaults(run=_run)


def _add_grid(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--axis",
        dest="axes",
        action="append",
        default=[],
        type=_axis,
        metavar="NAME=X,X,...",
        help="a setting or option and its values, or NAME=FIRST:LAST:COUNT; once for each side",
    )
    group.add_argument(
        "--trials",
        "--repeats",
        type=int,
        default=SweepConfig.trials,
        metavar="N",
        help="problems drawn in each cell (default: %(default)s)",
    )
    group.add_argument(
        "--measures",
        type=_listed,
        default=DEFAULT_MEASURES,
        metavar="NAME,...",
        help=f'see below, or "none" (default: {",".join(DEFAULT_MEASURES)})',
    )
    group.add_argument(
        "--methods",
        type=_listed,
        default=(),
        metavar="NAME,...",
        help='whose errors are measured too, see below, or "all" (default: none)',
    )


def _add_problem(group: argparse._ArgumentGroup) -> None:
    for field in fields(ProblemSpec):
        usual = field.default
        kind: dict[str, Any] = {"type": type(usual), "metavar": "N" if type(usual) is int else "X"}
        about = HELP[field.name]
        if field.name == "attack":
            kind = {"metavar": "NAME"}
            about = f"{', '.join(ATTACKS)}; or module:function or file.py:function of your own"
        elif field.name in CHOICES:
            kind = {"choices": CHOICES[field.name], "metavar": "NAME"}
        group.add_argument(
            PROBLEM_OPTIONS[field.name],
            dest=f"problem_{field.name}",
            default=usual,
            help=f"{about} (default: {usual})",
            **kind,
        )
    group.add_argument(
        PLAN, metavar="TEXT", help="what the poisoned do, as the Red team page has it"
    )


def _add_method(group: argparse._ArgumentGroup) -> None:
    for name, option in FIT_OPTIONS.items():
        usual = FIT_DEFAULTS.get(name)
        about = METHOD_HELP.get(name, {}).get("help") or f"{_HELP[name]} (default: {usual})"
        how: dict[str, Any] = {"metavar": "X"}
        if isinstance(usual, bool):
            how = {"action": argparse.BooleanOptionalAction}
        elif name == "detector":
            how = {"metavar": "NAME"}
            about += "; or module:function or file.py:function of your own"
        elif name in CHOICES:
            how = {"choices": CHOICES[name]}
        about = about if name in METHOD_HELP or name != "use_rank" else _HELP[name]
        group.add_argument(option, dest=f"fit_{name}", default=None, help=about, **how)


def _add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--resume",
        action="store_true",
        help="take up what is kept of the same sweep; without it everything is computed",
    )
    for option, how in WORKER_OPTIONS.items():
        group.add_argument(option, **how)
    group.add_argument(
        "--json", metavar="FILE", help='write every trial; "-" writes them to the output'
    )
    group.add_argument("--csv", metavar="FILE", help="write the table of means and intervals")
    group.add_argument(
        "--figure",
        metavar="FILE.svg",
        help="draw one axis as curves, or two as a phase diagram, ready for a paper",
    )
    group.add_argument(
        "--figure-of", metavar="NAME", help="measure or method to draw (default: the first)"
    )
    group.add_argument("--quiet", action="store_true", help="no progress")


def _axis(text: str) -> Axis:
    try:
        return parse_axis(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _listed(text: str) -> tuple[str, ...]:
    if text == "all":
        return ERRORS
    return () if text == "none" else tuple(part.strip() for part in text.split(","))


def config_of(args: argparse.Namespace) -> SweepConfig:
    """Build the sweep that the arguments describe.

    Raises
    ------
    ValueError
        If a value is out of its range, or code of the reader's own cannot be called.
    """
    problem = {name: getattr(args, f"problem_{name}") for name in PROBLEM_OPTIONS}
    attack: AttackPlan | own.OwnCode | None = None
    if args.plan is not None:
        attack = AttackPlan.from_text(args.plan)
    if ":" in problem["attack"]:
        attack = own.own_code("attack", problem["attack"])
        problem["attack"] = ProblemSpec.attack
    given = {name: getattr(args, f"fit_{name}") for name in FIT_OPTIONS}
    detector = given.pop("detector") or ""
    named = own.own_code("detector", detector) if ":" in detector else None
    if detector and named is None:
        given["detector"] = detector
    options = {
        name: parse_value(name, value) if isinstance(value, str) else value
        for name, value in given.items()
        if value is not None
    }
    with options_named(PROBLEM_OPTIONS | FIT_OPTIONS):
        spec = ProblemSpec(**problem)
    with options_named(
        {**FIT_OPTIONS, "trials": "--trials", "measure": "--measures", "method": "--methods"}
    ):
        config = SweepConfig(
            spec,
            tuple(args.axes),
            args.trials,
            options,
            args.measures,
            args.methods,
            attack,
            named,
        )
    if all(obstacle(config, cell) is not None for cell in range(config.n_cells)):
        raise ValueError(f"no cell can be drawn: {obstacle(config, 0)}")
    return config


def check_figure(args: argparse.Namespace, config: SweepConfig) -> None:
    """Check before the work that there is a figure of it.

    Raises
    ------
    ValueError
        For a measure that is not measured, or a grid of other than one or two sides.
    """
    if not args.figure:
        return
    check_choice("--figure-of", args.figure_of or config.columns[0], config.columns)
    if len(config.along) not in (1, 2):
        raise ValueError(f"--figure needs one axis or two, got {len(config.along)}")


def _run(args: argparse.Namespace) -> int:
    bar = ProgressBar(sys.stderr, enabled=not args.quiet)
    state: dict[str, SweepConfig] = {}

    def compute() -> tuple[dict[str, Any], str]:
        for option in ("csv", "figure"):
            check_target(getattr(args, option), f"--{option}")
        config = config_of(args)
        check_figure(args, config)
        state["config"] = config
        if not args.resume:
            path_of(config).unlink(missing_ok=True)
        try:
            result = run_sweep(
                config, workers=args.workers, scheduler=args.scheduler, progress=bar.show
            )
        except WorkerFailed as error:
            raise ValueError(f"{error}; --resume goes on with what was finished") from error
        # nothing that depends on how often it was interrupted
        return sweep_json(replace(result, seconds=0.0)), _written(result, args)

    def interrupted() -> str:
        if "config" not in state:
            return "Interrupted; nothing was computed."
        config = state["config"]
        done = int(load(config).result.done.sum())
        return (
            f"Interrupted: {done} of {config.n_cells} cells are kept. The same command with "
            "--resume goes on from there."
        )

    return perform("sweep", args.json, compute, bar.clear, interrupted)


def _written(result: SweepResult, args: argparse.Namespace) -> str:
    """Write the table and the figure, and return the table with where they are."""
    text = to_csv(sweep_table(result))
    words = text.rstrip()
    impossible = {obstacle(result.config, cell) for cell in range(result.config.n_cells)} - {None}
    words += "".join(f"\nno result: {reason}" for reason in sorted(map(str, impossible)))
    if args.figure:
        drawn = sweep_svg(result, args.figure_of or result.config.columns[0])
        Path(args.figure).write_text(drawn, encoding="utf-8")
        words += f"\n\nwrote {args.figure}"
    if args.csv:
        Path(args.csv).write_text(text, encoding="utf-8", newline="")
        words += f"\n\nwrote {args.csv}"
    return words
