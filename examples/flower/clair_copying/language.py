"""Shops that sort orders by house words of their own, with SmolLM2; needs the extra "llm"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from flwr.app import Array, ArrayRecord

from clair.federated.llm import LLMConfig
from clair.federated.llm.data import make_federation
from clair.federated.llm.run import LLMTask, open_task
from clair.federated.lora import ClientLora
from clair.federated.shares import whole
from clair.federated.training import Schedule, train_clients
from clair_copying.tasks import common_settings

#: Which side of the adapters the clients share: they read orders alike and answer differently.
SIDE = "input"
#: What a client measures, and how the server words its mean.
MEASURE, WORDS = "right-answers", "answer {:.3f} of the orders right"
_PEFT = "base_model.model.{}.lora_{}.weight"


def settings(n_clients: int, run_config: Mapping[str, Any]) -> LLMConfig:
    """Collect the settings that server and clients agree on."""
    return LLMConfig(**common_settings(n_clients, run_config), model=str(run_config["model"]))


def initial(config: LLMConfig) -> ArrayRecord:
    """Make the untrained adapter that everybody begins with."""
    with opened(config, 0) as client:
        return client.arrays()


@contextmanager
def opened(config: LLMConfig, number: int, arrays: ArrayRecord | None = None) -> Iterator[Client]:
    """Put a client's adapter into the model as long as the block lasts."""
    client = Client(config, number)
    try:
        if arrays is not None:
            client.load(arrays)
        yield client
    finally:
        client.lora.remove()


@cache
def _task(config: LLMConfig) -> LLMTask:
    return open_task(config, make_federation(config), torch.device("cpu"))


class Client:
    """A shop with its own orders; use as `opened` gives it.

    The model computes what its frozen layers make of the orders only once, and the adapter of the
    last layer is all that is trained, as in the app (`clair.federated.llm`).
    """

    def __init__(self, config: LLMConfig, number: int) -> None:
        self.config, self.number, self.task = config, np.array([number]), _task(config)
        self.examples = self.task.examples([whole(self.number, self.task.n_local)])
        self.n_examples = self.task.n_local
        self.lora = ClientLora(
            self.task.model,
            self.task.modules,
            n_clients=1,
            rank=config.lora_rank,
            rng=np.random.default_rng([config.seed, 1]),
            layout=self.examples.layout,
        )

    def load(self, arrays: ArrayRecord) -> None:
        """Take over factors that the server sent."""
        with torch.no_grad():
            for side, parts in (("A", self.lora.A), ("B", self.lora.B)):
                for name, part in parts.items():
                    part[0] = torch.from_numpy(arrays[_PEFT.format(name, side)].numpy())

    def train(self) -> float:
        """Train the adapter on the shop's orders, and change it where the shop is poisoned."""
        schedule = Schedule(self.config.steps, self.config.learning_rate)
        losses = train_clients(self.examples.losses, self.lora.parameters(), schedule)
        with torch.no_grad():
            for part in self.lora.B.values():
                part *= float(self.task.factors[self.number[0]])
        return float(losses[-1, 0])

    def test(self) -> float:
        """Compute the share of held-out orders that the model answers with the shop's own word."""
        self.lora.layout = ()
        with torch.no_grad():
            return float(self.task.scores(self.number).accuracy[0])

    def arrays(self) -> ArrayRecord:
        """Collect the adapter's factors under PEFT's names."""
        return ArrayRecord(
            {
                _PEFT.format(name, side): Array(part[0].astype(np.float32))
                for name, factors in self.lora.factors().items()
                for side, part in zip("BA", factors, strict=True)
            }
        )
