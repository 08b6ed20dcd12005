"""The client: trains on its own data what the server sends, and tests it on held-out ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clair_copying.tasks import task_of

app = ClientApp()


@contextmanager
def opened(message: Message, context: Context) -> Iterator[tuple[int, str, Any]]:
    """Open this node's client with the adapter that came; tell its number and what it measures."""
    torch.set_num_threads(1)
    number = int(context.node_config["partition-id"])
    task = task_of(context.run_config)
    config = task.settings(int(context.node_config["num-partitions"]), context.run_config)
    with task.opened(config, number, message.content["arrays"]) as client:
        yield number, task.MEASURE, client


@app.train()
def on_train(message: Message, context: Context) -> Message:
    """Train on from the adapter that came, and send the result."""
    with opened(message, context) as (number, measure, client):
        loss = client.train()
        metrics = {"train-loss": loss, measure: client.test(), "num-examples": client.n_examples}
        content = {
            "arrays": client.arrays(),
            "metrics": MetricRecord(metrics),
            "client": ConfigRecord({"client": f"client {number}"}),
        }
    return Message(content=RecordDict(content), reply_to=message)


@app.evaluate()
def on_evaluate(message: Message, context: Context) -> Message:
    """Test the adapter that came."""
    with opened(message, context) as (_, measure, client):
        metrics = {measure: client.test(), "num-examples": client.n_examples}
    return Message(content=RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)
