"""Refined adapters on disk, in the form in which each client's own came: scaling 1, float32."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from clair._threads import single_blas_thread
from clair._validation import check_integer, check_real
from clair.adapters.errors import AdapterError, printable
from clair.adapters.exported import Export
from clair.adapters.formats import CONFIG_NAME, WEIGHTS_NAME
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.progress import Progress, Stages
from clair.adapters.refined import Plan
from clair.adapters.result import Audit
from clair.adapters.work import require_room
from clair.cancellation import cancellable, checkpoint

# Bytes of a folder's name, and folders in a path; any file system accepts these.
_NAME_BYTES, _LEVELS = 80, 4


@dataclass(frozen=True)
class WrittenAdapter:
    """A refined adapter.

    Attributes
    ----------
    name : str
        Of the client, safe to show.
    folder : Path
    rank : int
    truncation_error : float
        ``||X - X_rank||_F / ||X||_F`` over all modules, X the refined update before truncation.
    note : str
        What a reader should know about the files; "" if nothing.
    """

    name: str
    folder: Path
    rank: int
    truncation_error: float
    note: str = ""


def write_refined(
    audit: Audit,
    target: Path,
    *,
    rank: int | None = None,
    energy: float | None = None,
    limits: Limits = DEFAULT,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[WrittenAdapter, ...]:
    """Write the refined adapter of every kept client.

    Parameters
    ----------
    audit : Audit
        With a verdict.
    target : Path
        Folder that does not exist yet or is empty; gets one folder a client, named as the client's.
    rank : int, optional
        Rank of the adapters written; by default, and without `energy`, that of each client's own.
    energy : float, optional
        In (0, 1]: the smallest rank that keeps this share of the update's energy, by client.
    limits : Limits
    progress : callable, optional
        Receives an `AuditProgress` at every step; may raise to stop.
    cancelled : callable, optional
        Asked between modules and clients whether to stop. If anything stops the call, no files are
        left behind.

    Returns
    -------
    tuple of WrittenAdapter

    Raises
    ------
    AdapterError
        If the target exists with something in it or lies in the folder that was audited, an adapter
        has changed on disk, or what would be written goes beyond the limits.
    ValueError
        For a rank or energy out of range, or both.
    clair.cancellation.Cancelled
        If `cancelled` answered True.
    """
    if rank is not None and energy is not None:
        raise ValueError("give either rank or energy, got both")
    if rank is not None:
        rank = check_integer("rank", rank, minimum=1)
    if energy is not None:
        energy = check_real("energy", energy, minimum=0, maximum=1, open_minimum=True)
    _require_apart(target, audit)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise AdapterError(printable(target), "exists already; refined adapters overwrite nothing")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    try:
        with single_blas_thread(), cancellable(cancelled):
            written = _write(audit, partial, rank, energy, limits, progress)
        if target.exists():
            target.rmdir()
        partial.chmod(0o755)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return tuple(replace(w, folder=target / w.folder.relative_to(partial)) for w in written)


def _require_apart(target: Path, audit: Audit) -> None:
    """Refuse to write where the next audit of the same folder would find refined adapters."""
    root = None if audit.judged is None else audit.judged.adapters.root
    if root is not None and target.resolve().is_relative_to(root.resolve()):
        raise AdapterError(
            printable(target),
            "lies in the folder that was audited, where the next audit would take refined adapters "
            "for clients; choose a folder outside of it",
        )


def _write(
    audit: Audit,
    folder: Path,
    rank: int | None,
    energy: float | None,
    limits: Limits,
    progress: Progress | None,
) -> list[WrittenAdapter]:
    stages = Stages({"write": 1.0}, progress)
    stages.step("write", 0, 1)
    plan = Plan.of(audit)
    spectra = plan.spectra()
    clients = {k: plan.judged.adapters.adapters[plan.judged.clients[k]] for k in spectra}
    exports: dict[int, Export] = {}
    for k, spectrum in spectra.items():
        adapter = clients[k]
        chosen = rank or (adapter.rank if energy is None else spectrum.rank_for(energy))
        modules = [name for name in plan.judged.modules if name in adapter.modules]
        exports[k] = Export(adapter, modules, chosen)
    require_room(sum(export.nbytes for export in exports.values()), limits)
    taken: set[str] = set()
    written: list[WrittenAdapter] = []
    for k, export in exports.items():
        own = folder / safe_folder(clients[k].name, taken)
        own.mkdir(parents=True)
        export.begin(own)
        error = spectra[k].truncation_error(export.rank)
        name = printable(clients[k].name)
        written.append(WrittenAdapter(name, own, export.rank, error, export.note))
    ranks = {k: export.rank for k, export in exports.items()}
    for done, name in enumerate(plan.judged.modules):
        for k, (B, A) in plan.factors(name, ranks).items():
            checkpoint()
            exports[k].write(name, B, A)
        stages.step("write", done + 1, len(plan.judged.modules))
    for export in exports.values():
        checkpoint()
        export.end()
    return written


def safe_folder(name: str, taken: set[str]) -> str:
    """Make a relative path from a client's name that stays below its parent and is not `taken`.

    No path taken lies inside another, whatever the names, so that no adapter's folder holds a
    second one.
    """
    parts = [part for part in name.split("/") if part.strip(". ")][-_LEVELS:] or ["client"]
    plain = "/".join(_safe_part(part) for part in parts)
    if _inside(plain, taken):
        plain = plain.replace("/", "_")
    chosen, number = plain, 1
    while chosen.casefold() in taken or _inside(chosen, taken):
        number += 1
        chosen = f"{plain}-{number}"
    taken.add(chosen.casefold())
    return chosen


def _safe_part(part: str) -> str:
    """Make a folder's name of characters and a length that file systems accept."""
    part = re.sub(r'[\x00-\x1f\x7f<>:"\\|?*]', "_", part)
    part = part.encode("utf-8", "replace")[:_NAME_BYTES].decode("utf-8", "ignore")
    return f"{part}_" if part in (CONFIG_NAME, WEIGHTS_NAME) else part


def _inside(path: str, taken: set[str]) -> bool:
    """Tell whether a path lies inside one that is taken, or the other way round."""
    path = path.casefold() + "/"
    return any(path.startswith(f"{t}/") or f"{t}/".startswith(path) for t in taken)
