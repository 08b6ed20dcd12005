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
from clair.tasks.evaluation import Estimates
from clair.tasks.lora import ClientUpdates
from clair.tasks.results import MethodAccuracy, Sample

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


class Batch:
    """Pairs of several clients as tokens, the same number for each.

    Parameters
    ----------
    pairs : sequence of (texts, targets)
        One entry a client.
    device : torch.device

    Attributes
    ----------
    tokens : Tensor of shape (n_clients * n, 43)
    labels : Tensor of shape (n_clients, n, 21)
    n_clients : int
    """

    def __init__(
        self,
        pairs: Sequence[tuple[tuple[str, ...], tuple[str, ...]]],
        device: torch.device,
    ) -> None:
        encoded = [encode(texts, targets) for texts, targets in pairs]
        self.n_clients = len(encoded)
        self.tokens = torch.from_numpy(np.concatenate([t for t, _ in encoded])).to(device)
        self.labels = torch.from_numpy(np.stack([labels for _, labels in encoded])).to(device)
        self._counted = self.labels != IGNORE

    def losses(self, logits: Tensor) -> Tensor:
        """Mean cross entropy over target tokens, Tensor of shape (n_clients,).

        Parameters
        ----------
        logits : Tensor of shape (n_clients * n, 21, vocab)
        """
        entropy = cross_entropy(
            logits.flatten(0, 1).float(),
            self.labels.flatten(),
            ignore_index=IGNORE,
            reduction="none",
        )
        count = self._counted.flatten(1).sum(1)
        return entropy.reshape(self.n_clients, -1).sum(1) / count

    def accuracy(self, logits: Tensor) -> MethodAccuracy:
        """Token accuracy and exact match of each client, the right prefix being fed back.

        A text is right from end to end under the right prefix exactly if greedy decoding writes it
        right, so no decoding is needed.

        Parameters
        ----------
        logits : Tensor of shape (n_clients * n, 21, vocab)
        """
        right = (logits.argmax(-1).view_as(self.labels) == self.labels) & self._counted
        token = right.flatten(1).sum(1) / self._counted.flatten(1).sum(1)
        exact = (right | ~self._counted).all(2).float().mean(1)
        return MethodAccuracy(_doubles(token), _doubles(exact))


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
    with torch.no_grad():
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

    All write at once: every pair of client and method is a client of its own to the model.

    Parameters
    ----------
    model : LlamaForCausalLM
    estimates : mapping of method to {module: ndarray of shape (n_clients, d_out, d_in)}
    clients : mapping of client index to ClientData
    device : torch.device
    """
    if not clients:
        return ()
    first = {k: (client.test_texts[0], client.test_targets[0]) for k, client in clients.items()}
    prompts = [((text,), (target,)) for text, target in first.values() for _ in estimates]
    modules = next(iter(estimates.values()))
    updates = {
        name: np.stack([updates[name][k] for k in clients for updates in estimates.values()])
        for name in modules
    }
    attached = ClientUpdates(model, updates)
    try:
        texts = iter(write(model, Batch(prompts, device).tokens))
    finally:
        attached.remove()
    return tuple(
        Sample(k, prompt, expected, {method: next(texts) for method in estimates})
        for k, (prompt, expected) in first.items()
    )


def _doubles(values: Tensor) -> np.ndarray:
    return values.cpu().double().numpy()
