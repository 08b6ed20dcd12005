"""Reading single tensors out of a safetensors file without trusting it.

The format is an 8-byte little-endian length, a JSON header of that length, and the tensors' bytes.
Everything is checked before anything is allocated. bfloat16 is read without further libraries. One
tensor is read at a time, so a set of adapters much larger than memory can be read. Shards of one
adapter are read as one file.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clair.adapters.errors import AdapterError, printable
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.signatures import HEAD, what_is

_READABLE: dict[str, str] = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_SIZES = dict.fromkeys(("F64", "I64", "U64"), 8) | dict.fromkeys(("F32", "I32", "U32"), 4)
_SIZES |= dict.fromkeys(("F16", "BF16", "I16", "U16"), 2)
_SIZES |= dict.fromkeys(("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"), 1)


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies in its file.

    Attributes
    ----------
    dtype : str
        As safetensors calls it, e.g. "F32".
    shape : tuple of int
    start, end : int
        Byte offsets in the file.
    path : Path
        The file.
    shown : str
        What to call it in messages.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    path: Path
    shown: str


@dataclass(frozen=True)
class TensorFile:
    """A checked safetensors file, or its shards; tensors are read when asked for.

    Attributes
    ----------
    tensors : mapping of str to TensorInfo
    metadata : mapping of str to str
        What the header says besides.
    """

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def raw(self, name: str) -> bytes:
        """Read the bytes of one tensor.

        Raises
        ------
        AdapterError
            If the file cannot be read, or has become shorter.
        """
        info = self.tensors[name]
        where = f"{info.shown}: {printable(name)}"
        try:
            with open(info.path, "rb") as file:
                file.seek(info.start)
                raw = file.read(info.end - info.start)
        except OSError as error:
            raise AdapterError(where, f"cannot be read ({error.strerror})") from None
        if len(raw) != info.end - info.start:
            raise AdapterError(where, "the file ended inside this tensor; was it being written?")
        return raw

    def read(self, name: str) -> np.ndarray:
        """Read one tensor as float32 or float64.

        Raises
        ------
        AdapterError
            If its dtype is not F64, F32, F16 or BF16, an entry is NaN or infinite, or the file has
            become shorter.
        """
        info = self.tensors[name]
        where = f"{info.shown}: {printable(name)}"
        if info.dtype not in _READABLE:
            raise AdapterError(where, f"dtype {info.dtype} is not supported; use F32, F16 or BF16")
        raw = self.raw(name)
        array = np.frombuffer(raw, dtype=_READABLE[info.dtype])
        if info.dtype == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        if info.dtype == "F16":
            array = array.astype(np.float32)
        finite = np.isfinite(array)
        if not finite.all():
            bad = int(np.count_nonzero(~finite))
            raise AdapterError(where, f"{bad} of {array.size} entries are NaN or infinite")
        return array.reshape(info.shape)


def open_tensors(path: Path, shown: str, limits: Limits = DEFAULT) -> TensorFile:
    """Read and check the header of a safetensors file.

    Parameters
    ----------
    path : Path
    shown : str
        What to call the file in messages.
    limits : Limits

    Raises
    ------
    AdapterError
        If the file cannot be used; the message names it and the problem.
    """
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise AdapterError(shown, "is a link, and links are not followed; copy the file here")
        if not stat.S_ISREG(status.st_mode):
            raise AdapterError(shown, "is not a regular file")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limits.file_bytes:
                raise AdapterError(shown, f"has {size:,} bytes, more than {limits.file_bytes:,}")
            header, start = _read_header(file, size, shown, limits)
    except OSError as error:
        raise AdapterError(shown, f"cannot be read ({error.strerror})") from None
    said = header.pop("__metadata__", None)
    metadata = said if isinstance(said, dict) else {}
    return TensorFile(_tensors(header, start, size, path, shown, limits), metadata)


def open_shards(
    paths: Sequence[Path], shown: Sequence[str], limits: Limits = DEFAULT
) -> TensorFile:
    """Read the headers of one or more files as if they were one; see `open_tensors`.

    Raises
    ------
    AdapterError
        If two of them hold a tensor of the same name, too.
    """
    tensors: dict[str, TensorInfo] = {}
    metadata: dict[str, str] = {}
    for path, name in zip(paths, shown, strict=True):
        one = open_tensors(path, name, limits)
        for twice in one.tensors.keys() & tensors.keys():
            raise AdapterError(name, f"holds {printable(twice)}, which another shard holds too")
        tensors |= one.tensors
        metadata |= one.metadata
        if len(tensors) > limits.tensors:
            raise AdapterError(
                name, f"and its other shards hold more than {limits.tensors:,} tensors"
            )
    return TensorFile(tensors, metadata)


def _read_header(file: Any, size: int, shown: str, limits: Limits) -> tuple[dict[str, Any], int]:
    prefix = file.read(HEAD)

    def fail(problem: str) -> AdapterError:
        """Say what the file is, if its beginning tells, or else what is wrong with it."""
        return AdapterError(shown, what_is(prefix) or problem)

    if len(prefix) < 8:
        raise fail(f"is no safetensors file: it has only {size} bytes")
    length = int.from_bytes(prefix[:8], "little")
    if length > limits.header_bytes:
        raise fail(
            f"announces a header of {length:,} bytes, more than {limits.header_bytes:,}: "
            "it is damaged or no safetensors file"
        )
    if length > size - 8:
        raise fail(
            f"is truncated: the header should have {length:,} bytes, the file has {size - 8:,}"
        )
    file.seek(8)
    try:
        header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_no_duplicates)
    except _DuplicateKey as error:
        raise AdapterError(shown, f"its header names {printable(error)} twice") from None
    except (ValueError, RecursionError):
        raise fail("its header is not valid JSON in UTF-8") from None
    if not isinstance(header, dict):
        raise AdapterError(shown, "its header is not a JSON object")
    return header, 8 + length


class _DuplicateKey(Exception):  # noqa: N818
    pass


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise _DuplicateKey(key)
        seen[key] = value
    return seen


def _tensors(
    header: dict[str, Any], start: int, size: int, path: Path, shown: str, limits: Limits
) -> dict[str, TensorInfo]:
    if len(header) > limits.tensors:
        raise AdapterError(shown, f"holds {len(header):,} tensors, more than {limits.tensors:,}")
    tensors = {
        name: _info(name, entry, start, path, shown, limits) for name, entry in header.items()
    }
    position = start
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if info.start != position:
            what = "overlaps another one" if info.start < position else "leaves a gap before it"
            raise AdapterError(f"{shown}: {printable(name)}", f"its data {what}: damaged file")
        position = info.end
    if position > size:
        raise AdapterError(
            shown, f"is truncated: its tensors need {position:,} bytes, the file has {size:,}"
        )
    if position < size:
        raise AdapterError(shown, f"has {size - position:,} bytes that belong to no tensor")
    return tensors


def _info(name: str, entry: Any, start: int, path: Path, shown: str, limits: Limits) -> TensorInfo:
    where = f"{shown}: {printable(name)}"
    if len(name) > limits.name_length:
        raise AdapterError(where, f"the tensor's name is longer than {limits.name_length}")
    try:
        dtype, shape = entry["dtype"], entry["shape"]
        begin, end = entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise AdapterError(where, "its header entry lacks dtype, shape or data_offsets") from None
    numbers = [begin, end, *(shape if isinstance(shape, list) else [None])]
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in numbers):
        raise AdapterError(where, "its shape and data_offsets must be whole numbers >= 0")
    itemsize = _SIZES.get(dtype) if isinstance(dtype, str) else None
    if itemsize is None:
        raise AdapterError(where, f"unknown dtype {printable(dtype, 24)}")
    if len(shape) > 8 or math.prod(shape) * itemsize != end - begin:
        raise AdapterError(
            where,
            f"shape {printable(shape, 60)} of {dtype} does not fill its {end - begin:,} bytes",
        )
    return TensorInfo(dtype, tuple(shape), start + begin, start + end, path, shown)
