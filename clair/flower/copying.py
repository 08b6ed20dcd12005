"""Text-copying clients on Flower's message API, in memory: one batch trains them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg

from clair.federated.copytask import CopyTaskConfig
from clair.federated.copytask.adapters import Adapters, CopyAdapters
from clair.flower.memory import MemoryGrid

PEFT = "base_model.model.{}.lora_{}.weight"
_FAILED = 2  # Flower's code for a ClientApp that raised

#: What becomes of the factors that a node sends; None for a crash.
Change = Callable[[ArrayRecord], ArrayRecord | None]


class CopyingGrid(MemoryGrid):
    """All clients of a text-copying federation; node k + 1 is client k.

    Parameters
    ----------
    config : CopyTaskConfig
    changes : mapping of (round, node) to callable, optional
        Done to the arrays a node sends in a round, which counts from 1.
    leaves : mapping of node to round, optional
        From which on it is still listed, but does not answer.
    on_step : callable, optional
        As in `clair.federated.training.train_clients`.

    Attributes
    ----------
    copied : dict of "sent" or "trained" to ndarray of shape (n_honest,)
        Share of held-out texts that honest clients copy exactly: with the model that the server
        sends back, and with what they have trained from what it sent; of the latest round.
    round : int
        The latest one.
    """

    def __init__(
        self,
        config: CopyTaskConfig,
        changes: Mapping[tuple[int, int], Change] | None = None,
        leaves: Mapping[int, int] | None = None,
        on_step: Callable[[int, np.ndarray], None] | None = None,
    ) -> None:
        super().__init__(self._never, config.n_clients)
        self.clients = CopyAdapters(config)
        self.changes, self.leaves = dict(changes or {}), dict(leaves or {})
        self.on_step = on_step
        self.copied: dict[str, np.ndarray] = {}
        self.round = 0
        initial = self.clients.initial()
        tiled = (config.n_clients, 1, 1)
        self._latest: Adapters = {
            name: (np.tile(B, tiled), np.tile(A, tiled)) for name, (B, A) in initial.items()
        }

    @staticmethod
    def _never(*_: object) -> Message:
        raise NotImplementedError

    def initial(self) -> ArrayRecord:
        """Make the untrained adapter that everybody begins with."""
        return record(self.clients.initial())

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Train, or score, the clients that messages are for."""
        by_node = {message.metadata.dst_node_id: message for message in messages}
        ordered = [by_node[node] for node in sorted(by_node)]
        train = ordered[0].metadata.message_type != "evaluate"
        if train:
            self.round = int(ordered[0].content["config"]["server-round"])
        ordered = [
            message
            for message in ordered
            if self.round < self.leaves.get(message.metadata.dst_node_id, self.round + 1)
        ]
        given = self._given(ordered)
        if not train:
            self.copied["sent"] = self.clients.scores(given).exact_match
            metrics = RecordDict({"metrics": MetricRecord({"num-examples": 1})})
            return [Message(metrics, reply_to=message) for message in ordered]
        trained = self.clients.train(given, self.round, self.on_step)
        self.copied["trained"] = self.clients.scores(trained).exact_match
        return [self._reply_of(message, trained) for message in ordered]

    def _given(self, messages: Iterable[Message]) -> Adapters:
        """Put what was sent in place; who is sent nothing keeps what it had."""
        for message in messages:
            k, arrays = message.metadata.dst_node_id - 1, message.content["arrays"]
            for name, factors in self._latest.items():
                for side, part in zip("BA", factors, strict=True):
                    part[k] = arrays[PEFT.format(name, side)].numpy()
        return self._latest

    def _reply_of(self, message: Message, trained: Adapters) -> Message:
        node = message.metadata.dst_node_id
        arrays = record({name: (B[node - 1], A[node - 1]) for name, (B, A) in trained.items()})
        changed = self.changes.get((self.round, node), _as_it_is)(arrays)
        if changed is None:
            return Message(Error(_FAILED, "RuntimeError: out of memory"), reply_to=message)
        content = {
            "arrays": changed,
            "metrics": MetricRecord({"num-examples": self.clients.task.n_local}),
            "client": ConfigRecord({"client": str(node)}),
        }
        return Message(RecordDict(content), reply_to=message)


class Alone(FedAvg):
    """Send every client back what it sent: no federation at all."""

    def __init__(self, **sampling: object) -> None:
        super().__init__(**sampling)
        self.own: dict[int, ArrayRecord] = {}

    def _construct_messages(
        self, record: RecordDict, node_ids: list[int], message_type: str
    ) -> list[Message]:
        return [
            Message(
                RecordDict({**record, "arrays": self.own.get(node, record["arrays"])}),
                message_type=message_type,
                dst_node_id=node,
            )
            for node in node_ids
        ]

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[None, None]:
        """Keep what each has sent."""
        self.own |= {
            reply.metadata.src_node_id: reply.content["arrays"]
            for reply in replies
            if not reply.has_error()
        }
        return None, None


def record(adapter: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> ArrayRecord:
    """Write factors under PEFT's names."""
    return ArrayRecord(
        {
            PEFT.format(name, side): Array(np.asarray(part, dtype=np.float32))
            for name, factors in adapter.items()
            for side, part in zip("BA", factors, strict=True)
        }
    )


def other_names(arrays: ArrayRecord) -> ArrayRecord:
    """Rename the factors, as after an update of a client's libraries."""
    return ArrayRecord({key.replace("lora_A", "lora_a"): arrays[key] for key in arrays})


def not_a_number(arrays: ArrayRecord) -> ArrayRecord:
    """Put NaN in place of every number, as after a training that diverged."""
    return ArrayRecord(
        {key: Array(np.full_like(array.numpy(), np.nan)) for key, array in arrays.items()}
    )


def crash(arrays: ArrayRecord) -> None:
    """Send nothing but an error."""


def _as_it_is(arrays: ArrayRecord) -> ArrayRecord:
    return arrays
