"""``python -m clair audit``: which adapters of a folder to trust, from the command line."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from clair.adapters import (
    EXAMPLE,
    AdapterError,
    Audit,
    AuditOptions,
    audit,
    audit_json,
    read_folder,
    read_halves,
    write_refined,
)
from clair.adapters.errors import printable
from clair.adapters.options import PEFT_SIDES
from clair.adapters.report import client_notes, evidence_lines, side_lines, some, verdict_table
from clair.adapters.result import EXIT_UNDECIDED
from clair.adapters.writer import WrittenAdapter
from clair.cli.terminal import WORKER_OPTIONS, ProgressBar
from clair.executors import WorkerFailed, cpu_count
from clair.method.choices import DETECTORS, SOLVERS

EXIT_INTERRUPTED = 130
_EPILOG = """\
exit codes: 0 everything could be judged and nobody stands out; 1 somebody is flagged; 2 an adapter,
folder or module could not be judged or compared, unless --allow-unjudged (also: fewer than 4
adapters, wrong usage); 3 nobody is flagged, but somebody is suspect; 130 interrupted. Where several
apply, 1 goes before 2 before 3.

one site has one vote, however many adapters, checkpoints or copies of one update it sent.

suspects stand a little apart, too little to convict, may just have few data, or repeat each other:
they are refined and written like those kept, but the others learn little or nothing from them;
those who repeat each other share one vote."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``audit`` subcommand; its ``run`` default takes the parsed arguments."""
    parser = commands.add_parser(
        "audit",
        description="Judge every LoRA adapter below a folder (PEFT, and LoRA of kohya, diffusers "
        "and mlx-lm) by what it shares with the others, and write refined adapters of those not "
        "flagged.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "folder", metavar="DIR", type=Path, nargs="?", help="holds one folder an adapter"
    )
    source.add_argument(
        "--example",
        action="store_true",
        help="judge the ten adapters that come with CLAIR, two of them poisoned",
    )
    _add_verdict(parser)
    parser.add_argument("--out", metavar="FILE", type=Path, help="write all numbers as JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a self-contained report")
    _add_refinement(parser)
    for option, settings in WORKER_OPTIONS.items():
        parser.add_argument(option, **settings)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def _add_verdict(parser: argparse.ArgumentParser) -> None:
    """Add what the verdict is asked."""
    parser.add_argument(
        "--rank", type=_rank, default="auto", help='of the shared subspace, or "auto" (default)'
    )
    parser.add_argument(
        "--side",
        choices=PEFT_SIDES,
        default="output",
        help="what the verdict looks at: columns (output, default) or rows (input)",
    )
    parser.add_argument("--solver", choices=SOLVERS, default="convex", help="default: convex")
    parser.add_argument(
        "--detector",
        choices=DETECTORS,
        default="residual",
        help="ours (residual, default), or contamination norms as published (norms)",
    )
    parser.add_argument(
        "--screen", action="store_true", help="also look for sign flips inside the subspace"
    )
    parser.add_argument(
        "--no-shape", action="store_true", help="do not compare how heavy-tailed the updates are"
    )
    parser.add_argument(
        "--any-base", action="store_true", help="do not compare the names of base models"
    )
    parser.add_argument(
        "--allow-unjudged",
        action="store_true",
        help="end with 0 or 3 although some adapters, folders or modules could not be judged",
    )


def _add_refinement(parser: argparse.ArgumentParser) -> None:
    """Add what is written for those who are not flagged."""
    parser.add_argument(
        "--write",
        metavar="DIR",
        type=Path,
        help="write refined adapters of all who are not flagged",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--write-rank", metavar="R", type=int, help="rank of refined adapters (default: as before)"
    )
    size.add_argument(
        "--write-energy", metavar="SHARE", type=float, help="or the rank that keeps this share"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--pooling",
        choices=("none", "eb"),
        default="none",
        help="the paper's refinement with our verdict (none, default), or empirical-Bayes pooling "
        "(eb, ours) besides",
    )
    how.add_argument(
        "--halves",
        nargs=2,
        metavar=("DIR_A", "DIR_B"),
        type=Path,
        help="two more adapters of each client, trained on either half of its data, under the same "
        "names: refine just as far as they show that it pays",
    )


def _rank(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f'must be a whole number >= 1 or "auto", got {text!r}')
    return value


def run(args: argparse.Namespace) -> int:
    """Run the audit that the arguments describe and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a name shows its escape
            stream.reconfigure(errors="backslashreplace")
    bar = ProgressBar(sys.stderr, enabled=sys.stderr.isatty() and not args.quiet)
    try:
        return _run(args, bar)
    except KeyboardInterrupt:
        bar.clear()
        print("Interrupted; nothing was written.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (AdapterError, ValueError, WorkerFailed) as error:
        bar.clear()
        print(f"clair audit: {error}", file=sys.stderr)
        return EXIT_UNDECIDED
    except BrokenPipeError:
        raise
    except OSError as error:
        bar.clear()
        where = f"{printable(error.filename)}: " if error.filename else ""
        print(f"clair audit: {where}{error.strerror or error}", file=sys.stderr)
        return EXIT_UNDECIDED


def _run(args: argparse.Namespace, bar: ProgressBar) -> int:
    options = AuditOptions(
        rank=args.rank,
        side=args.side,
        solver=args.solver,
        detector=args.detector,
        pooling=args.pooling if args.halves is None else "halves",
        screen_coefficients=args.screen,
        compare_shape=not args.no_shape,
        allow_unjudged=args.allow_unjudged,
    )
    folder = EXAMPLE if args.example else args.folder
    try:
        result = _audit(folder, options, args, bar)
        unread = None
    except AdapterError as error:
        unread, result = error, Audit(options, (), reason=str(error))
    written: tuple[WrittenAdapter, ...] = ()
    if args.write is not None and result.judged is not None:
        written = write_refined(
            result, args.write, rank=args.write_rank, energy=args.write_energy, progress=bar.show
        )
    bar.clear()
    _save(result, written, args)
    if unread is not None:
        raise unread
    _print(result, written, args)
    return result.exit_code


def _audit(
    folder: Path, options: AuditOptions, args: argparse.Namespace, bar: ProgressBar
) -> Audit:
    found = read_folder(folder, any_base=args.any_base, progress=bar.show)
    halves = None
    if args.halves is not None:
        halves = read_halves(*args.halves, any_base=args.any_base, progress=bar.show)
    workers = min(2, cpu_count()) if args.workers is None else args.workers
    return audit(
        found,
        options,
        halves=halves,
        progress=bar.show,
        workers=workers,
        scheduler=args.scheduler,
    )


def _save(result: Audit, written: Sequence[WrittenAdapter], args: argparse.Namespace) -> None:
    """Write the files that were asked for, also where nothing could be judged."""
    if args.out is not None:
        text = json.dumps(audit_json(result, written), indent=1, ensure_ascii=False)
        _replace(args.out, text + "\n")
    if args.html is not None:
        from clair.report.adapters import audit_report
        from clair.report.page import to_html

        # the report is sent to others: the folder's place on this machine is not theirs to know
        report = audit_report(result, written)
        _replace(args.html, to_html(report))


def _replace(path: Path, text: str) -> None:
    """Write a whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _print(result: Audit, written: Sequence[WrittenAdapter], args: argparse.Namespace) -> None:
    width = shutil.get_terminal_size((100, 24)).columns
    print(result.sentence())
    print()
    print(verdict_table(result, width))
    lines = [
        *evidence_lines(result),
        *side_lines(result),
        *(f"note: {note}" for note in (*result.notes, result.caveat) if note),
    ]
    lines += [f"note: {note}" for note in client_notes(result)]
    if lines:
        print()
        print("\n".join(lines))
    if written:
        worst = max(written, key=lambda entry: entry.truncation_error)
        print(
            f"wrote {len(written)} refined adapters to {printable(args.write)}; largest truncation "
            f"error {worst.truncation_error:.1%} ({worst.name}, rank {worst.rank})"
        )
        for note in dict.fromkeys(entry.note for entry in written if entry.note):
            who = [entry.name for entry in written if entry.note == note]
            print(f"note: {some(who)}: {note}")
    elif args.write is not None:
        print("nothing to write: there is no verdict")
    for path in (args.out, args.html):
        if path is not None:
            print(f"wrote {printable(path)}")
