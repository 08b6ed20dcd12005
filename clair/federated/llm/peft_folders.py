"""What the clients sent as folders that PEFT loads and `clair audit` judges; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from clair.adapters.formats import CONFIG_NAME, WEIGHTS_NAME
from clair.federated.llm.result import LLMResult
from clair.method.updates import LoraFactors


def check_target(target: Path) -> None:
    """Check before a long run that its adapters can be written.

    Raises
    ------
    ValueError
        If the folder holds something already, or its parent does not exist.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"write must name a folder that is new or empty, got {str(target)!r}")
    if not target.absolute().parent.is_dir():
        raise ValueError(f"write must name a folder in one that exists, got {str(target)!r}")


def write_sent(target: Path, result: LLMResult) -> list[Path]:
    """Write what the clients of a run sent; see `write_adapters`."""
    base = result.config.model or result.model_name
    return write_adapters(target, result.sent, base, transposed=result.transposed)


def write_adapters(
    target: Path, sent: Mapping[str, LoraFactors], base: str, *, transposed: bool = False
) -> list[Path]:
    """Write one folder a client, named by its number counted from 1.

    Parameters
    ----------
    target : Path
        As `check_target` demands.
    sent : mapping of module to LoraFactors
    base : str
        Name of the base model.
    transposed : bool
        Whether the base model stores its matrices as (d_in, d_out), as GPT-2 does.

    Returns
    -------
    list of Path
    """
    check_target(target)
    first = next(iter(sent.values()))
    rank = first.B.shape[2]
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": rank,
        "fan_in_fan_out": transposed,
        "target_modules": sorted(sent),
    }
    folders = []
    for k in range(len(first.B)):
        folder = target / f"client-{k + 1:02d}"
        folder.mkdir(parents=True)
        (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        tensors = {}
        for name, factors in sent.items():
            for letter, part in (("A", factors.A[k]), ("B", factors.B[k])):
                key = f"base_model.model.{name}.lora_{letter}.weight"
                tensors[key] = np.ascontiguousarray(part, dtype=np.float32)
        save_file(tensors, folder / WEIGHTS_NAME, metadata={"format": "pt"})
        folders.append(folder)
    return folders
