"""Adapters on disk, well formed unless a test wants otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

CONFIG = {
    "peft_type": "LORA",
    "base_model_name_or_path": "org/base",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj"],
}


class Site:
    """A folder of adapters under construction.

    Attributes
    ----------
    root : Path
    modules : dict of str to (int, int)
        Shape (d_out, d_in) of the modules every client has unless told otherwise.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules = {"model.layers.0.q_proj": (12, 10), "model.layers.1.q_proj": (9, 14)}
        self._shared = {
            name: np.random.default_rng(i).standard_normal((d_out, 2))
            for i, (name, (d_out, _)) in enumerate(self.modules.items())
        }

    def tensors(self, seed, *, rank=4, poisoned=False, modules=None, dtype=np.float32):
        """Draw tensors of a client that shares two directions a module, or none if poisoned."""
        rng, made = np.random.default_rng([seed, 7]), {}
        for name in modules or self.modules:
            d_out, d_in = self.modules[name]
            basis = rng.standard_normal((d_out, 2)) if poisoned else self._shared[name]
            B = basis @ rng.standard_normal((2, rank)) + 0.05 * rng.standard_normal((d_out, rank))
            A = rng.standard_normal((rank, d_in))
            made[f"base_model.model.{name}.lora_A.weight"] = A.astype(dtype)
            made[f"base_model.model.{name}.lora_B.weight"] = B.astype(dtype)
        return made

    def add(self, name, seed=None, *, tensors=None, config=None, **options):
        """Write one adapter and return its folder."""
        seed = sum(map(ord, name)) if seed is None else seed
        folder = self.root / name
        folder.mkdir(parents=True)
        tensors = self.tensors(seed, **options) if tensors is None else tensors
        save_file(tensors, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(
            json.dumps({**CONFIG, **(config or {})}), encoding="utf-8"
        )
        return folder

    def fill(self, n=6, poisoned=()):
        """Add clients c0, c1, ..., some of them poisoned."""
        for k in range(n):
            self.add(f"c{k}", k, poisoned=k in poisoned)
        return self.root


@pytest.fixture
def site(tmp_path):
    """Make an empty site."""
    return Site(tmp_path / "site")
