"""Which device a task trains on, and how many CPU threads it may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def resolve_device(name: str = "auto") -> torch.device:
    """Choose the device: CUDA, then MPS, then CPU for "auto".

    Parameters
    ----------
    name : {"auto", "cuda", "mps", "cpu"}

    Raises
    ------
    ValueError
        If the device asked for is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available.get(name, False):
        there = ", ".join(kind for kind, is_there in available.items() if is_there)
        raise ValueError(f'device must be "auto" or one of those present ({there}), got {name!r}')
    return torch.device(name)


def describe_device(device: torch.device, threads: int) -> str:
    """Name the device for people, for example "CPU (1 thread)"."""
    if device.type == "cuda":
        return f"CUDA ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return "MPS (Apple GPU)"
    return f"CPU ({threads} thread{'s' * (threads > 1)})"


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let torch use `threads` CPU threads inside the block and restore the number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
