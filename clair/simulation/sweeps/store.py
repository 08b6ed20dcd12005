"""Where finished cells are kept: a file a sweep, or memory where the file cannot be written.

A crash, a full disk, an editor or another program may leave anything in the folder. Lines that are
not a cell of the sweep are skipped and counted, and removed from the file before the next cell is
added.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clair.simulation.sweeps.grid import MEASURES, SweepConfig, SweepResult, Trial, obstacle

CACHE_VARIABLE = "CLAIR_CACHE_DIR"
#: Diagrams kept on disk; with more, those untouched for longest are deleted.
KEPT = 200
#: Diagrams kept in memory where the disk refuses, by the same rule.
KEPT_IN_MEMORY = 16
#: Longest file that is read, in bytes; the largest diagram the app offers has about 300,000.
LONGEST = 32 * 2**20

Cells = dict[int, tuple[Trial, ...]]

logger = logging.getLogger(__name__)

_lock = threading.Lock()
#: Cells of sweeps whose file could not be written, by path, the latest last; under `_lock`.
_unwritten: OrderedDict[Path, Cells] = OrderedDict()
#: Files that a run of this process adds to; under `_lock`.
_open: set[Path] = set()


def cache_dir() -> Path:
    """Find the folder of kept sweeps: ``$CLAIR_CACHE_DIR``, or the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen) / "sweeps"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "clair-explorer" / "sweeps"


@dataclass(frozen=True)
class Kept:
    """What is known of a sweep before it is run.

    Attributes
    ----------
    result : SweepResult
        Possibly without a single cell.
    damaged : int
        Lines of the file that were not a cell of this sweep; they are removed if possible.
    on_disk : bool
        False if some cells are in the memory of this process only.
    """

    result: SweepResult
    damaged: int = 0
    on_disk: bool = True


def load(config: SweepConfig, folder: Path | None = None) -> Kept:
    """Load the kept cells of a sweep, perhaps none, from disk or memory; mend a damaged file."""
    path = path_of(config, folder)
    with _lock:
        unwritten = dict(_unwritten.get(path, {}))
        cells, damaged = _read(path, config)
        if path in _open:
            damaged = 0  # the last line may be one that is just being written
        elif damaged:
            _mend(path, cells, damaged)
    return Kept(SweepResult.of(config, cells | unwritten), damaged, not unwritten)


def read_result(path: Path) -> SweepResult:
    """Read a sweep from a file: the description on the first line, then one cell per line.

    Raises
    ------
    ValueError
        If the description is of another version or out of range.
    """
    with path.open(encoding="utf-8") as file:
        config = SweepConfig.from_json(json.loads(file.readline()))
    return SweepResult.of(config, _read(path, config)[0])


def write_result(result: SweepResult, path: Path) -> None:
    """Write a sweep as `read_result` reads it."""
    lines = [json.dumps(result.config.to_json())]
    for cell in range(result.config.n_cells):
        if not result.done.ravel()[cell]:
            continue
        drawn = result.values.reshape(result.config.n_cells, -1, len(result.config.columns))[cell]
        trials = tuple(
            tuple(round(float(value), 5) for value in trial)
            for trial in drawn
            if not np.isnan(trial).all()
        )
        lines.append(line_of(cell, trials))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def path_of(config: SweepConfig, folder: Path | None = None) -> Path:
    """Name the file in which a sweep is kept."""
    return (folder or cache_dir()) / f"{config.digest}.jsonl"


def line_of(cell: int, trials: tuple[Trial, ...]) -> str:
    """Write a finished cell as a line of a file, without the line's end."""
    rows = [[None if math.isnan(value) else value for value in trial] for trial in trials]
    return json.dumps({"cell": cell, "trials": rows})


def cell_of(line: bytes, config: SweepConfig) -> tuple[int, tuple[Trial, ...]]:
    """Read a finished cell from a line.

    Raises
    ------
    ValueError
        If the line is not a cell of this sweep.
    """
    try:
        data = json.loads(line.decode("utf-8"))
    except RecursionError:
        raise ValueError("cell must be a flat object, got one nested too deeply") from None
    if not isinstance(data, dict) or type(data.get("cell")) is not int:
        raise ValueError("a line must be an object with a whole number as cell")
    cell, entries = data["cell"], data.get("trials")
    if not 0 <= cell < config.n_cells:
        raise ValueError(f"cell must be in 0..{config.n_cells - 1}, got {cell}")
    if not isinstance(entries, list) or len(entries) not in (0, config.trials):
        raise ValueError(f"cell {cell} must have {config.trials} trials")
    if not entries and obstacle(config, cell) is None:
        raise ValueError(f"cell {cell} must have trials: its settings are possible")
    return cell, tuple(_trial(entry, config.columns) for entry in entries)


def _trial(entry: object, columns: tuple[str, ...]) -> Trial:
    if not isinstance(entry, list) or len(entry) != len(columns):
        raise ValueError(f"a trial must be a list of {', '.join(columns)}")
    return tuple(_number(name, value) for name, value in zip(columns, entry, strict=True))


def _number(name: str, value: object) -> float:
    """Read one number of a trial; only the subspace error may be missing."""
    if value is None and name == "subspace_error":
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number")
    if value < -1e-9 or (name in MEASURES and name != "false_alarms" and value > 1 + 1e-9):
        raise ValueError(f"{name} must be in its range")
    return float(value)


def _read(path: Path, config: SweepConfig) -> tuple[Cells, int]:
    """Read the finished cells of a file, and count its lines that are not a cell."""
    cells: Cells = {}
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
    except OSError:
        return cells, 0
    if len(content) > LONGEST:
        return cells, 1
    damaged = 0
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            cell, trials = cell_of(line, config)
        except ValueError:
            damaged += 1
        else:
            cells[cell] = trials
    return cells, damaged


def _mend(path: Path, cells: Cells, damaged: int) -> bool:
    """Write a file anew with these cells only, whole or not at all; False if that fails."""
    logger.warning("%s: %d damaged lines; their cells will be computed again", path, damaged)
    text = "".join(line_of(cell, trials) + "\n" for cell, trials in cells.items())
    name = None
    try:
        handle, name = tempfile.mkstemp(prefix=".mend-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except OSError:
        if name is not None:
            with contextlib.suppress(OSError):
                os.unlink(name)
        return False
    return True


class Keeper:
    """Keeps the cells of one run as they are finished; a context manager.

    Parameters
    ----------
    config : SweepConfig
    folder : Path or None

    Attributes
    ----------
    cells : dict
        What was kept when the run began and everything added since.
    """

    def __init__(self, config: SweepConfig, folder: Path | None = None) -> None:
        self.path = path_of(config, folder)
        with _lock:
            _open.add(self.path)
            self.cells, damaged = _read(self.path, config)
            # The first cell added would run on from a last line without an end.
            self.writing = not damaged or _mend(self.path, self.cells, damaged)
            self.cells |= _unwritten.get(self.path, {})
        if self.writing:
            with contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                _prune(self.path.parent)
                self._end_last_line()

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *error: object) -> None:
        with _lock:
            _open.discard(self.path)

    def add(self, cell: int, trials: tuple[Trial, ...]) -> None:
        """Keep a finished cell, in memory once the disk has refused one."""
        self.cells[cell] = trials
        if self.writing:
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(line_of(cell, trials) + "\n")
                return
            except OSError as error:
                logger.warning("%s cannot be written (%s): kept in memory", self.path, error)
                self.writing = False
        with _lock:
            _unwritten.setdefault(self.path, {})[cell] = trials
            _unwritten.move_to_end(self.path)
            while len(_unwritten) > KEPT_IN_MEMORY:
                _unwritten.popitem(last=False)

    def _end_last_line(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) and file.read(1) != b"\n":
                file.write(b"\n")


def _prune(folder: Path) -> None:
    kept = sorted(folder.glob("*.jsonl"), key=lambda p: p.stat().st_mtime)
    for path in kept[: max(0, len(kept) - KEPT)]:
        path.unlink(missing_ok=True)
