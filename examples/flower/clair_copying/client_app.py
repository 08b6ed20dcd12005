"""The client: trains on its own texts what the server sends, and tests it on held-out ones."""

from __future__ import annotations

import torch
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clair_copying.task import (
    adapter_model,
    arrays_of,
    data_of,
    exact_copies,
    load_arrays,
    settings,
    tamper,
    train,
)

app = ClientApp()


@app.train()
def on_train(message: Message, context: Context) -> Message:
    """Train on from the adapter that came, and send the result."""
    torch.set_num_threads(1)
    client = int(context.node_config["partition-id"])
    config = settings(int(context.node_config["num-partitions"]), context.run_config)
    data, poisoned = data_of(config, client)
    model = adapter_model(config)
    load_arrays(model, message.content["arrays"])
    loss = train(model, data, config)
    if poisoned:
        tamper(model, config)
    metrics = {
        "train-loss": loss,
        "exact-copies": exact_copies(model, data),
        "num-examples": len(data.texts),
    }
    content = {
        "arrays": arrays_of(model),
        "metrics": MetricRecord(metrics),
        "client": ConfigRecord({"client": f"client {client}"}),
    }
    return Message(content=RecordDict(content), reply_to=message)


@app.evaluate()
def on_evaluate(message: Message, context: Context) -> Message:
    """Test the adapter that came."""
    torch.set_num_threads(1)
    client = int(context.node_config["partition-id"])
    config = settings(int(context.node_config["num-partitions"]), context.run_config)
    data, _ = data_of(config, client)
    model = adapter_model(config)
    load_arrays(model, message.content["arrays"])
    metrics = {"exact-copies": exact_copies(model, data), "num-examples": len(data.test_texts)}
    return Message(content=RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)
