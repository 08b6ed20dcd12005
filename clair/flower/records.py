"""Flower's records to LoRA factors and back. Replies come from strangers and are checked whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict

from clair.adapters.errors import printable
from clair.adapters.layouts import LORA_WEIGHT
from clair.adapters.rounds import Adapter

#: Key of the ConfigRecord, and in it, where a client may say what it is called.
CLIENT = "client"
MAX_NAME = 40
_HEADER = 4096  # bytes that a serialized array may have beside its numbers


class ReplyError(ValueError):
    """A reply that cannot be judged; the message says why."""


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the factors that every client has to send.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        By PEFT's names.
    modules : dict of str to (str, str)
        Names of the factors B and A of each module.
    """

    shapes: dict[str, tuple[int, ...]]
    modules: dict[str, tuple[str, str]]

    @classmethod
    def of(cls, arrays: ArrayRecord) -> Layout:
        """Read the layout off the arrays that a federation begins with.

        Raises
        ------
        ValueError
            If they are anything but pairs of LoRA factors under PEFT's names.
        """
        pairs: dict[str, dict[str, str]] = {}
        shapes = {key: tuple(array.shape) for key, array in arrays.items()}
        for key in arrays:
            match = LORA_WEIGHT.fullmatch(key)
            if match is None:
                raise ValueError(
                    "initial arrays must be LoRA factors under PEFT's names "
                    f"(....lora_A.weight, ....lora_B.weight), got {printable(key)}"
                )
            pairs.setdefault(match["module"], {})[match["side"]] = key
        modules = {}
        for name, pair in pairs.items():
            if set(pair) != {"A", "B"}:
                raise ValueError(f"initial arrays must hold both factors of {printable(name)}")
            B, A = shapes[pair["B"]], shapes[pair["A"]]
            if len(B) != 2 or len(A) != 2 or B[1] != A[0]:
                raise ValueError(
                    f"initial arrays must hold matrices that fit, got {B} and {A} "
                    f"for {printable(name)}"
                )
            modules[name] = pair["B"], pair["A"]
        if not modules:
            raise ValueError("initial arrays must hold at least one module, got none")
        return cls(shapes, modules)

    def read(self, content: RecordDict) -> Adapter:
        """Read a client's factors out of its reply.

        Raises
        ------
        ReplyError
            If there are other names, shapes or numbers than asked for.
        """
        records = list(content.array_records.values())
        if len(records) != 1:
            raise ReplyError(f"sent {len(records)} records of arrays instead of one")
        found = records[0]
        if missing := self.shapes.keys() - found.keys():
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ReplyError(f"did not send {printable(min(missing))}{more}")
        if other := found.keys() - self.shapes.keys():
            raise ReplyError(f"sent {printable(min(other))}, which nobody asked for")
        numbers = {key: _numbers(key, found[key], shape) for key, shape in self.shapes.items()}
        return {name: (numbers[B], numbers[A]) for name, (B, A) in self.modules.items()}

    def require(self, adapter: Adapter) -> None:
        """Check that factors have this layout.

        Raises
        ------
        ValueError
            If they have other names or shapes.
        """
        shapes = {
            key: adapter[name][side].shape
            for name, keys in self.modules.items()
            if name in adapter
            for side, key in enumerate(keys)
        }
        if adapter.keys() != self.modules.keys() or shapes != self.shapes:
            raise ValueError(
                "initial arrays must have the names and shapes of the federation that folder holds"
            )

    def write(self, adapter: Adapter) -> ArrayRecord:
        """Convert factors to what clients get, single precision."""
        return ArrayRecord(
            {
                key: Array(np.ascontiguousarray(part, dtype=np.float32))
                for name, keys in self.modules.items()
                for key, part in zip(keys, adapter[name], strict=True)
            }
        )


def _numbers(key: str, array: Array, shape: tuple[int, ...]) -> np.ndarray:
    """Deserialize one array, having bounded what that may take."""
    if tuple(array.shape) != shape:
        raise ReplyError(
            f"sent {printable(key)} of shape {printable(tuple(array.shape))} instead of {shape}"
        )
    if len(array.data) > 8 * int(np.prod(shape)) + _HEADER:
        raise ReplyError(f"sent more bytes for {printable(key)} than its shape can take")
    try:
        numbers = array.numpy()
    except Exception as error:  # whatever a stranger's bytes bring about
        raise ReplyError(f"sent {printable(key)}, which cannot be read ({error})") from error
    if numbers.shape != shape or numbers.dtype.kind != "f":
        raise ReplyError(f"sent {printable(key)} that does not hold what it says")
    if not np.isfinite(numbers).all():
        raise ReplyError(f"sent NaN or infinity in {printable(key)}")
    return numbers.astype(np.float64)


def name_of(content: RecordDict, node: int) -> str:
    """Read what a client calls itself; its node's number if it does not."""
    record = content.config_records.get(CLIENT)
    name = record.get(CLIENT) if record is not None else None
    return printable(name, MAX_NAME) if isinstance(name, str) and name else str(node)


def metric(content: RecordDict, key: str) -> float | None:
    """Look up a finite number among a client's metrics."""
    for record in content.metric_records.values():
        value = record.get(key)
        if isinstance(value, int | float) and np.isfinite(value):
            return float(value)
    return None


def mean_metrics(contents: Iterable[RecordDict]) -> MetricRecord:
    """Average every metric over the clients that sent it as a finite number, equally weighted."""
    found: dict[str, list[float]] = {}
    for content in contents:
        for record in cast("Mapping[str, MetricRecord]", content.metric_records).values():
            for key, value in record.items():
                if isinstance(value, int | float) and np.isfinite(value):
                    found.setdefault(key, []).append(float(value))
    return MetricRecord({key: float(np.mean(values)) for key, values in found.items()})
