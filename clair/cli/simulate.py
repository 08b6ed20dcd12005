"""``python -m clair simulate``: a scenario of the Subspace lab from the command line."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from clair.cli.terminal import options_named, perform
from clair.method.choices import DETECTORS, SOLVERS
from clair.method.compressed_fit import POOLINGS, SIDES
from clair.report.scenario import (
    CLAIR_OPTIONS,
    PLAN,
    PROBLEM_OPTIONS,
    scenario_json,
)
from clair.sentences import scenario_sentence, verdict_lines
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.attacks import ATTACKS
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.scenario import Scenario, ScenarioResult, run_scenario

#: About each setting of a problem.
HELP = {
    "n_clients": "parties that send one update each, at least 3",
    "poisoned_fraction": "share of them that is poisoned, below 1",
    "attack": "what the poisoned send, see below",
    "attack_scale": "size of the attack relative to a typical honest update",
    "heterogeneity": "how much honest clients differ inside the subspace they share",
    "off_subspace": "how much of an honest update lies outside it",
    "unevenness": "spread of the clients' sizes (standard deviation of their logarithm)",
    "data_spread": "spread of the clients' numbers of examples (the same), which noise depends on",
    "second_attack": "what part of the poisoned send instead",
    "second_share": "share of the poisoned that do",
    "noise": "standard deviation of each entry of the estimation error",
    "rank": "dimension of the shared subspace",
    "d_out": "rows of an update",
    "d_in": "columns of an update",
    "seed": "which random draw",
}
#: About each option of CLAIR: keywords of its argument.
METHOD_HELP: dict[str, dict[str, Any]] = {
    "pooling": {
        "choices": POOLINGS,
        "help": "eb (ours) also shrinks clients towards each other; halves (ours) lets each client "
        "send two half-data updates as well and weighs every direction by them (default: none)",
    },
    "screen_coefficients": {
        "help": "also look for sign flips inside the subspace (ours, default: off)"
    },
    "detector": {"choices": DETECTORS, "help": "residual (ours, default) or norms (the paper's)"},
    "solver": {"choices": SOLVERS, "help": "convex (default) comes with a certificate"},
    "side": {
        "choices": SIDES,
        "help": "where CLAIR looks (default: output, which the clients share)",
    },
    "polish": {"help": "refit the subspace on the kept clients (default: on)"},
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``simulate`` subcommand; its ``run`` default takes the parsed arguments."""
    parser = commands.add_parser(
        "simulate",
        description="Draw one problem of the matrix model, run CLAIR on what the clients send and "
        "compare every method: the Subspace lab without a browser.",
        epilog="attacks:\n"
        + "\n".join(f"  {key:13} {info.description}" for key, info in ATTACKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    drawn = parser.add_argument_group("what is drawn")
    for field in fields(ProblemSpec):
        usual = field.default
        kind: dict[str, Any] = {"type": type(usual), "metavar": "N" if type(usual) is int else "X"}
        if field.name in ("attack", "second_attack"):
            kind = {"choices": tuple(ATTACKS)}
        drawn.add_argument(
            PROBLEM_OPTIONS[field.name],
            dest=f"problem_{field.name}",
            default=usual,
            help=f"{HELP[field.name]} (default: {usual})",
            **kind,
        )
    drawn.add_argument(
        PLAN,
        metavar="TEXT",
        help="what the poisoned do, as the Red team page writes it; takes the place of --attack",
    )
    usual_options = Scenario().fit_options
    method = parser.add_argument_group("what CLAIR does")
    pooling = method.add_mutually_exclusive_group()
    for name, option in CLAIR_OPTIONS.items():
        usual = usual_options[name]
        settings = METHOD_HELP.get(name) or _automatic(name)
        if isinstance(usual, bool):
            settings = {**settings, "action": argparse.BooleanOptionalAction}
        group = pooling if name == "pooling" else method
        group.add_argument(option, dest=f"clair_{name}", default=usual, **settings)
    pooling.add_argument(
        "--halves",
        dest="clair_pooling",
        action="store_const",
        const="halves",
        help="the same as --pooling halves",
    )
    parser.add_argument(
        "--json", metavar="FILE", help='write all numbers; "-" writes them to the output'
    )
    parser.set_defaults(run=run)


def _automatic(name: str) -> dict[str, Any]:
    """Make the keywords of an option that takes a number or "auto"."""
    kind: type = int if name == "rank" else float
    words = {
        "rank": "number of directions CLAIR looks for (default: auto)",
        "threshold": "flag scores above this (default: auto, by gaps between scores)",
    }

    def parse(text: str) -> Any:
        if text == "auto":
            return text
        try:
            return kind(text)
        except ValueError:
            number = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f'must be {number} or "auto", got {text!r}') from None

    return {"type": parse, "help": words[name], "metavar": "N|auto" if kind is int else "X|auto"}


def run(args: argparse.Namespace) -> int:
    """Run the scenario that the arguments describe and return the exit code."""

    def compute() -> tuple[dict[str, Any], str]:
        with options_named(PROBLEM_OPTIONS):
            given = {name: getattr(args, f"problem_{name}") for name in PROBLEM_OPTIONS}
            spec = ProblemSpec(**given)
        with options_named(CLAIR_OPTIONS):
            options = {name: getattr(args, f"clair_{name}") for name in CLAIR_OPTIONS}
            plan = None if args.plan is None else AttackPlan.from_text(args.plan)
            result = run_scenario(Scenario(spec=spec, plan=plan, **options))
        return scenario_json(result), report(result)

    return perform("simulate", args.json, compute)


def report(result: ScenarioResult) -> str:
    """Write the summary, who was flagged or is suspect and why, and a table of methods."""
    width = max(len(row.label) for row in result.errors)
    rows = [
        f"  {row.label:<{width}}  {row.mean:.6f} ± {row.sd:.6f}" + "  (oracle)" * row.oracle
        for row in result.errors
    ]
    return "\n".join(
        [
            scenario_sentence(result),
            "",
            *verdict_lines(result.fit, result.problem.contaminated),
            "",
            "error of the honest clients (mean ± standard deviation):",
            *rows,
            *(f"note: {note}" for note in result.fit.notes),
        ]
    )
