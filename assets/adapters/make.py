"""Train the bundled example: ten adapters of the text-copying task, two of them poisoned.

    python assets/adapters/make.py

Writes one PEFT adapter a site into ``sites/`` beside this file, float16, and ``truth.json``, which
the audit never reads. Takes about a minute on one core.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))  # run from anywhere, nothing installed

from clair.federated.copytask import CopyTaskConfig  # noqa: E402
from clair.federated.copytask.data import make_federation  # noqa: E402
from clair.federated.copytask.federated import tamper, train_adapters  # noqa: E402
from clair.federated.copytask.model import load_base_model  # noqa: E402
from clair.federated.copytask.run import stage_costs  # noqa: E402
from clair.federated.copytask.scoring import Batch  # noqa: E402
from clair.federated.device import limited_threads  # noqa: E402
from clair.federated.progress import JobClock  # noqa: E402

CONFIG = CopyTaskConfig(n_clients=10, poisoned_fraction=0.2, seed=11, device="cpu")


def main() -> None:
    """Train, and write the adapters as PEFT would."""
    with limited_threads(CONFIG.threads):
        clock = JobClock(stage_costs(CONFIG), None, None)
        device = torch.device("cpu")
        federation = make_federation(CONFIG)
        data = Batch([(client.texts, client.targets) for client in federation.clients], device)
        model = load_base_model(device)
        trained, _ = train_adapters(CONFIG, model, data, CONFIG.steps, clock, "train")
    updates = tamper(CONFIG.attack, trained, federation.contaminated)
    names = [f"site-{k + 1:02d}" for k in range(CONFIG.n_clients)]
    sites = HERE / "sites"
    shutil.rmtree(sites, ignore_errors=True)
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "clair-explorer/copytask-base",
        "r": CONFIG.lora_rank,
        "lora_alpha": CONFIG.lora_rank,
        "bias": "none",
        "target_modules": sorted(updates),
    }
    for k, name in enumerate(names):
        tensors = {}
        for module, factors in updates.items():
            for side in "AB":
                array = getattr(factors, side)[k].astype(np.float16)
                tensors[f"base_model.model.{module}.lora_{side}.weight"] = array
        folder = sites / name
        folder.mkdir(parents=True)
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        text = json.dumps(settings, indent=2) + "\n"
        (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    poisoned = [name for name, bad in zip(names, federation.contaminated, strict=True) if bad]
    truth = {"poisoned": poisoned, "config": CONFIG.to_json()}
    (HERE / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
