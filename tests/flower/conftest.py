"""Clients without a model, for Flower's message API: each moves towards an update of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs Flower: tests/requirements-extras.txt")

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clair.flower.memory import MemoryGrid
from clair.simulation.matrix_model import ProblemSpec, sample_problem

A = "base_model.model.layers.0.q_proj.lora_A.weight"
B = "base_model.model.layers.0.q_proj.lora_B.weight"
RANK = 6

Change = Callable[[RecordDict], RecordDict | None]


def arrays(b: np.ndarray, a: np.ndarray) -> ArrayRecord:
    return ArrayRecord({B: Array(b.astype(np.float32)), A: Array(a.astype(np.float32))})


def product(record: ArrayRecord | Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    if isinstance(record, ArrayRecord):
        return record[B].numpy() @ record[A].numpy()
    [(b, a)] = record.values()
    return b @ a


class World:
    """Eight clients, two of them colluding, whose updates are those of a matrix problem."""

    def __init__(self) -> None:
        spec = ProblemSpec(
            n_clients=8, d_out=24, d_in=20, rank=2, attack="colluding", noise=0.01, seed=3
        )
        self.problem = sample_problem(spec)
        self.bad = {int(k) + 1 for k in np.flatnonzero(self.problem.contaminated)}
        self.names = {node: f"clinic {node}" for node in range(1, 9)}
        self.start = arrays(np.zeros((24, RANK)), np.random.default_rng(0).uniform(size=(RANK, 20)))

    def grid(self, changes: Mapping[int, Change] | None = None, n_clients: int = 8) -> MemoryGrid:
        """Connect the first clients; a change is what a node does to its finished reply."""
        app = ClientApp()

        @app.train()
        def train(message: Message, context) -> Message:
            node = context.node_id
            got = product(message.content["arrays"])
            wanted = self.problem.updates[node - 1]
            left, values, right = np.linalg.svd(got + 0.8 * (wanted - got))
            content = RecordDict(
                {
                    "arrays": arrays(left[:, :RANK] * values[:RANK], right[:RANK]),
                    "metrics": MetricRecord({"loss": float(node), "num-examples": node}),
                    "client": ConfigRecord({"client": self.names[node]}),
                }
            )
            change = (changes or {}).get(node)
            return Message(content if change is None else change(content), reply_to=message)

        @app.evaluate()
        def evaluate(message: Message, context) -> Message:
            honest = self.problem.true_updates[context.node_id - 1]
            error = float(np.linalg.norm(product(message.content["arrays"]) - honest))
            content = RecordDict({"metrics": MetricRecord({"error": error})})
            return Message(content, reply_to=message)

        return MemoryGrid(app, n_clients)


@pytest.fixture
def world() -> World:
    return World()
