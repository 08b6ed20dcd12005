"""Subcommands of ``python -m clair`` made from the tasks' configs; importing this needs no torch.

A task is one entry of `COMMANDS`. Its options have the names, defaults and types of the config's
fields, and the config checks them.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import partial
from typing import Any, get_type_hints

from clair.baselines import METHODS
from clair.cli.terminal import ProgressBar, options_named, perform
from clair.federated.digits import ATTACKS as DIGITS_ATTACKS
from clair.federated.digits import LAYERS, DigitsConfig, run_digits
from clair.federated.regression import ATTACKS as REGRESSION_ATTACKS
from clair.federated.regression import RegressionConfig, run_regression
from clair.federated.task_result import means_of, task_json
from clair.sentences import verdict_lines

#: Options that are shorter than the field they set.
SHORT = {
    "n_clients": "clients",
    "poisoned_fraction": "poisoned",
    "screen_coefficients": "screen",
    "compare_shape": "shape",
}
Run = Callable[..., Any]


@dataclass(frozen=True)
class Command:
    """One task on the command line.

    Attributes
    ----------
    name, help : str
    config : type
        Frozen dataclass with ``to_json``.
    run : callable
        ``run(config)``, or with `live` ``run(config, progress=...)``; returns a `TaskResult`.
    measure : str
        The field of its scores that the printed table shows.
    choices : mapping of field to values
    live : bool
        Whether the run reports its progress.
    """

    name: str
    help: str
    config: Callable[..., Any]
    run: Run
    measure: str
    choices: dict[str, tuple[str, ...]]
    live: bool = True


COMMANDS: tuple[Command, ...] = (
    Command(
        "regression",
        "many small regressions, some of them poisoned",
        RegressionConfig,
        run_regression,
        "excess",
        {"attack": tuple(REGRESSION_ATTACKS)},
        live=False,
    ),
    Command(
        "digits",
        "fine-tune a small network on real digits at many clients, some of them poisoned",
        DigitsConfig,
        run_digits,
        "accuracy",
        {"attack": tuple(DIGITS_ATTACKS), "layers": tuple(LAYERS)},
    ),
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add a subcommand for every task; its ``run`` default takes the parsed arguments."""
    for command in COMMANDS:
        parser = commands.add_parser(
            command.name,
            description=f"{command.help[0].upper()}{command.help[1:]}; prints how well every "
            "method serves the honest clients.",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        _add_options(parser, command)
        parser.add_argument(
            "--json", metavar="FILE", help='write the whole result; "-" writes it to the output'
        )
        parser.add_argument("--quiet", action="store_true", help="show no progress")
        parser.set_defaults(run=partial(_run, command))


def _add_options(parser: argparse.ArgumentParser, command: Command) -> None:
    hints, words = get_type_hints(command.config), _documented(command.config)
    for field in fields(command.config):  # type: ignore[arg-type]
        if field.default is MISSING:
            continue
        options: dict[str, Any] = {
            "default": field.default,
            "dest": f"task_{field.name}",
            "help": words.get(field.name, " "),
        }
        hint = hints[field.name]
        if hint is bool:
            options |= {"action": argparse.BooleanOptionalAction}
        elif field.name in command.choices:
            options |= {"choices": command.choices[field.name]}
        else:
            options |= {"type": _number(hint), "metavar": _metavar(hint)}
        parser.add_argument(option_name(field.name), **options)


def _documented(config: Any) -> dict[str, str]:
    """Read from a config's docstring what it says about each attribute."""
    section = inspect.cleandoc(config.__doc__).split("Attributes\n----------\n")[1]
    words: dict[str, list[str]] = {}
    names: list[str] = []
    for line in section.split("\n\n")[0].splitlines():
        if line.startswith(" "):
            for name in names:
                words[name].append(line.strip())
        else:
            names = [name.strip() for name in line.split(" : ")[0].split(",")]
            words |= {name: [] for name in names}
    return {name: " ".join(lines).replace("%", "%%") or " " for name, lines in words.items()}


def _number(hint: Any) -> Callable[[str], Any]:
    """Make a parser for a field's type: a number, or a word where the type allows one."""
    if hint in (int, float, str):
        return hint

    def parse(text: str) -> Any:
        if text == "none" and type(None) in hint.__args__:
            return None
        for kind in (int, float):
            if kind in hint.__args__:
                try:
                    return kind(text)
                except ValueError:
                    continue
        return text

    return parse


def _metavar(hint: Any) -> str:
    return {int: "N", float: "X", str: "NAME"}.get(hint, "N|auto" if int in _parts(hint) else "X")


def _parts(hint: Any) -> tuple[Any, ...]:
    return tuple(getattr(hint, "__args__", ()))


def _run(command: Command, args: argparse.Namespace) -> int:
    names = [field.name for field in fields(command.config)]  # type: ignore[arg-type]
    bar = ProgressBar(sys.stderr, enabled=command.live and not args.quiet)

    def compute() -> tuple[dict[str, Any], str]:
        with options_named({name: option_name(name) for name in names}):
            config = command.config(**{name: getattr(args, f"task_{name}") for name in names})
            result = command.run(config, **({"progress": bar.show} if command.live else {}))
        return task_json(command.name, result.to_json()), _report(result, command.measure)

    return perform(command.name, args.json, compute, bar.clear)


def option_name(name: str) -> str:
    """Name the command-line option that sets a field of a config."""
    return f"--{SHORT.get(name, name).replace('_', '-')}"


def _report(result: Any, measure: str) -> str:
    """Write the summary, who was flagged or is suspect and why, and a table of methods."""
    means = means_of(result.accuracy, measure)
    width = max(len(METHODS[key].label) for key in means)
    rows = [
        f"  {METHODS[key].label:<{width}}  {value:.3f}" + "  (oracle)" * METHODS[key].oracle
        for key, value in means.items()
    ]
    verdict = verdict_lines(result.fit, result.contaminated)
    if result.sharing is not None:
        verdict.append(f"sharing: {result.sharing.reason}")
    return "\n".join(
        [result.summary(), "", *verdict, "", f"{measure} of the honest clients:", *rows]
    )
