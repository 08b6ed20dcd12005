"""One training loop for all clients at once, with progress and cancelling at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """Learning rate: linear warm-up, then linear decay to a share of the peak.

    Attributes
    ----------
    steps : int
        Total number of steps.
    peak : float
    warmup : int
        Steps of warm-up.
    final : float
        Rate of the last step as a share of the peak, in [0, 1].
    """

    steps: int
    peak: float
    warmup: int = 5
    final: float = 0.1

    def rate(self, step: int) -> float:
        """Compute the learning rate of `step`, counted from 0."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        done = (step - self.warmup + 1) / max(self.steps - self.warmup, 1)
        return self.peak * (1.0 - (1.0 - self.final) * done)


def train_clients(
    client_losses: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    schedule: Schedule,
    *,
    betas: tuple[float, float] = (0.9, 0.99),
    on_step: Callable[[int, np.ndarray], None] | None = None,
) -> np.ndarray:
    """Train every client's own parameters with AdamW, all in one backward pass.

    The losses are summed. No parameter belongs to two clients and AdamW works entry by entry, so
    each client trains exactly as it would alone.

    Parameters
    ----------
    client_losses : callable
        Returns a Tensor of shape (n_clients,), the loss of every client on its whole data.
    parameters : sequence of Tensor
        Leading axis n_clients.
    schedule : Schedule
    betas : tuple of float
    on_step : callable, optional
        Receives the number of steps done (1, 2, ...) and the losses; may raise to stop.

    Returns
    -------
    ndarray of shape (steps, n_clients)
        Losses before each step.
    """
    fused = parameters[0].device.type in {"cpu", "cuda"}
    optimiser = torch.optim.AdamW(
        parameters, lr=schedule.peak, betas=betas, weight_decay=0.0, fused=fused
    )
    history = []
    for step in range(schedule.steps):
        optimiser.param_groups[0]["lr"] = schedule.rate(step)
        optimiser.zero_grad(set_to_none=True)
        losses = client_losses()
        losses.sum().backward()
        optimiser.step()
        history.append(losses.detach().to("cpu", torch.float64).numpy())
        if on_step is not None:
            on_step(step + 1, history[-1])
    return np.stack(history)
