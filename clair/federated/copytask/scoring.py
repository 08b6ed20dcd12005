"""Losses, held-out accuracy and written samples of the copying model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from clair.federated.copytask.data import (
    IGNORE,
    PAD,
    SEQUENCE_LENGTH,
    TARGET_START,
    ClientData,
    decode,
    encode,
)
from clair.federated.evaluation import Estimates
from clair.federated.lora import ClientUpdates, Layout
from clair.federated.results import MethodAccuracy, Sample
from clair.federated.shares import Share, whole

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
    labels : ndarray of shape (n_clients * n, 21)
    n_clients, n : int
    """

    def __init__(
        self,
        pairs: Sequence[tuple[tuple[str, ...], tuple[str, ...]]],
        device: torch.device,
    ) -> None:
        encoded = [encode(texts, targets) for texts, targets in pairs]
        self.tokens = torch.from_numpy(np.concatenate([t for t, _ in encoded])).to(device)
        self.labels = np.concatenate([labels for _, labels in encoded])
        self.n_clients, self.n = len(encoded), len(encoded[0][0])

    def answers(self, shares: Sequence[Share] = ()) -> Answers:
        """Collect the answers to some of the clients' texts, to all texts once by default."""
        if not shares:
            shares = [whole(np.arange(self.n_clients), self.n)]
        return Answers(self.labels, self.n, shares, self.tokens.device)

    def losses(self, logits: Tensor) -> Tensor:
        """Compute each client's loss from logits of shape (n_clients * n, 21, vocab)."""
        answers = self.answers()
        return answers.losses(logits.flatten(0, 1)[answers.places])


class Answers:
    """The characters to be written, without the padding behind them.

    A model's answers follow each other, padded to the length of the longest model of its share, so
    that a share is a table.

    Parameters
    ----------
    labels : ndarray of shape (n_clients * n, 21)
    n : int
        Texts of a client.
    shares : sequence of Share
    device : torch.device

    Attributes
    ----------
    places : Tensor of shape (total,)
        Where the characters stand among the (n_clients * n * 21,) of all.
    layout : tuple of (int, int)
        Models of a share, and characters of each.
    """

    def __init__(
        self, labels: np.ndarray, n: int, shares: Sequence[Share], device: torch.device
    ) -> None:
        parts = [_places(labels, share, n) for share in shares]
        self.layout: Layout = tuple(there.shape for there, _, _ in parts)
        self._texts = [share.examples.shape[1] for share in shares]
        self._text_of = [torch.from_numpy(text).to(device) for _, _, text in parts]
        places = np.concatenate([there.ravel() for there, _, _ in parts])
        counted = np.concatenate([known.ravel() for _, known, _ in parts])
        wanted = np.where(counted, labels.ravel()[places], IGNORE)
        self.places = torch.from_numpy(places).to(device)
        self._labels = torch.from_numpy(wanted).to(device)
        self._counted = self._labels != IGNORE
        self._length = torch.cat([one.sum(1) for one in self._split(self._counted)])

    def losses(self, logits: Tensor) -> Tensor:
        """Compute the mean cross entropy over each model's characters, Tensor of shape (n_models,).

        Parameters
        ----------
        logits : Tensor of shape (total, vocab)
        """
        entropy = cross_entropy(logits.float(), self._labels, ignore_index=IGNORE, reduction="none")
        return torch.cat([one.sum(1) for one in self._split(entropy)]) / self._length

    def errors(self, logits: Tensor) -> Tensor:
        """Compute the share of texts with a mistake, Tensor of shape (n_models,)."""
        return 1.0 - self._scores(logits)[1]

    def accuracy(self, logits: Tensor) -> MethodAccuracy:
        """Compute each model's token accuracy and exact match, with the right prefix fed back.

        Greedy decoding writes a text without a mistake exactly if every token is right after the
        right prefix, so no decoding is needed.
        """
        token, exact = self._scores(logits)
        return MethodAccuracy(_doubles(token), _doubles(exact))

    def _scores(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        wrong = (logits.argmax(-1) != self._labels) & self._counted
        tokens, texts = [], []
        for part, of, n in zip(self._split(wrong), self._text_of, self._texts, strict=True):
            tokens.append(part.sum(1))
            mistakes = torch.zeros(len(part), n, device=part.device)
            mistakes.scatter_add_(1, of, part.float())
            texts.append((mistakes == 0).float().mean(1))
        return 1.0 - torch.cat(tokens) / self._length, torch.cat(texts)

    def _split(self, values: Tensor) -> list[Tensor]:
        parts = values.split([models * characters for models, characters in self.layout])
        return [one.view(shape) for one, shape in zip(parts, self.layout, strict=True)]


def _places(labels: np.ndarray, share: Share, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find where each model's characters stand, whether they count, in which text; (n_models, m).

    Only the padding of the table does not count.
    """
    width = labels.shape[1]
    rows = share.rows(n).reshape(share.examples.shape)  # (n_models, texts)
    counted = (labels[rows] != IGNORE).reshape(len(share), -1)  # (n_models, texts * width)
    places = (rows[:, :, None] * width + np.arange(width)).reshape(counted.shape)
    longest = int(counted.sum(1).max())
    order = np.argsort(~counted, axis=1, kind="stable")[:, :longest]  # what counts comes first
    known = np.take_along_axis(counted, order, 1)
    return np.take_along_axis(places, order, 1), known, order // width


def write(model: LlamaForCausalLM, tokens: Tensor) -> list[str]:
    """Let the model write the answers to laid-out texts, greedily.

    Parameters
    ----------
    model : LlamaForCausalLM
    tokens : Tensor of shape (n, 43)
        Tokens in the places of the answers are ignored.
    """
    tokens = tokens.clone()
    tokens[:, TARGET_START:] = PAD
    seen, known = tokens[:, :TARGET_START], None
    with torch.no_grad():
        for position in range(TARGET_START, SEQUENCE_LENGTH):
            step = model(input_ids=seen, past_key_values=known, use_cache=True, logits_to_keep=1)
            known = step.past_key_values
            tokens[:, position] = step.logits[:, 0].argmax(-1)
            seen = tokens[:, position : position + 1]
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
