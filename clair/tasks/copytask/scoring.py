"""Losses, held-out accuracy and written samples of the copying model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from clair.tasks.copytask.data import (
    IGNORE,
    PAD,
    SEQUENCE_LENGTH,
    TARGET_START,
    ClientData,
    decode,
    encode,
)
from clair.tasks.copytask.model import answer_logits
from clair.tasks.evaluation import Estimates
from clair.tasks.lora import ClientUpdates
from clair.tasks.results import MethodAccuracy, Sample

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

MAX_SEQUENCES = 512  # of one forward pass in evaluation: larger batches fall out of the cache


class Batch:
    """Pairs of several clients as tokens, the same number for each.

    Parameters
    ----------
    pairs : sequence of (texts, targets)
        One entry a client.
    device : torch.device

    Attributes
    ----------
    tokens : Tensor of shape (n_clients, n, 43)
    labels : Tensor of shape (n_clients, n, 21)
    """

    def __init__(
        self,
        pairs: Sequence[tuple[tuple[str, ...], tuple[str, ...]]],
        device: torch.device,
    ) -> None:
        encoded = [encode(texts, targets) for texts, targets in pairs]
        self.tokens = torch.from_numpy(np.stack([tokens for tokens, _ in encoded])).to(device)
        self.labels = torch.from_numpy(np.stack([labels for _, labels in encoded])).to(device)

    def losses(self, model: LlamaForCausalLM) -> Tensor:
        """Mean cross entropy over target tokens, Tensor of shape (n_clients,)."""
        n_clients = len(self.tokens)
        logits = answer_logits(model, self.tokens.flatten(0, 1), TARGET_START)
        entropy = cross_entropy(
            logits.flatten(0, 1).float(),
            self.labels.flatten(),
            ignore_index=IGNORE,
            reduction="none",
        )
        count = (self.labels != IGNORE).flatten(1).sum(1)
        return entropy.reshape(n_clients, -1).sum(1) / count

    def accuracy(self, model: LlamaForCausalLM) -> MethodAccuracy:
        """Token accuracy and exact match of each client, the right prefix being fed back.

        A text is right from end to end under the right prefix exactly if greedy decoding writes it
        right, so no decoding is needed.
        """
        n_clients, n, _ = self.tokens.shape
        size = max(1, MAX_SEQUENCES // n_clients)
        guesses = [
            answer_logits(model, self.tokens[:, i : i + size].flatten(0, 1), TARGET_START)
            .argmax(-1)
            .unflatten(0, (n_clients, -1))
            for i in range(0, n, size)
        ]
        counted = self.labels != IGNORE
        right = (torch.cat(guesses, dim=1) == self.labels) & counted
        token = right.flatten(1).sum(1) / counted.flatten(1).sum(1)
        exact = (right | ~counted).all(2).float().mean(1)
        return MethodAccuracy(token.double().cpu().numpy(), exact.double().cpu().numpy())


def write(model: LlamaForCausalLM, tokens: Tensor) -> list[str]:
    """Let the model write the answers to laid-out texts, greedily.

    Parameters
    ----------
    model : LlamaForCausalLM
    tokens : Tensor of shape (n, 43)
        What stands in the places of the answers is ignored.
    """
    tokens = tokens.clone()
    tokens[:, TARGET_START:] = PAD
    for position in range(TARGET_START, SEQUENCE_LENGTH):
        logits = model(input_ids=tokens[:, :position], use_cache=False, logits_to_keep=1).logits
        tokens[:, position] = logits[:, 0].argmax(-1)
    return [decode(row) for row in tokens[:, TARGET_START:].cpu().numpy()]


def write_samples(
    model: LlamaForCausalLM,
    estimates: Mapping[str, Estimates],
    clients: Mapping[int, ClientData],
    device: torch.device,
) -> tuple[Sample, ...]:
    """Have every method copy the first held-out text of each client given.

    All methods write at once: they take the place of the client axis.

    Parameters
    ----------
    model : LlamaForCausalLM
    estimates : mapping of method to {module: ndarray of shape (n_clients, d_out, d_in)}
    clients : mapping of client index to ClientData
    device : torch.device
    """
    samples = []
    for k, client in clients.items():
        prompt, expected = client.test_texts[0], client.test_targets[0]
        batch = Batch([((prompt,), (expected,))] * len(estimates), device)
        modules = next(iter(estimates.values()))
        attached = ClientUpdates(
            model,
            {
                name: np.stack([updates[name][k] for updates in estimates.values()])
                for name in modules
            },
        )
        try:
            with torch.no_grad():
                texts = write(model, batch.tokens.flatten(0, 1))
        finally:
            attached.remove()
        samples.append(Sample(k, prompt, expected, dict(zip(estimates, texts, strict=True))))
    return tuple(samples)
