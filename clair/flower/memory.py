"""A grid without processes or sockets: the clients of an app, one after another, in this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

_FAILED = 2  # Flower's code for a ClientApp that raised


class MemoryGrid(Grid):
    """Run a ``ClientApp`` for every node in memory; a client that raises replies with an error.

    Messages are copied on their way, so nobody can change what another one holds.

    Parameters
    ----------
    app : ClientApp
    n_clients : int
        Nodes 1 to n_clients, whose ``partition-id`` counts from 0.
    run_config : mapping, optional
        What the clients find in ``context.run_config``.

    Attributes
    ----------
    gone : set of int
        Nodes that do not answer any more.
    """

    def __init__(
        self, app: ClientApp, n_clients: int, run_config: Mapping[str, Any] | None = None
    ) -> None:
        # Flower's messages say which task of which run they come from; the server is node 0.
        TaskIdentity.run_id = TaskIdentity.task_id = 1
        TaskIdentity.node_id = 0
        self.app = app
        self.gone: set[int] = set()
        self._contexts = {
            node: Context(
                run_id=1,
                node_id=node,
                node_config={"partition-id": node - 1, "num-partitions": n_clients},
                state=RecordDict(),
                run_config=dict(run_config or {}),
            )
            for node in range(1, n_clients + 1)
        }

    def get_node_ids(self) -> Iterable[int]:
        """List the nodes."""
        return [node for node in self._contexts if node not in self.gone]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Run the clients that messages are for, and collect their replies."""
        return [
            self._reply(message)
            for message in messages
            if message.metadata.dst_node_id not in self.gone
        ]

    def _reply(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        try:
            return deepcopy(self.app(deepcopy(message), self._contexts[node]))
        except Exception as error:  # as a SuperNode does
            return Message(Error(_FAILED, f"{type(error).__name__}: {error}"), reply_to=message)

    def set_run(self, run: Any) -> None:
        """Do nothing: there is one run."""

    @property
    def run(self) -> Any:
        """There is none."""
        raise NotImplementedError("MemoryGrid keeps no run")

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        """Strategies make messages themselves."""
        raise NotImplementedError("MemoryGrid makes no messages; use flwr.app.Message")

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Use `send_and_receive`."""
        raise NotImplementedError("MemoryGrid answers at once; use send_and_receive")

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Use `send_and_receive`."""
        raise NotImplementedError("MemoryGrid answers at once; use send_and_receive")
