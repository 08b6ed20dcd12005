"""The clients' whole adapters, trained on from any factors: what a real federation moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from clair.federated.copytask.config import CopyTaskConfig
from clair.federated.copytask.data import make_federation
from clair.federated.copytask.federated import CopyTask
from clair.federated.copytask.model import load_base_model
from clair.federated.evaluation import evaluate_methods
from clair.federated.lora import ClientLora
from clair.federated.results import MethodAccuracy
from clair.federated.shares import whole
from clair.federated.training import Schedule, train_clients

#: Factors B of shape (n_clients, d_out, rank) and A of shape (n_clients, rank, d_in), by module.
Adapters = Mapping[str, tuple[np.ndarray, np.ndarray]]


class CopyAdapters:
    """All clients of a text-copying federation, trained in one batch.

    Parameters
    ----------
    config : CopyTaskConfig
        With `poison_from`, the round from which on the contaminated clients are poisoned.
    """

    def __init__(self, config: CopyTaskConfig) -> None:
        self.config = config
        model = load_base_model(torch.device("cpu"))
        federation = make_federation(config)
        self.task = CopyTask(config, federation, model)
        self._before = self.task
        if config.poison_from > 1:
            self._before = CopyTask.before(config, federation.contaminated, model)

    def initial(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Make the untrained adapter that everybody begins with, factors B and A by module."""
        lora = self._lora(self.task)
        lora.remove()
        return {name: (B[0], A[0]) for name, (B, A) in lora.factors().items()}

    def train(
        self,
        start: Adapters,
        round_: int,
        on_step: Callable[[int, np.ndarray], None] | None = None,
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Train everybody's adapter on; contaminated clients tamper with what comes out.

        Parameters
        ----------
        start : mapping of module to (B, A)
        round_ : int
            From 1 on.
        on_step : callable, optional
            As in `clair.federated.training.train_clients`.
        """
        task = self.task if round_ >= self.config.poison_from else self._before
        examples = task.examples([whole(np.arange(self.config.n_clients), task.n_local)])
        lora = self._lora(task, examples.layout)
        with torch.no_grad():
            for name, (B, A) in start.items():
                lora.B[name].copy_(torch.from_numpy(B))
                lora.A[name].copy_(torch.from_numpy(A))
        schedule = Schedule(self.config.steps, self.config.learning_rate)
        try:
            train_clients(examples.losses, lora.parameters(), schedule, on_step=on_step)
        finally:
            lora.remove()
        factors = task.factors[:, None, None]
        return {name: (factors * B, A) for name, (B, A) in lora.factors().items()}

    def scores(self, adapters: Adapters) -> MethodAccuracy:
        """Score the honest clients' adapters on held-out texts."""
        updates = {name: B @ A for name, (B, A) in adapters.items()}
        honest = ~self.task.contaminated
        scored = evaluate_methods(self.task.model, {"": updates}, honest, self.task.scores)
        found: MethodAccuracy = scored[""]  # type: ignore[assignment]
        return found

    def _lora(self, task: CopyTask, layout: tuple[tuple[int, int], ...] = ()) -> ClientLora:
        return ClientLora(
            task.model,
            task.modules,
            n_clients=self.config.n_clients,
            rank=self.config.lora_rank,
            rng=np.random.default_rng([self.config.seed, 1]),
            layout=layout,
        )
