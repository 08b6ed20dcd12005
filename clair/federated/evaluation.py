"""Held-out accuracy of every method's updates, the same way for every task."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from clair.federated.lora import ClientUpdates
from clair.federated.results import MethodScores

Estimates = Mapping[str, np.ndarray]


def evaluate_methods(
    model: nn.Module,
    estimates: Mapping[str, Estimates],
    benign: np.ndarray,
    score: Callable[[], MethodScores],
    *,
    on_method: Callable[[int, str], None] | None = None,
) -> dict[str, MethodScores]:
    """Score the model under every method's updates of the truly benign clients.

    Parameters
    ----------
    model : nn.Module
        Frozen; carries no other updates.
    estimates : mapping of method to {module: ndarray of shape (n_clients, d_out, d_in)}
    benign : ndarray of shape (n_clients,) of bool
        The truly benign clients.
    score : callable
        Scores the model as it is now on a batch holding the benign clients' held-out data, client
        by client.
    on_method : callable, optional
        Receives the number of methods done and the method; may raise to stop.

    Returns
    -------
    dict of MethodScores
        In the order of `estimates`.
    """
    accuracy = {}
    for done, (method, updates) in enumerate(estimates.items(), start=1):
        attached = ClientUpdates(model, {name: part[benign] for name, part in updates.items()})
        try:
            with torch.no_grad():
                accuracy[method] = score()
        finally:
            attached.remove()
        if on_method is not None:
            on_method(done, method)
    return accuracy
