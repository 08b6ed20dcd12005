"""Refined adapters on disk, in the form PEFT loads: scaling 1, one rank, float32."""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clair._threads import single_blas_thread
from clair._validation import check_integer, check_real
from clair.adapters.errors import AdapterError, printable
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.progress import Progress, Stages
from clair.adapters.reader import CONFIG_NAME, WEIGHTS_NAME, Adapter
from clair.adapters.refined import Plan
from clair.adapters.result import Audit
from clair.adapters.work import require_room
from clair.cancellation import cancellable, checkpoint

# Keys copied from a client's configuration; other keys could make PEFT do anything.
_KEPT_KEYS: dict[str, type | tuple[type, ...]] = {
    "base_model_name_or_path": str,
    "fan_in_fan_out": bool,
    "inference_mode": bool,
    "lora_dropout": (int, float),
    "revision": str,
    "task_type": str,
}
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
    """

    name: str
    folder: Path
    rank: int
    truncation_error: float


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
        If the target exists with something in it, an adapter has changed on disk, or what would
        be written goes beyond the limits.
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
    return tuple(
        WrittenAdapter(w.name, target / w.folder.relative_to(partial), w.rank, w.truncation_error)
        for w in written
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
    adapters = plan.judged.adapters.adapters
    files: dict[int, _StreamedFile] = {}
    taken: set[str] = set()
    written: list[WrittenAdapter] = []
    spectra = plan.spectra()
    ranks = {
        k: rank or (adapters[plan.judged.clients[k]].rank if energy is None else s.rank_for(energy))
        for k, s in spectra.items()
    }
    shapes = {}
    for k, chosen in ranks.items():
        adapter = adapters[plan.judged.clients[k]]
        modules = [name for name in plan.judged.modules if name in adapter.modules]
        shapes[k] = _shapes(adapter, modules, chosen)
    require_room(list(shapes.values()), limits)
    for k, spectrum in spectra.items():
        adapter, chosen = adapters[plan.judged.clients[k]], ranks[k]
        own = folder / safe_folder(adapter.name, taken)
        own.mkdir(parents=True)
        modules = [name for name in plan.judged.modules if name in adapter.modules]
        (own / CONFIG_NAME).write_text(
            json.dumps(refined_config(adapter, modules, chosen), indent=2), encoding="utf-8"
        )
        files[k] = _StreamedFile(own / WEIGHTS_NAME, shapes[k])
        error = spectrum.truncation_error(chosen)
        written.append(WrittenAdapter(printable(adapter.name), own, chosen, error))
    for done, name in enumerate(plan.judged.modules):
        for k, (B, A) in plan.factors(name, ranks).items():
            checkpoint()
            files[k].write(A)
            files[k].write(B)
        stages.step("write", done + 1, len(plan.judged.modules))
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


def _shapes(adapter: Adapter, modules: list[str], rank: int) -> dict[str, tuple[int, int]]:
    """List the tensors of the written file with their shapes, in writing order, A before B."""
    shapes: dict[str, tuple[int, int]] = {}
    for name in modules:
        entry = adapter.modules[name]
        kind, end = ("lora_embedding", "") if entry.embedding else ("lora", ".weight")
        shapes[f"base_model.model.{name}.{kind}_A{end}"] = (rank, entry.d_in)
        shapes[f"base_model.model.{name}.{kind}_B{end}"] = (entry.d_out, rank)
    return shapes


def refined_config(adapter: Adapter, modules: list[str], rank: int) -> dict[str, Any]:
    """Build the PEFT configuration of a refined adapter: scaling 1, no patterns, plain LoRA."""
    raw = adapter.config.raw
    return {
        **{
            key: raw[key]
            for key, kind in _KEPT_KEYS.items()
            if isinstance(raw.get(key), kind) and raw[key] not in (math.inf, -math.inf)
            if raw[key] == raw[key]
        },
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        "use_rslora": False,
        "rank_pattern": {},
        "alpha_pattern": {},
        "bias": "none",
        "target_modules": modules,
    }


class _StreamedFile:
    """A safetensors file whose tensors are written one after the other.

    Parameters
    ----------
    path : Path
    shapes : mapping of str to (int, int)
        All tensors, float32, in the order in which `write` receives them.
    """

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        position = 0
        for name, shape in shapes.items():
            end = position + 4 * shape[0] * shape[1]
            header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [position, end]}
            position = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._path = path
        path.write_bytes(len(text).to_bytes(8, "little") + text)

    def write(self, array: np.ndarray) -> None:
        """Append the next tensor."""
        # Opened each time: hundreds of clients would exceed the number of files open at once.
        with open(self._path, "ab") as file:
            file.write(np.ascontiguousarray(array, dtype="<f4").tobytes())
