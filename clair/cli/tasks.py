"""Subcommands of ``python -m clair`` made from the tasks' configs; importing this needs no torch.

A task is one entry of `TASKS`. Its options have the names, defaults and types of the config's
fields, and the config checks them.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from clair import flower
from clair.cli.commands import COMMANDS
from clair.cli.terminal import ProgressBar, options_named, perform, rank_option
from clair.federated import copytask, digits, llm, regression
from clair.federated.config import FederationConfig
from clair.federated.llm.peft_folders import check_target, write_sent
from clair.federated.task_result import TaskResult, means_of, task_json
from clair.methods import METHODS

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
    name : str
        A key of `clair.cli.commands.COMMANDS`.
    config : type
        Frozen dataclass of the settings.
    run : callable
        ``run(config)``, or with `live` ``run(config, progress=...)``; returns a `TaskResult`.
    measures : tuple of str
        Fields of its scores that the printed table shows.
    attacks : mapping of str to attack
        Listed with their ``label`` under the help.
    short : mapping of str to str
        Further names of options that differ from the field's.
    live : bool
        Whether the run reports its progress.
    write : callable, optional
        ``write(folder, result)`` writes what the clients sent, as PEFT folders; its option
        ``--write`` is checked before the run.
    """

    name: str
    config: type[FederationConfig]
    run: Run
    measures: tuple[str, ...]
    attacks: Mapping[str, Any]
    short: Mapping[str, str] = field(default_factory=dict)
    live: bool = True
    write: Callable[[Path, Any], object] | None = None

    def option(self, name: str) -> str:
        """Name the option that sets a field of the config."""
        return f"--{(SHORT | dict(self.short)).get(name, name).replace('_', '-')}"

    @property
    def options(self) -> dict[str, str]:
        """Option of every field."""
        return {one.name: self.option(one.name) for one in fields(self.config)}


TASKS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(
            "copytask",
            copytask.CopyTaskConfig,
            copytask.run_copytask,
            ("exact_match", "token"),
            copytask.ATTACKS,
            {"n_local": "sentences"},
        ),
        Command(
            "regression",
            regression.RegressionConfig,
            regression.run_regression,
            ("excess",),
            regression.ATTACKS,
            live=False,
        ),
        Command(
            "digits",
            digits.DigitsConfig,
            digits.run_digits,
            ("accuracy",),
            digits.ATTACKS,
        ),
        Command(
            "llm",
            llm.LLMConfig,
            llm.run_llm,
            ("accuracy", "backdoor"),
            llm.ATTACKS,
            write=write_sent,
        ),
        Command(
            "federation",
            flower.FlowerConfig,
            flower.run_flower,
            ("sent", "trained"),
            flower.ATTACKS,
        ),
    )
}


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults after every option, and the list of attacks as it is."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add a subcommand for every task; its ``run`` default takes the parsed arguments."""
    for command in TASKS.values():
        _, about = COMMANDS[command.name]
        width = max(map(len, command.attacks))
        listed = (f"  {key:{width}}  {one.label}" for key, one in command.attacks.items())
        parser = commands.add_parser(
            command.name,
            description=f"{about[0].upper()}{about[1:]}; prints how well every "
            "method serves the honest clients.",
            epilog="\n".join(["attacks:", *listed]),
            formatter_class=_Help,
        )
        _add_options(parser, command)
        parser.add_argument(
            "--json", metavar="FILE", help='write the whole result; "-" writes it to the output'
        )
        if command.write is not None:
            parser.add_argument(
                "--write",
                metavar="DIR",
                type=Path,
                help="write what every client sent, as folders that clair audit and PEFT read",
            )
        parser.add_argument("--quiet", action="store_true", help="show no progress")
        parser.set_defaults(run=partial(_run, command))


def _add_options(parser: argparse.ArgumentParser, command: Command) -> None:
    hints, words = get_type_hints(command.config), _documented(command.config)
    for one in fields(command.config):
        if one.default is MISSING:
            continue
        parser.add_argument(
            command.option(one.name),
            default=one.default,
            dest=f"task_{one.name}",
            help=words.get(one.name, " "),
            **_kind(one, hints[one.name]),
        )


def _kind(one: Field[Any], hint: Any) -> dict[str, Any]:
    """Make the keywords of an option from the type and the rule of its field."""
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if "choices" in one.metadata:
        return {"choices": one.metadata["choices"]}
    if one.name == "rank":
        return {"type": rank_option, "metavar": "N|auto"}
    return {"type": _number(hint), "metavar": "N" if int in _parts(hint) else "X"}


def _documented(config: type[FederationConfig]) -> dict[str, str]:
    """Read from the docstrings of a config and its bases what they say about each attribute."""
    words: dict[str, str] = {}
    for one in reversed(config.__mro__):
        if "Attributes\n" in (text := inspect.cleandoc(one.__doc__ or "")):
            words |= _attributes(text.split("Attributes\n----------\n")[1])
    return words


def _attributes(section: str) -> dict[str, str]:
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
    """Make a parser for a number, or for "none" where the type allows that."""
    if hint is str:
        return str
    kind: type = int if int in _parts(hint) else float

    def parse(text: str) -> Any:
        return None if text == "none" and type(None) in _parts(hint) else kind(text)

    parse.__name__ = kind.__name__  # what argparse calls it in an error
    return parse


def _parts(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__args__", (hint,))


def _run(command: Command, args: argparse.Namespace) -> int:
    bar = ProgressBar(sys.stderr, enabled=command.live and not args.quiet)
    folder: Path | None = args.write if command.write is not None else None

    def compute() -> tuple[dict[str, Any], str]:
        with options_named(command.options | {"write": "--write"}):
            config = command.config(**{n: getattr(args, f"task_{n}") for n in command.options})
            if folder is not None:
                check_target(folder)
            result = command.run(config, **({"progress": bar.show} if command.live else {}))
        if command.write is not None and folder is not None:
            command.write(folder, result)
        return task_json(command.name, result.to_json()), report(result, command.measures)

    return perform(command.name, args.json, compute, bar.clear)


def report(result: TaskResult, measures: tuple[str, ...]) -> str:
    """Write the summary, who was flagged or is suspect and why, and a table of methods."""
    columns = [means_of(result.accuracy, measure) for measure in measures]
    width = max(len(METHODS[key].label) for key in columns[0])
    wide = [max(len(measure), 5) for measure in measures]

    def row(label: str, cells: list[str]) -> str:
        return f"  {label:<{width}}  " + "  ".join(map(str.ljust, cells, wide))

    rows = [
        row(METHODS[key].label, [f"{column[key]:.3f}" for column in columns])
        + "  (oracle)" * METHODS[key].oracle
        for key in columns[0]
    ]
    seconds = result.seconds.items()
    return "\n".join(
        [
            result.summary(),
            "",
            *result.told(),
            "",
            "the honest clients:",
            row("", list(measures)),
            *rows,
            "",
            f"{result.device}; seconds: "
            + ", ".join(f"{stage} {value:.1f}" for stage, value in seconds),
            *(f"note: {note}" for note in result.fit.notes),
        ]
    )
