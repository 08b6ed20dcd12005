"""How much a reader accepts from files it did not write."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """Bounds checked before memory is taken or a file is unpacked.

    Attributes
    ----------
    header_bytes, config_bytes : int
        Of a safetensors header and of an ``adapter_config.json``.
    file_bytes : int
        Of one adapter file.
    tensors : int
        In one file.
    name_length : int
        Of a tensor's name, in characters.
    rank : int
        Of one LoRA pair.
    dimension : int
        Of one side of an adapted layer.
    clients : int
        Adapters judged together.
    entries : int
        Files and folders looked at in one folder or archive.
    depth : int
        Of folders below the one given.
    pattern_steps : int
        Spent on matching one adapter's ``rank_pattern``, or its ``alpha_pattern``, with its
        modules' names; 10 million take about a second.
    core_bytes : int
        Memory an audit may take, as estimated by `clair.adapters.work`.
    seconds : float
        Time an audit may take on one core, as estimated there.
    written_bytes : int
        Of all refined adapters together.
    """

    header_bytes: int = 16 * MIB
    config_bytes: int = MIB
    file_bytes: int = 16 * GIB
    tensors: int = 50_000
    name_length: int = 256
    rank: int = 1024
    dimension: int = 1 << 20
    clients: int = 512
    entries: int = 20_000
    depth: int = 16
    pattern_steps: int = 20_000_000
    core_bytes: int = 8 * GIB
    seconds: float = 48 * 3600.0
    written_bytes: int = 1024 * GIB


DEFAULT = Limits()
