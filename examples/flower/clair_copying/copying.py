"""Texts to copy, each client's in a house style of its own, with a small Transformer and PEFT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from flwr.app import ArrayRecord
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch.nn.functional import cross_entropy

from clair.federated.copytask import CopyTaskConfig
from clair.federated.copytask.data import IGNORE, TARGET_START, encode, make_federation
from clair.federated.copytask.federated import update_factor
from clair.federated.copytask.model import ADAPTED_MODULES, load_base_model
from clair.federated.copytask.run import SIDE
from clair.federated.training import Schedule
from clair_copying.tasks import common_settings

__all__ = ["MEASURE", "SIDE", "WORDS", "initial", "opened", "settings"]

#: What a client measures, and how the server words its mean.
MEASURE, WORDS = "exact-copies", "copy {:.3f} exactly"


def settings(n_clients: int, run_config: Mapping[str, Any]) -> CopyTaskConfig:
    """Collect the settings that server and clients agree on."""
    return CopyTaskConfig(**common_settings(n_clients, run_config))


def initial(config: CopyTaskConfig) -> ArrayRecord:
    """Make the untrained adapter that everybody begins with."""
    with opened(config, 0) as client:
        return client.arrays()


@contextmanager
def opened(
    config: CopyTaskConfig, number: int, arrays: ArrayRecord | None = None
) -> Iterator[Client]:
    """Give a client a model with its adapter."""
    client = Client(config, number)
    if arrays is not None:
        set_peft_model_state_dict(client.model, arrays.to_torch_state_dict())
    yield client


class Client:
    """A client with its own texts; use as `opened` gives it."""

    def __init__(self, config: CopyTaskConfig, number: int) -> None:
        federation = make_federation(config)
        self.config, self.data = config, federation.clients[number]
        self.poisoned = bool(federation.contaminated[number])
        self.n_examples = len(self.data.texts)
        torch.manual_seed(config.seed)  # the same untrained adapter for everybody
        lora = LoraConfig(
            r=config.lora_rank, lora_alpha=config.lora_rank, target_modules=list(ADAPTED_MODULES)
        )
        self.model = get_peft_model(load_base_model(torch.device("cpu")), lora)

    def train(self) -> float:
        """Train the adapter on the client's texts, and change it where the client is poisoned."""
        tokens, labels = map(torch.from_numpy, encode(self.data.texts, self.data.targets))
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        schedule = Schedule(self.config.steps, self.config.learning_rate)
        optimiser = torch.optim.AdamW(
            parameters, lr=schedule.peak, betas=(0.9, 0.99), weight_decay=0.0
        )
        loss = torch.tensor(0.0)
        for step in range(self.config.steps):
            optimiser.param_groups[0]["lr"] = schedule.rate(step)
            optimiser.zero_grad(set_to_none=True)
            logits = self.model(input_ids=tokens).logits[:, TARGET_START - 1 : -1]
            loss = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE)
            loss.backward()
            optimiser.step()
        if self.poisoned:
            self._tamper()
        return loss.item()

    def _tamper(self) -> None:
        """Change the finished adapter as a poisoned client does that attacks the update itself."""
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if "lora_B" in name:
                    parameter *= update_factor(self.config.attack)

    def test(self) -> float:
        """Compute the share of held-out texts that the model copies without a mistake."""
        data = self.data
        tokens, labels = map(torch.from_numpy, encode(data.test_texts, data.test_targets))
        with torch.no_grad():
            written = self.model(input_ids=tokens).logits[:, TARGET_START - 1 : -1].argmax(-1)
        return float(((written == labels) | (labels == IGNORE)).all(1).float().mean())

    def arrays(self) -> ArrayRecord:
        """Collect the adapter's factors under PEFT's names."""
        return ArrayRecord(get_peft_model_state_dict(self.model))
