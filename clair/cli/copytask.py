"""``python -m clair copytask``: the text-copying job from the command line."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from clair.baselines import METHODS
from clair.cli.terminal import ProgressBar, options_named, perform, rank_option
from clair.federated.copytask import ATTACKS, CopyTaskConfig, CopyTaskResult, run_copytask
from clair.federated.copytask.config import DEVICES, PRECISIONS
from clair.federated.task_result import task_json
from clair.sentences import verdict_lines

#: Option of each setting.
OPTIONS = {
    "n_clients": "--clients",
    "poisoned_fraction": "--poisoned",
    "heterogeneity": "--heterogeneity",
    "attack": "--attack",
    "screen_coefficients": "--screen",
    "rank": "--rank",
    "steps": "--steps",
    "n_local": "--sentences",
    "seed": "--seed",
    "device": "--device",
    "precision": "--precision",
    "threads": "--threads",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``copytask`` subcommand; its ``run`` default takes the parsed arguments."""
    default = CopyTaskConfig()
    parser = commands.add_parser(
        "copytask",
        description="Train all clients of the text-copying task, run CLAIR on their adapters and "
        "compare every method on held-out text.",
        epilog="attacks:\n" + "\n".join(f"  {a.key:13} {a.label}" for a in ATTACKS.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def option(flag: str, about: str, **settings: Any) -> None:
        parser.add_argument(flag, help=f"{about} (default: %(default)s)", **settings)

    option("--clients", "4 to 64", type=int, default=default.n_clients)
    option("--poisoned", "share, below 0.5", type=float, default=default.poisoned_fraction)
    option(
        "--heterogeneity",
        "how much styles and topics differ, 0 to 1",
        type=float,
        default=default.heterogeneity,
    )
    option("--attack", "see below", choices=tuple(ATTACKS), default=default.attack)
    option("--rank", 'of the shared subspace, or "auto"', type=rank_option, default=default.rank)
    switch = parser.add_argument
    switch("--screen", action="store_true", help="also look for sign flips inside the subspace")
    option("--steps", "of local training", type=int, default=default.steps)
    option("--sentences", "training sentences of a client", type=int, default=default.n_local)
    option("--seed", "which random draw", type=int, default=default.seed)
    option("--device", "what trains", choices=DEVICES, default=default.device)
    option("--precision", "of training", choices=PRECISIONS, default=default.precision)
    option("--threads", "CPU threads of torch", type=int, default=default.threads)
    switch("--json", metavar="FILE", help='write the numbers as JSON; "-" for standard output')
    switch("--quiet", action="store_true", help="no progress on standard error")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the job that the arguments describe and return the exit code."""
    bar = ProgressBar(sys.stderr, enabled=not args.quiet)

    def compute() -> tuple[dict[str, Any], str]:
        with options_named(OPTIONS):
            config = CopyTaskConfig(
                n_clients=args.clients,
                poisoned_fraction=args.poisoned,
                heterogeneity=args.heterogeneity,
                attack=args.attack,
                rank=args.rank,
                screen_coefficients=args.screen,
                steps=args.steps,
                n_local=args.sentences,
                seed=args.seed,
                device=args.device,
                precision=args.precision,
                threads=args.threads,
            )
            result = run_copytask(config, progress=bar.show)
        return task_json("copytask", result.to_json()), report(result)

    return perform("copytask", args.json, compute, bar.clear)


def report(result: CopyTaskResult) -> str:
    """Write the result as a summary with a table below it."""
    width = max(len(METHODS[key].label) for key in result.accuracy)
    lines = [
        result.summary(),
        "",
        f"{'':{width}}  exact match      tokens",
    ]
    for key, value in result.accuracy.items():
        numbers = value.to_json()
        lines.append(
            f"{METHODS[key].label:{width}}  {numbers['exact_match']:.3f} ± "
            f"{numbers['exact_match_sd']:.3f}    {numbers['token']:.3f}"
            + ("   oracle" if METHODS[key].oracle else "")
        )
    found = result.detection
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in result.seconds.items())
    return "\n".join(
        [
            *lines,
            "",
            *verdict_lines(result.fit, result.contaminated),
            *([f"sharing: {result.sharing.reason}"] if result.sharing is not None else []),
            f"precision {found.precision:.2f}, recall {found.recall:.2f}, F1 {found.f1:.2f}; "
            f"rank {result.fit.rank}, margin {result.fit.margin:.2f}",
            f"{result.device}; seconds: {seconds}",
            *(f"note: {note}" for note in result.fit.notes),
        ]
    )
