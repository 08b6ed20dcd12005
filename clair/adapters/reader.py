"""One adapter: which modules it changes, and the factors of each update when asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clair.adapters.config import AdapterConfig, ModuleRules, read_json
from clair.adapters.errors import AdapterError, printable
from clair.adapters.foreign import config_of, metadata_scalings
from clair.adapters.formats import CONFIG_NAME, recognise
from clair.adapters.layouts import DIFFUSERS, KOHYA, MLX, PEFT, Keys, Pair, sort_keys
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.tensorfile import TensorFile, TensorInfo, open_shards

_NOT_GATHERED = (
    "as happens under DeepSpeed ZeRO-3 or FSDP when the weights are not gathered before saving; "
    "save the adapter again"
)
_LISTED = 3


@dataclass(frozen=True)
class LoraModule:
    """The update of one module in one adapter.

    Attributes
    ----------
    rank, d_out, d_in : int
        B is (d_out, rank) and A (rank, d_in) in PEFT's orientation. For embeddings and Conv1D
        layers the weight is the transpose, which changes nothing here.
    scaling : float
        The update is ``scaling * B @ A``.
    keys : tuple of str
        Names of A and B in the file.
    own : str
        The module's name in this adapter, which may have another prefix than in the others.
    embedding : bool
    transposed : bool
        Whether the file holds A and B transposed.
    """

    rank: int
    d_out: int
    d_in: int
    scaling: float
    keys: tuple[str, str]
    own: str
    embedding: bool = False
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(d_out, d_in)."""
        return self.d_out, self.d_in


@dataclass(frozen=True)
class Adapter:
    """A checked adapter on disk; nothing but headers is in memory.

    Attributes
    ----------
    name : str
        Name of the client: its folder relative to the one given.
    folder : Path
    config : AdapterConfig
    modules : mapping of str to LoraModule
        By module name without PEFT's prefix.
    notes : tuple of str
        What a reader should know, in plain language.
    skipped : mapping of str to str
        Modules that are not judged, and why.
    saved : tuple of str
        Tensors of modules that were trained as a whole (PEFT's ``modules_to_save``).
    weights : tuple of str
        Names of its files with tensors.
    site : str
        Adapters of one site have one vote together; its own name if empty.
    layout : str
        The format of its files, see `clair.adapters.layouts`.
    """

    name: str
    folder: Path
    config: AdapterConfig
    modules: Mapping[str, LoraModule]
    notes: tuple[str, ...]
    file: TensorFile = field(repr=False)
    skipped: Mapping[str, str] = field(default_factory=dict)
    saved: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    site: str = ""
    layout: str = PEFT

    @property
    def rank(self) -> int:
        """Largest rank of a module."""
        return max(module.rank for module in self.modules.values())

    def factors(self, module: str) -> tuple[np.ndarray, np.ndarray]:
        """Read the factors of a module's update, with the scaling applied to the first.

        Returns
        -------
        B : ndarray of shape (d_out, rank)
        A : ndarray of shape (rank, d_in)

        Raises
        ------
        AdapterError
            If entries are not finite or the file has changed.
        """
        entry = self.modules[module]
        A, B = (self.file.read(key) for key in entry.keys)
        if entry.transposed:
            A, B = A.T, B.T
        return entry.scaling * B.astype(np.float64), A.astype(np.float64)


def read_adapter(
    folder: Path, name: str | None = None, limits: Limits = DEFAULT, *, site: str = ""
) -> Adapter:
    """Read the headers of a LoRA adapter.

    Parameters
    ----------
    folder : Path
        Holding the files of one adapter: PEFT's, or those of kohya, diffusers or mlx-lm.
    name : str, optional
        What to call the client; the folder's name by default.
    limits : Limits
    site : str
        See `Adapter`.

    Raises
    ------
    AdapterError
        If the adapter cannot be used; the message names the file and the problem.
    """
    name = folder.name if name is None else name
    shown = printable(name)
    found = recognise(file_names(folder, shown, limits))
    if found is None:
        raise AdapterError(shown, "holds no adapter: nothing in it looks like an adapter's weights")
    if found.problem:
        raise AdapterError(f"{shown}/{printable(found.where)}", found.problem)
    files = [f"{shown}/{printable(file)}" for file in found.weights]
    raw = None
    if found.config:
        raw = read_json(folder / CONFIG_NAME, f"{shown}/{CONFIG_NAME}", limits)
    file = open_shards([folder / weights for weights in found.weights], files, limits)
    if not file.tensors:
        raise AdapterError(files[0], f"holds no tensors at all, {_NOT_GATHERED}")
    keys = sort_keys(file.tensors, files[0])
    if not keys.pairs and not keys.skipped:
        raise AdapterError(files[0], "holds no LoRA tensors (lora_A and lora_B, or the like)")
    config = config_of(raw, keys, f"{shown}/{CONFIG_NAME}", shown)
    modules, notes = _modules(file, keys, config, files[0], limits)
    saved = _saved(keys.others, config)
    notes += _ignored(keys.others, saved, config)
    layout = config.layout if keys.layout == PEFT else keys.layout
    if layout != PEFT:
        notes.append(f"is a LoRA in the format of {layout}")
    if found.others:
        notes.append(f"further weights in its folder are left aside: {_some(found.others)}")
    return Adapter(
        name,
        folder,
        config,
        modules,
        (*config.notes, *notes),
        file,
        keys.skipped,
        saved,
        found.weights,
        site,
        layout,
    )


def file_names(folder: Path, shown: str, limits: Limits = DEFAULT) -> list[str]:
    """List the files of a folder, links included.

    Raises
    ------
    AdapterError
        If it cannot be read, or holds more than ``limits.entries``.
    """
    names = []
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= limits.entries:
                    raise AdapterError(shown, f"holds more than {limits.entries:,} files")
                if not entry.is_dir(follow_symlinks=False):
                    names.append(entry.name)
    except OSError as error:
        raise AdapterError(shown, f"cannot be read ({error.strerror})") from None
    return names


def _modules(
    file: TensorFile, keys: Keys, config: AdapterConfig, where: str, limits: Limits
) -> tuple[dict[str, LoraModule], list[str]]:
    """Check all modules; those that are no pair of matrices are added to ``keys.skipped``."""
    shown = f"{where.rpartition('/')[0]}/{CONFIG_NAME}"
    rescaled = any("DoRA" in reason for reason in keys.skipped.values())
    if config.raw.get("use_dora") and not rescaled:
        raise AdapterError(shown, "is a DoRA adapter (use_dora), but holds no magnitudes")
    scalings = _Scalings(config, file, keys, where, shown, limits)
    modules: dict[str, LoraModule] = {}
    for name, pair in sorted(keys.pairs.items(), key=lambda item: natural_key(item[0])):
        label = f"{where}: {printable(name)}"
        if set(pair.factors) != {"A", "B"}:
            there, missing = ("A", "B") if "A" in pair.factors else ("B", "A")
            raise AdapterError(label, f"has lora_{there} but no lora_{missing}")
        A, B = (file.tensors[pair.factors[side]] for side in "AB")
        if 0 in (*A.shape, *B.shape) or 1 in (len(A.shape), len(B.shape)):
            shapes = f"lora_A of shape {A.shape} and lora_B of shape {B.shape}"
            raise AdapterError(label, f"{shapes} are empty or flat, {_NOT_GATHERED}")
        if len(A.shape) != 2 or len(B.shape) != 2:
            keys.skipped[name] = "is a convolution or a stack of experts, not a matrix"
            continue
        modules[name] = _module(name, pair, A, B, scalings, label, limits)
    if not modules:
        name, reason = next(iter(keys.skipped.items()))
        raise AdapterError(f"{where}: {printable(name)}", f"{reason}, and so are all its modules")
    return modules, scalings.notes(modules)


def _module(
    name: str,
    pair: Pair,
    A: TensorInfo,
    B: TensorInfo,
    scalings: _Scalings,
    label: str,
    limits: Limits,
) -> LoraModule:
    transposed = pair.layout == MLX
    rank, d_in = A.shape[::-1] if transposed else A.shape
    d_out, other = B.shape[::-1] if transposed else B.shape
    if rank != other:
        raise AdapterError(
            label, f"lora_A of shape {A.shape} and lora_B of shape {B.shape} do not fit together"
        )
    if not 1 <= rank <= limits.rank:
        raise AdapterError(label, f"has rank {rank:,}; 1 to {limits.rank:,} is accepted")
    for side in (d_out, d_in):
        if side > limits.dimension:
            raise AdapterError(
                label, f"has a side of {side:,}; 1 to {limits.dimension:,} is accepted"
            )
    factors = pair.factors["A"], pair.factors["B"]
    scaling = scalings.of(name, pair, rank)
    return LoraModule(rank, d_out, d_in, scaling, factors, name, pair.embedding, transposed)


class _Scalings:
    """Factors of ``B A`` by module, from wherever an adapter's format says them."""

    def __init__(
        self,
        config: AdapterConfig,
        file: TensorFile,
        keys: Keys,
        where: str,
        shown: str,
        limits: Limits,
    ) -> None:
        self._config, self._file, self._where = config, file, where
        self._rules = ModuleRules(config, shown, limits)
        told = metadata_scalings(file.metadata, keys.pairs, where) if not config.raw else {}
        self._parts = {part: ModuleRules(found, where, limits) for part, found in told.items()}

    def of(self, module: str, pair: Pair, rank: int) -> float:
        if pair.alpha:
            return self._alpha(pair.alpha, rank) / rank
        if self._config.layout in (KOHYA, DIFFUSERS):
            part, _, rest = module.partition(".")
            return self._parts[part].scaling(rest, rank) if part in self._parts else 1.0
        if self._config.layout == MLX:  # one factor for all modules, whatever their rank
            return self._config.alpha / self._config.r
        return self._rules.scaling(module, rank)

    def _alpha(self, key: str, rank: int) -> float:
        label = f"{self._where}: {printable(key)}"
        if self._file.tensors[key].shape not in ((), (1,)):
            raise AdapterError(label, "is not a single number")
        # kohya takes the rank where alpha is 0
        return float(self._file.read(key).reshape(())) or float(rank)

    def notes(self, modules: Mapping[str, LoraModule]) -> list[str]:
        """Say where the configuration and the tensors differ."""
        if self._config.layout in (KOHYA, DIFFUSERS):
            return []
        expected = {name: self._rules.expected_rank(name) for name in modules}
        differing = [n for n, m in modules.items() if expected[n] not in (None, m.rank)]
        notes = self._rules.notes()
        if differing:
            first = differing[0]
            notes.insert(
                0,
                f"the configuration gives rank {expected[first]} for {printable(first)}, its "
                f"tensors have {modules[first].rank}; the tensors count ({len(differing)} modules)",
            )
        return notes


def _saved(others: Iterable[str], config: AdapterConfig) -> tuple[str, ...]:
    """Find the tensors of modules that were trained as a whole."""
    told = config.raw.get("modules_to_save")
    if config.layout != PEFT or not isinstance(told, list):
        return ()
    names = {name for name in told if isinstance(name, str) and name}
    found = []
    for key in others:
        parts = key.split(".")
        inside = any(f".{name}." in f".{'.'.join(parts[:-1])}." for name in names)
        if inside and "original_module" not in parts and "token_adapter" not in parts:
            found.append(key)
    return tuple(found)


def _ignored(others: list[str], saved: tuple[str, ...], config: AdapterConfig) -> list[str]:
    """Say which tensors are not judged, and what becomes of them."""
    notes = []
    if saved:
        notes.append(
            f"fully trained modules ({_some(saved)}) are not judged; refined adapters carry the "
            "client's own"
        )
    elif config.layout == PEFT and config.raw.get("modules_to_save"):
        told = config.raw["modules_to_save"]
        listed = f" ({_some(map(str, told))})" if isinstance(told, list) else ""
        notes.append(f"fully trained modules{listed} are announced and not in its file")
    rest = [key for key in others if key not in saved]
    if rest and not config.notes:
        notes.append(
            f"tensors besides the LoRA factors ({_some(rest)}) are not judged and are left out of "
            "refined adapters"
        )
    return notes


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(printable(name, 60) for name in names[:_LISTED]) + more


def site_of(adapter: Adapter) -> str:
    """Name the site whose vote an adapter has a part in."""
    return adapter.site or adapter.name


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Make a sorting key that puts layer 2 before layer 10."""
    return tuple(
        (0, int(part), "") if part.isascii() and part.isdigit() and len(part) < 10 else (1, 0, part)
        for part in re.split(r"(\d+)", name)
    )
