"""``python -m clair theory SECTION``: the numbers behind the Theory page from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from clair.cli.terminal import options_named, perform
from clair.report.scenario import PROBLEM_OPTIONS
from clair.report.studies import (
    REMEDY_NAMES,
    Study,
    blind_study,
    certificate_study,
    gain_study,
    sets_study,
    stable_study,
    study_json,
    window_study,
)
from clair.report.tables import to_csv
from clair.simulation.attacks import ATTACKS
from clair.simulation.matrix_model import ProblemSpec, sample_problem
from clair.theory.curves import REMEDIES, gain, remedy, separation, stability
from clair.theory.lam_path import certificate_at, lam_path

Numbers = tuple[float, ...]


def _window(spec: ProblemSpec, args: argparse.Namespace) -> Study:
    return window_study(spec, lam_path(sample_problem(spec), args.values))


def _certificate(spec: ProblemSpec, args: argparse.Namespace) -> Study:
    problem = sample_problem(spec)
    return certificate_study(spec, problem, certificate_at(problem, args.lam))


def _stable(spec: ProblemSpec, args: argparse.Namespace) -> Study:
    return stable_study(spec, stability(spec, args.values))


def _sets(spec: ProblemSpec, args: argparse.Namespace) -> Study:
    curves = separation(spec, args.along, args.values, args.trials)
    return sets_study(spec, args.along, curves)


def _gain(spec: ProblemSpec, args: argparse.Namespace) -> Study:
    whole = args.along == "n_clients"
    values = tuple(int(v) for v in args.values) if whole else args.values
    return gain_study(spec, args.along, gain(spec, args.along, values, args.trials))


def _blind(spec: ProblemSpec, args: argparse.Namespace) -> Study:
    found = {key: remedy(spec, key, args.trials) for key in REMEDIES}
    return blind_study(spec, found, REMEDY_NAMES)


def _numbers(text: str) -> Numbers:
    """Parse numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers between commas, got {text!r}") from None


_Make = Callable[[ProblemSpec, argparse.Namespace], Study]
_TRIALS = "problems drawn at each value (default: %(default)s)"
_OPTIONS: dict[str, dict[str, Any]] = {
    "--values": {"type": _numbers, "required": True, "metavar": "X,X,..."},
    "--lam": {"type": float, "required": True, "metavar": "X", "help": "the price of entry into S"},
    "--trials": {"type": int, "metavar": "N", "help": _TRIALS},
}
#: What each section computes, in a line; and its own options, with what differs from `_OPTIONS`.
_SECTIONS: dict[str, tuple[_Make, str, Mapping[str, Mapping[str, Any]]]] = {
    "window": (_window, "error of the split along λ", {"--values": {"help": "values of λ"}}),
    "certificate": (_certificate, "whether the split can be proven right", {"--lam": {}}),
    "stable": (
        _stable,
        "error of the subspace along the noise",
        {"--values": {"help": "noise levels"}},
    ),
    "sets": (
        _sets,
        "whether exactly the poisoned are flagged",
        {
            "--along": {"choices": ("noise", "attack_scale"), "default": "noise"},
            "--values": {"help": "of what --along names"},
            "--trials": {"default": 4},
        },
    ),
    "gain": (
        _gain,
        "error of the honest clients, measured and predicted",
        {
            "--along": {
                "choices": ("off_subspace", "noise", "n_clients"),
                "default": "off_subspace",
            },
            "--values": {"help": "of what --along names"},
            "--trials": {"default": 4},
        },
    ),
    "blind": (
        _blind,
        "what helps against a blind spot, and what it flags by mistake",
        {"--trials": {"default": 8}},
    ),
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``theory`` subcommand; its ``run`` default takes the parsed arguments."""
    parser = commands.add_parser(
        "theory",
        description="Compute one section of the Theory page; the table is printed as "
        "comma-separated values. The page writes these commands out: Take it away, Reproduce this.",
    )
    sections = parser.add_subparsers(required=True, metavar="section")
    for name, (make, about, own) in _SECTIONS.items():
        section = sections.add_parser(name, help=about, description=f"{about.capitalize()}.")
        for option, changes in own.items():
            section.add_argument(option, **{**_OPTIONS.get(option, {}), **changes})
        drawn = section.add_argument_group("the problem that is drawn")
        for field in fields(ProblemSpec):
            kind = type(field.default)
            how: dict[str, Any] = {"type": kind, "metavar": "N" if kind is int else "X"}
            if field.name in ("attack", "second_attack"):
                how = {"choices": tuple(ATTACKS)}
            drawn.add_argument(
                PROBLEM_OPTIONS[field.name],
                dest=f"problem_{field.name}",
                default=field.default,
                help=f"default: {field.default}",
                **how,
            )
        section.add_argument(
            "--json", metavar="FILE", help='write all numbers; "-" writes them to the output'
        )
        section.set_defaults(run=_run, make=make)


def _run(args: argparse.Namespace) -> int:
    def compute() -> tuple[dict[str, Any], str]:
        with options_named(PROBLEM_OPTIONS):
            given = {name: getattr(args, f"problem_{name}") for name in PROBLEM_OPTIONS}
            spec = ProblemSpec(**given)
            study = args.make(spec, args)
        numbers = study_json(study, study.title, asdict(spec))
        return numbers, f"{study.title}\n\n{to_csv(study.table).rstrip()}"

    return perform("theory", args.json, compute)
