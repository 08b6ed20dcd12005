"""The files of a refined adapter in the client's own format: tensors, configuration, heads.

Scaling is 1 and all modules have one rank. What the client trained as a whole (a classifier, PEFT's
``modules_to_save``) is its own again, copied byte for byte, because PEFT cannot load an adapter for
a classification task without it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clair.adapters.formats import CONFIG_NAME, WEIGHTS_NAME
from clair.adapters.layouts import KOHYA, MLX, PEFT, PREFIX
from clair.adapters.reader import Adapter

# Keys copied from a client's configuration; other keys could make PEFT do anything.
_KEPT_KEYS: dict[str, type | tuple[type, ...]] = {
    "base_model_name_or_path": str,
    "fan_in_fan_out": bool,
    "inference_mode": bool,
    "lora_dropout": (int, float),
    "revision": str,
    "task_type": str,
}
#: Tasks for which PEFT expects a trained head beside the update.
_HEADED = frozenset({"SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"})
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,99}\.safetensors")


@dataclass(frozen=True)
class Tensor:
    """One tensor to be written; the letters of `dtype` are safetensors'."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


class Export:
    """What is written for one client.

    Parameters
    ----------
    adapter : Adapter
        As it was received.
    modules : sequence of str
        That are refined, in the order in which `write` receives them.
    rank : int

    Attributes
    ----------
    rank : int
    tensors : list of Tensor
        In writing order.
    note : str
        What a reader should know about these files; "" if nothing.
    """

    def __init__(self, adapter: Adapter, modules: Sequence[str], rank: int) -> None:
        self._adapter, self._modules, self.rank = adapter, modules, rank
        self._path: Path | None = None
        self.note = ""
        self.tensors: list[Tensor] = []
        for module in modules:
            self.tensors += self._of_module(module)
        for key in adapter.saved:
            info = adapter.file.tensors[key]
            self.tensors.append(Tensor(key, info.dtype, info.shape, info.end - info.start))

    @property
    def nbytes(self) -> int:
        """Size of all tensors together."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def _of_module(self, module: str) -> list[Tensor]:
        entry, rank = self._adapter.modules[module], self.rank
        keys = entry.keys
        if self._adapter.layout == PEFT:
            kind, end = ("lora_embedding", "") if entry.embedding else ("lora", ".weight")
            keys = (f"{PREFIX}{entry.own}.{kind}_A{end}", f"{PREFIX}{entry.own}.{kind}_B{end}")
        shapes = (rank, entry.d_in), (entry.d_out, rank)
        if entry.transposed:
            shapes = shapes[0][::-1], shapes[1][::-1]
        found = [
            Tensor(key, "F32", shape, 4 * math.prod(shape))
            for key, shape in zip(keys, shapes, strict=True)
        ]
        if self._adapter.layout == KOHYA:
            found.append(Tensor(f"{entry.own}.alpha", "F32", (), 4))
        return found

    def begin(self, folder: Path) -> None:
        """Write the configuration and the header of the file of tensors."""
        config = self.config()
        if config is not None:
            text = json.dumps(config, indent=2)
            (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
        name = self._adapter.weights[0] if self._adapter.weights else WEIGHTS_NAME
        if self._adapter.layout == PEFT or not _FILE_NAME.fullmatch(name):
            name = WEIGHTS_NAME
        self._path = folder / name
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        position = 0
        for tensor in self.tensors:
            end = position + tensor.nbytes
            header[tensor.name] = {
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "data_offsets": [position, end],
            }
            position = end
        begin = json.dumps(header, separators=(",", ":")).encode()
        begin += b" " * (-len(begin) % 8)
        self._path.write_bytes(len(begin).to_bytes(8, "little") + begin)

    def write(self, module: str, B: np.ndarray, A: np.ndarray) -> None:
        """Append the factors of the next module."""
        if self._adapter.modules[module].transposed:
            A, B = A.T, B.T
        self._append(A, B, *[np.array(self.rank)] * (self._adapter.layout == KOHYA))

    def end(self) -> None:
        """Append what the client trained as a whole."""
        for key in self._adapter.saved:
            self._append(self._adapter.file.raw(key))

    def _append(self, *parts: np.ndarray | bytes) -> None:
        assert self._path is not None
        # Opened each time: hundreds of clients would exceed the number of files open at once.
        with open(self._path, "ab") as file:
            for part in parts:
                if isinstance(part, np.ndarray):
                    part = np.ascontiguousarray(part, dtype="<f4").tobytes()
                file.write(part)

    def config(self) -> dict[str, Any] | None:
        """Build the configuration: scaling 1, no patterns, plain LoRA; None if the format has none.

        What does not fit what is written any more is left out, and `note` says so.
        """
        raw = self._adapter.config.raw
        if self._adapter.layout == MLX:
            told = raw.get("lora_parameters")
            keys = told.get("keys") if isinstance(told, dict) else None
            parameters: dict[str, Any] = {"rank": self.rank, "scale": 1.0, "dropout": 0.0}
            if isinstance(keys, list) and all(isinstance(key, str) for key in keys):
                parameters["keys"] = keys
            layers = {k: raw[k] for k in ("num_layers", "lora_layers") if type(raw.get(k)) is int}
            model = {"model": raw["model"]} if isinstance(raw.get("model"), str) else {}
            return {"fine_tune_type": "lora", "lora_parameters": parameters, **layers, **model}
        if self._adapter.layout != PEFT:
            return None
        config = {
            **{
                key: raw[key]
                for key, kind in _KEPT_KEYS.items()
                if isinstance(raw.get(key), kind) and raw[key] not in (math.inf, -math.inf)
                if raw[key] == raw[key]
            },
            "peft_type": "LORA",
            "r": self.rank,
            "lora_alpha": self.rank,
            "use_rslora": False,
            "rank_pattern": {},
            "alpha_pattern": {},
            "bias": "none",
            "target_modules": [self._adapter.modules[name].own for name in self._modules],
        }
        if self._adapter.saved:
            config["modules_to_save"] = self._saved_modules()
        elif config.get("task_type") in _HEADED:
            self.note = (
                f"task_type {config.pop('task_type')} is left out, because the client sent no "
                "trained head that PEFT would look for"
            )
        return config

    def _saved_modules(self) -> list[str]:
        told = self._adapter.config.raw["modules_to_save"]
        return [
            name
            for name in told
            if isinstance(name, str)
            and any(f".{name}." in f".{key}" for key in self._adapter.saved)
        ]
