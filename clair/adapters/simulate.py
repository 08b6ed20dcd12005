"""Folders of made-up adapters with known truth, for trying things out, tests and benchmarks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clair._validation import check_choice, check_integer, check_real
from clair.adapters.formats import CONFIG_NAME, WEIGHTS_NAME

KINDS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")


@dataclass(frozen=True)
class SimulatedSet:
    """A set of adapters whose honest members share directions of the output side.

    Attributes
    ----------
    n_clients, n_poisoned : int
        The first `n_poisoned` in a random order follow directions of their own.
    layers, modules : int
        Layers, and modules a layer (1 to 4).
    d_out, d_in : int
        Size of each module.
    rank, shared_rank : int
        Of each adapter, and of what the honest ones share.
    noise : float
        Size of each honest client's own part relative to the shared part.
    dtype : {"F32", "F16"}
    seed : int
    """

    n_clients: int = 8
    n_poisoned: int = 2
    layers: int = 2
    modules: int = 2
    d_out: int = 48
    d_in: int = 40
    rank: int = 4
    shared_rank: int = 3
    noise: float = 0.2
    dtype: str = "F32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("n_clients", self.n_clients, minimum=1)
        check_integer("n_poisoned", self.n_poisoned, minimum=0, maximum=self.n_clients)
        check_integer("modules", self.modules, minimum=1, maximum=len(KINDS))
        for name in ("layers", "d_out", "d_in", "rank", "shared_rank"):
            check_integer(name, getattr(self, name), minimum=1)
        check_real("noise", self.noise, minimum=0)
        check_choice("dtype", self.dtype, ("F32", "F16"))

    @property
    def names(self) -> list[str]:
        """Names of the clients' folders."""
        return [f"client-{k + 1:02d}" for k in range(self.n_clients)]

    @property
    def poisoned(self) -> list[str]:
        """Names of the poisoned clients."""
        order = np.random.default_rng([self.seed, 1]).permutation(self.n_clients)
        return sorted(self.names[k] for k in order[: self.n_poisoned])

    @property
    def module_names(self) -> list[str]:
        """Names of the modules, layer by layer."""
        return [f"model.layers.{i}.{k}" for i in range(self.layers) for k in KINDS[: self.modules]]


def write_simulated(root: Path, spec: SimulatedSet) -> list[str]:
    """Write the set below `root`, one folder a client, and return the poisoned ones' names."""
    dtype = {"F32": np.float32, "F16": np.float16}[spec.dtype]
    shared = {
        name: np.random.default_rng([spec.seed, 2, i]).standard_normal(
            (spec.d_out, spec.shared_rank), dtype=np.float32
        )
        for i, name in enumerate(spec.module_names)
    }
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": "simulated/model",
        "r": spec.rank,
        "lora_alpha": 2 * spec.rank,
        "target_modules": [kind.rsplit(".")[-1] for kind in KINDS[: spec.modules]],
        "task_type": "CAUSAL_LM",
    }
    for k, client in enumerate(spec.names):
        rng = np.random.default_rng([spec.seed, 3, k])
        tensors = {}
        for name in spec.module_names:
            basis = shared[name]
            if client in spec.poisoned:
                basis = rng.standard_normal(basis.shape, dtype=np.float32)
            mixing = rng.standard_normal((spec.shared_rank, spec.rank), dtype=np.float32)
            own = rng.standard_normal((spec.d_out, spec.rank), dtype=np.float32)
            A = rng.standard_normal((spec.rank, spec.d_in), dtype=np.float32)
            B = (basis @ mixing + spec.noise * own) / np.sqrt(spec.d_out)
            tensors[f"base_model.model.{name}.lora_A.weight"] = (A / np.sqrt(spec.d_in)).astype(
                dtype
            )
            tensors[f"base_model.model.{name}.lora_B.weight"] = B.astype(dtype)
        folder = root / client
        folder.mkdir(parents=True)
        (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2), encoding="utf-8")
        _save(folder / WEIGHTS_NAME, tensors)
    return spec.poisoned


def _save(path: Path, tensors: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save_file

    save_file(tensors, path, metadata={"format": "pt"})
