"""The small network that reads digits, and its weights, which ship with the project."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from clair._files import ASSETS
from clair.federated.digits.data import N_CLASSES, SIDE

WEIGHTS = ASSETS / "digits" / "base.safetensors"
WIDTHS = (64, 32)


class DigitNet(nn.Module):
    """Two hidden layers and a head: 64 - 64 - 32 - 10."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(SIDE * SIDE, WIDTHS[0])
        self.hidden2 = nn.Linear(WIDTHS[0], WIDTHS[1])
        self.head = nn.Linear(WIDTHS[1], N_CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute logits, Tensor of shape (n, 10), of images of shape (n, 64)."""
        hidden = torch.relu(self.hidden1(pixels))
        logits: Tensor = self.head(torch.relu(self.hidden2(hidden)))
        return logits


def load_base_model(device: torch.device, weights: Path = WEIGHTS) -> DigitNet:
    """Load the trained base model, frozen.

    Raises
    ------
    FileNotFoundError
        If the weights are missing: an untrained model is never used in their place.
    """
    if not weights.is_file():
        raise FileNotFoundError(
            f"the base model's weights are missing at {weights}; "
            "make them with: python -m clair.federated.digits.pretrain"
        )
    model = DigitNet()
    model.load_state_dict(load_file(weights))
    return model.requires_grad_(False).eval().to(device)
