"""State of the page "Your adapters": its controls, and audits that leave nothing behind.

Uploaded bytes live in the visitor's sessions (`adapters_upload`) and in a temporary folder. The
folder exists only while a job of the server's queue makes an audit or a download. Results are kept
in the session. Only the result of the bundled example, which is public, is in a shared cache.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clair.adapters import Audit, AuditOptions, WrittenAdapter, audit, read_folder, write_refined
from clair.adapters.archive import UNPACKED_BYTES, UPLOAD_BYTES, UPLOAD_LIMITS, read_uploads
from clair.adapters.assemble import AdapterSet
from clair.adapters.errors import AdapterError
from clair.adapters.folder import EXAMPLE
from clair.adapters.halves import halves_of
from clair.adapters.limits import DEFAULT, MIB, Limits
from clair.adapters.progress import AuditProgress, Progress
from clair.adapters.work import audit_work
from clair.app.kit.shared import shared
from clair.app.kit.state import Control

Cancel = Callable[[], bool]

#: Jobs of this page: its audits, and the refined adapters to take away.
KIND, REFINED = "adapters", "refined"
#: Share of the time for making refined adapters that goes into judging again.
_JUDGING = 0.6

LIMITS_WORDS = (
    f"At most {UPLOAD_BYTES // MIB} MB in all, {UNPACKED_BYTES // MIB} MB unpacked and "
    f"{UPLOAD_LIMITS.clients} adapters. Files are in this server's memory while this app is open "
    "in your browser and on its disk while a result is computed. No other visitor sees them, "
    "though whoever runs the server could, and they are gone five minutes after you close the last "
    "tab at the latest. For larger sets, or adapters that must not leave your machine: python -m "
    "clair audit DIR there."
)
HOW_WORDS = (
    "Zips of one or more PEFT adapters (adapter_config.json and adapter_model.safetensors in a "
    "folder each), or pairs site1.safetensors and site1.json; LoRA of kohya, diffusers and mlx-lm "
    "are read too. Pickles (.bin) are refused, as opening one can run a stranger's program. "
    "Optional: what each client gets from either half of its data, under the same names in folders "
    "or zips named half-a and half-b; refined adapters then follow those halves (ours)."
)

SETTINGS: tuple[Control, ...] = (
    Control(
        "use_rank",
        "Shared rank",
        "scale",
        "auto",
        "Number of directions honest clients share in each module. Automatic: the rank that best "
        "predicts clients it was not fitted on.",
        options=(("auto", "auto"), *((r, str(r)) for r in range(1, 9))),
        group="judge",
    ),
    Control(
        "side",
        "Side that decides",
        "segment",
        "output",
        "Output: columns of the updates (LoRA's B). Input: rows (LoRA's A), on which clients that "
        "start from one common A agree whatever they were trained on. Both are computed.",
        options=(("output", "Output"), ("input", "Input")),
        group="judge",
    ),
    Control(
        "shape",
        "Shape of the updates",
        "flag",
        True,
        "Also compares how heavy-tailed the updates' entries are, wherever they point. Needs three "
        "modules that all clients have with the same rank.",
        group="judge",
    ),
    Control(
        "screen",
        "Coefficient screen",
        "flag",
        False,
        "Also flags clients whose update points against the majority inside the shared subspace, "
        "as sign flips do.",
        group="judge",
    ),
    Control(
        "pooling",
        "Empirical-Bayes pooling",
        "segment",
        "none",
        "Off: the paper's refinement, with our verdict. On (ours) also shrinks clients towards "
        "each other inside the subspace, as far as their differences look like noise.",
        options=(("none", "Off"), ("eb", "On")),
        group="write",
    ),
    Control(
        "size",
        "Rank of refined adapters",
        "choice",
        "own",
        "What is lost by cutting to a rank is reported with the download.",
        options=(
            ("own", "Each client's own"),
            ("energy90", "Keep 90 % of the energy"),
            ("energy99", "Keep 99 % of the energy"),
            *((f"rank{r}", f"Rank {r}") for r in (4, 8, 16, 32)),
        ),
        group="write",
    ),
)

VIEW = Control(
    "view",
    "View",
    "segment",
    "verdict",
    "What is drawn. All views show the same result.",
    options=(
        ("verdict", "Verdict"),
        ("evidence", "Evidence"),
        ("where", "Where"),
        ("modules", "Modules"),
        ("sides", "Both sides"),
    ),
    group="view",
)
CONTROLS: tuple[Control, ...] = (*SETTINGS, VIEW)


#: Headings of the groups of settings.
GROUPS = {"judge": "How they are judged", "write": "What is written back"}


def options_of(values: dict[str, Any]) -> AuditOptions:
    """Build the audit options that the controls describe."""
    return AuditOptions(
        rank=values["use_rank"],
        side=values["side"],
        pooling=values["pooling"],
        screen_coefficients=values["screen"],
        compare_shape=values["shape"],
    )


def size_of(values: dict[str, Any]) -> dict[str, Any]:
    """Translate the chosen size into keyword arguments of `write_refined`."""
    match = re.fullmatch(r"(own|energy|rank)(\d*)", values["size"])
    if match is None or match[1] == "own":
        return {}
    return {"rank": int(match[2])} if match[1] == "rank" else {"energy": int(match[2]) / 100}


@dataclass(frozen=True)
class Source:
    """Where adapters come from: what a visitor uploaded, or nothing for the bundled example.

    Attributes
    ----------
    files : tuple of (name, id, bytes)
        The id changes with the content.
    """

    files: tuple[tuple[str, str, bytes], ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """Identifiers of the files within a session."""
        return tuple(file_id for _, file_id, _ in self.files)

    @property
    def limits(self) -> Limits:
        """Limits on what an audit of these files may use."""
        return UPLOAD_LIMITS if self.files else DEFAULT

    def read(self, folder: Path, cancelled: Cancel | None = None) -> AdapterSet:
        """Read the adapters of this source; uploads are unpacked into `folder`."""
        if not self.files:
            return read_folder(EXAMPLE)
        files = [(name, io.BytesIO(data)) for name, _, data in self.files]
        return read_uploads(files, folder, cancelled=cancelled)


@dataclass(frozen=True)
class TimedProgress(AuditProgress):
    """Progress of an audit whose cost was estimated before it began.

    Attributes
    ----------
    expected : float
        Seconds on one core of the whole audit.
    """

    expected: float

    @property
    def seconds_left(self) -> float:
        """Seconds that the audit is expected to go on for."""
        return self.expected * (1 - self.fraction)


def _judge(
    source: Source,
    options: AuditOptions,
    folder: Path,
    progress: Progress | None,
    cancelled: Cancel | None,
) -> Audit:
    """Audit a source in `folder`; report first how long that will take."""
    found = source.read(folder, cancelled)
    expected = audit_work(found).seconds

    def timed(seen: AuditProgress) -> None:
        if progress is not None:
            step = (seen.stage, seen.step, seen.total_steps, seen.fraction)
            progress(TimedProgress(*step, expected=expected))

    timed(AuditProgress("folder", 1, 1, 0.0))
    halves = None if found.halves is None else halves_of(*found.halves, source.limits)
    if halves is not None:
        options = replace(options, pooling="halves")
    return audit(
        found, options, halves=halves, progress=timed, cancelled=cancelled, limits=source.limits
    )


def run(
    source: Source,
    options: AuditOptions,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
) -> Audit:
    """Audit a source in a temporary folder and keep nothing but the result.

    Raises
    ------
    clair.cancellation.Cancelled
        If `cancelled` answered True.
    """
    with _folder() as folder:
        try:
            return replace(_judge(source, options, folder, progress, cancelled), judged=None)
        except AdapterError as error:
            return Audit(options, (), reason=str(error))


@shared(most=64)
def bundled(options: AuditOptions) -> Audit:
    """Audit the bundled example."""
    return run(Source(), options)


@shared(most=1)
def sample_zip() -> bytes:
    """Pack the bundled example as a visitor would pack an upload."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(EXAMPLE.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(EXAMPLE).as_posix())
    return buffer.getvalue()


def truth() -> list[str]:
    """List the names of the bundled example's poisoned clients; no method sees them."""
    recorded = json.loads(EXAMPLE.with_name("truth.json").read_text(encoding="utf-8"))
    names: list[str] = recorded["poisoned"]
    return names


def refined_zip(
    source: Source,
    options: AuditOptions,
    size: dict[str, Any],
    progress: Progress = lambda seen: None,
    cancelled: Cancel | None = None,
) -> bytes:
    """Pack refined adapters of the kept clients and a table of truncation errors into a zip.

    Raises
    ------
    clair.cancellation.Cancelled
        If `cancelled` answered True.
    """

    def judging(seen: AuditProgress) -> None:
        progress(replace(seen, fraction=_JUDGING * seen.fraction))

    def writing(seen: AuditProgress) -> None:
        progress(replace(seen, fraction=_JUDGING + (1 - _JUDGING) * seen.fraction))

    buffer = io.BytesIO()
    with _folder() as folder:
        incoming, target = folder / "in", folder / "out"
        incoming.mkdir()
        result = _judge(source, options, incoming, judging, cancelled)
        written = write_refined(
            result, target, progress=writing, cancelled=cancelled, limits=source.limits, **size
        )
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for entry in written:
                for path in sorted(entry.folder.iterdir()):
                    archive.write(path, path.relative_to(target).as_posix())
            archive.writestr("truncation.json", json.dumps(_truncation(written), indent=1))
    return buffer.getvalue()


def _truncation(written: Sequence[WrittenAdapter]) -> list[dict[str, Any]]:
    return [
        {"client": w.name, "rank": w.rank, "truncation_error": float(f"{w.truncation_error:.6g}")}
        for w in written
    ]


@contextmanager
def _folder() -> Any:
    path = Path(tempfile.mkdtemp(prefix="clair-adapters-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
