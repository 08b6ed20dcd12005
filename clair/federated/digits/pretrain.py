"""Train the base model and write it with its recorded configuration.

python -m clair.federated.digits.pretrain
"""

from __future__ import annotations

import json
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from clair.federated.digits.data import N_PRETRAIN, N_TEST, SPLIT_SEED, Images, load_split
from clair.federated.digits.model import WEIGHTS, WIDTHS, DigitNet

CONFIG: dict[str, Any] = {
    "architecture": [64, *WIDTHS, 10],
    "split": {"seed": SPLIT_SEED, "pretrain": N_PRETRAIN, "test": N_TEST},
    "steps": 400,
    "learning_rate": 5e-3,
    "weight_decay": 1e-2,
    "label_smoothing": 0.1,
    "pixel_noise": 0.1,
    "seed": 0,
}


def pretrain(config: dict[str, Any] = CONFIG) -> DigitNet:
    """Train on the images set aside for it, full batch, one thread."""
    torch.manual_seed(config["seed"])
    model = DigitNet()
    data = load_split().pretrain
    pixels, digits = torch.from_numpy(data.pixels), torch.from_numpy(data.digits)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config["learning_rate"], weight_decay=config["weight_decay"]
    )
    for _ in range(config["steps"]):
        optimiser.zero_grad()
        noisy = pixels + config["pixel_noise"] * torch.randn_like(pixels)
        cross_entropy(model(noisy), digits, label_smoothing=config["label_smoothing"]).backward()
        optimiser.step()
    return model.requires_grad_(False)


def accuracy(model: DigitNet, images: Images) -> float:
    """Compute the share of images read as the digit that was written."""
    guess = model(torch.from_numpy(images.pixels)).argmax(1).numpy()
    return float((guess == images.digits).mean())


def main() -> None:
    """Train and write the asset."""
    torch.set_num_threads(1)
    model = pretrain()
    held_out = accuracy(model, load_split().test)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, WEIGHTS, metadata={"format": "pt"})
    record = {**CONFIG, "held_out_accuracy": round(held_out, 4)}
    WEIGHTS.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"held-out accuracy {held_out:.3f}, written to {WEIGHTS}")


if __name__ == "__main__":
    main()
