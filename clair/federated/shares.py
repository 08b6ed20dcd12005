"""Who trains on which examples: all clients at once, their halves, several starts side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from clair.federated.lora import Layout


@dataclass(frozen=True)
class Share:
    """Models, each with a client's examples that it is trained or tested on.

    Attributes
    ----------
    clients : ndarray of shape (n_models,) of int
        Client whose examples each model gets; a client may occur several times.
    examples : ndarray of shape (n_models, n) of int
        Indices of these examples among the client's.
    """

    clients: np.ndarray
    examples: np.ndarray

    def __len__(self) -> int:
        return len(self.clients)

    def rows(self, n_local: int) -> np.ndarray:
        """Find the examples' rows in a table of `n_local` rows per client, (n_models * n,)."""
        rows: np.ndarray = (self.clients[:, None] * n_local + self.examples).ravel()
        return rows


def whole(clients: np.ndarray, n_local: int) -> Share:
    """Give each of the clients one model, on all of its examples."""
    return Share(clients, np.tile(np.arange(n_local), (len(clients), 1)))


def halves(clients: np.ndarray, n_local: int) -> tuple[Share, Share]:
    """Split each client's examples into even and odd ones; an unpaired last one is left out.

    Alternating keeps the mix of an ordered list, such as one by class, the same in both.
    """
    first = np.tile(np.arange(0, n_local - 1, 2), (len(clients), 1))
    return Share(clients, first), Share(clients, first + 1)


class Examples(Protocol):
    """A batch of examples and what the model, as it is now, makes of them."""

    @property
    def layout(self) -> Layout:
        """Models and rows of each as they follow each other in the batch."""

    def losses(self) -> Tensor:
        """Compute the training loss of every model, (n_models,)."""

    def errors(self) -> Tensor:
        """Compute how often each model is wrong on its examples, in [0, 1], (n_models,)."""


class ClassExamples:
    """Examples of a classifier: mean cross entropy, and the chance of a wrong answer.

    The chance is that of an answer drawn by the model's own probabilities. With a handful of
    examples per client it still distinguishes models that get equally many right. Unlike a loss, it
    is bounded, as the share of wrong answers is.

    Parameters
    ----------
    model : nn.Module
        Gives a row of logits for every row of inputs.
    inputs : Tensor of shape (n_clients, n_local, d)
    labels : Tensor of shape (n_clients, n_local) of int64
    shares : sequence of Share
    """

    def __init__(
        self, model: nn.Module, inputs: Tensor, labels: Tensor, shares: Sequence[Share]
    ) -> None:
        self._model = model
        rows = torch.from_numpy(np.concatenate([s.rows(labels.shape[1]) for s in shares]))
        self._inputs = inputs.flatten(0, 1)[rows.to(inputs.device)]
        self._labels = labels.flatten()[rows.to(labels.device)]
        self.layout: Layout = tuple(s.examples.shape for s in shares)

    def losses(self) -> Tensor:
        """Compute the mean cross entropy of every model, (n_models,)."""
        entropy = cross_entropy(self._model(self._inputs), self._labels, reduction="none")
        return means(entropy, self.layout)

    def errors(self) -> Tensor:
        """Compute the mean chance of a wrong answer of every model, (n_models,)."""
        chances = torch.softmax(self._model(self._inputs), 1)
        right = chances.gather(1, self._labels[:, None])[:, 0]
        return means(1.0 - right, self.layout)


def means(values: Tensor, layout: Layout) -> Tensor:
    """Average over the rows of each model, Tensor of shape (n_models,)."""
    parts = values.split([models * rows for models, rows in layout])
    return torch.cat([part.view(shape).mean(1) for part, shape in zip(parts, layout, strict=True)])
