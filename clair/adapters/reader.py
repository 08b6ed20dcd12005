"""One PEFT adapter: which modules it changes, and the factors of each update when asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clair.adapters.config import AdapterConfig, ModuleRules, read_config
from clair.adapters.errors import AdapterError, printable
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.tensorfile import TensorFile, TensorInfo, open_tensors

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
PICKLE_NAMES = ("adapter_model.bin", "pytorch_model.bin", "adapter_model.pt", "adapter_model.pkl")

#: Names of LoRA factors as PEFT writes them.
LORA_WEIGHT = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(\.[^.]+)?\.weight"
)
_EMBEDDING = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+)\.lora_embedding_(?P<side>[AB])(\.[^.]+)?"
)


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
    embedding : bool
    """

    rank: int
    d_out: int
    d_in: int
    scaling: float
    keys: tuple[str, str]
    embedding: bool = False

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
    """

    name: str
    folder: Path
    config: AdapterConfig
    modules: Mapping[str, LoraModule]
    notes: tuple[str, ...]
    _file: TensorFile

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
        A, B = (self._file.read(key) for key in entry.keys)
        return entry.scaling * B.astype(np.float64), A.astype(np.float64)


def read_adapter(folder: Path, name: str | None = None, limits: Limits = DEFAULT) -> Adapter:
    """Read the headers of a PEFT LoRA adapter.

    Parameters
    ----------
    folder : Path
        Holding ``adapter_config.json`` and ``adapter_model.safetensors``.
    name : str, optional
        What to call the client; the folder's name by default.
    limits : Limits

    Raises
    ------
    AdapterError
        If the adapter cannot be used; the message names the file and the problem.
    """
    name = folder.name if name is None else name
    shown = printable(name)
    weights = folder / WEIGHTS_NAME
    if not (folder / CONFIG_NAME).exists():
        raise AdapterError(shown, f"has no {CONFIG_NAME}")
    if not weights.exists():
        for pickled in PICKLE_NAMES:
            if (folder / pickled).exists():
                raise AdapterError(
                    f"{shown}/{pickled}",
                    "is a pickle, which can run code when opened; save the adapter as safetensors",
                )
        raise AdapterError(shown, f"has no {WEIGHTS_NAME}")
    config = read_config(folder / CONFIG_NAME, f"{shown}/{CONFIG_NAME}", limits)
    where = f"{shown}/{WEIGHTS_NAME}"
    file = open_tensors(weights, where, limits)
    modules, notes = _modules(file, config, where, limits)
    return Adapter(name, folder, config, modules, (*config.notes, *notes), file)


def _modules(
    file: TensorFile, config: AdapterConfig, where: str, limits: Limits
) -> tuple[dict[str, LoraModule], list[str]]:
    pairs: dict[str, dict[str, str]] = {}
    embeddings: set[str] = set()
    others: list[str] = []
    for key in file.tensors:
        if "lora_magnitude_vector" in key:
            raise AdapterError(f"{where}: {printable(key)}", "belongs to DoRA: not a plain LoRA")
        match = LORA_WEIGHT.fullmatch(key)
        if match is None and (match := _EMBEDDING.fullmatch(key)) is not None:
            embeddings.add(match["module"])
        if match is None:
            others.append(key)
            continue
        pair = pairs.setdefault(match["module"], {})
        if match["side"] in pair:
            raise AdapterError(
                f"{where}: {printable(key)}",
                f"names the same factor as {printable(pair[match['side']])}",
            )
        pair[match["side"]] = key
    if not pairs:
        raise AdapterError(where, "holds no LoRA tensors (lora_A, lora_B)")
    rules = ModuleRules(config, f"{where.rpartition('/')[0]}/{CONFIG_NAME}", limits)
    modules = {
        name: _module(name, pair, file, rules, where, limits, name in embeddings)
        for name, pair in sorted(pairs.items(), key=lambda item: natural_key(item[0]))
    }
    return modules, [*_surprises(modules, rules), *rules.notes(), *_ignored(others, config)]


def _module(
    name: str,
    pair: dict[str, str],
    file: TensorFile,
    rules: ModuleRules,
    where: str,
    limits: Limits,
    embedding: bool,
) -> LoraModule:
    label = f"{where}: {printable(name)}"
    if set(pair) != {"A", "B"}:
        raise AdapterError(label, f"has lora_{min(pair)} but no lora_{'B' if 'A' in pair else 'A'}")
    A, B = (file.tensors[pair[side]] for side in "AB")
    if len(A.shape) != 2 or len(B.shape) != 2:
        raise AdapterError(
            label,
            f"lora_A of shape {A.shape} and lora_B of shape {B.shape} are not matrices; "
            "convolutions are not supported",
        )
    rank = A.shape[0]
    if rank != B.shape[1]:
        raise AdapterError(
            label, f"lora_A of shape {A.shape} and lora_B of shape {B.shape} do not fit together"
        )
    if not 1 <= rank <= limits.rank:
        raise AdapterError(label, f"has rank {rank:,}; 1 to {limits.rank:,} is accepted")
    _check_dimensions(label, A, B, limits)
    scaling = rules.scaling(name, rank)
    return LoraModule(rank, B.shape[0], A.shape[1], scaling, (pair["A"], pair["B"]), embedding)


def _check_dimensions(label: str, A: TensorInfo, B: TensorInfo, limits: Limits) -> None:
    for side in (B.shape[0], A.shape[1]):
        if not 1 <= side <= limits.dimension:
            raise AdapterError(
                label, f"has a side of {side:,}; 1 to {limits.dimension:,} is accepted"
            )


def _surprises(modules: Mapping[str, LoraModule], rules: ModuleRules) -> list[str]:
    expected = {name: rules.expected_rank(name) for name in modules}
    differing = [n for n, m in modules.items() if expected[n] not in (None, m.rank)]
    if not differing:
        return []
    first = differing[0]
    return [
        f"the configuration gives rank {expected[first]} for {printable(first)}, its tensors have "
        f"{modules[first].rank}; the tensors count ({len(differing)} modules)"
    ]


def _ignored(keys: list[str], config: AdapterConfig) -> list[str]:
    """Say which tensors are not LoRA factors although the configuration announced none."""
    if not keys or config.notes:
        return []
    listed = ", ".join(printable(key, 60) for key in keys[:3])
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return [
        f"tensors besides the LoRA factors ({listed}{more}) are not judged and are left out of "
        "refined adapters"
    ]


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Make a sorting key that puts layer 2 before layer 10."""
    return tuple(
        (0, int(part), "") if part.isascii() and part.isdigit() and len(part) < 10 else (1, 0, part)
        for part in re.split(r"(\d+)", name)
    )
