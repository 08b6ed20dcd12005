"""The server: CLAIR's strategy, and who was flagged in every round."""

from __future__ import annotations

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from clair.flower import ClairStrategy
from clair_copying.tasks import task_of

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds and print the verdicts."""
    run_config = context.run_config
    task = task_of(run_config)
    n_clients = int(run_config["clients"])
    strategy = ClairStrategy(
        sent_back=str(run_config["sent-back"]),
        folder=str(run_config["folder"]) or None,
        fit_options={"side": task.SIDE},
        min_available_nodes=n_clients,
    )
    result = strategy.start(
        grid=grid,
        initial_arrays=task.initial(task.settings(n_clients, run_config)),
        num_rounds=int(run_config["rounds"]),
    )
    for number, verdict in enumerate(strategy.verdicts[-int(run_config["rounds"]) :], 1):
        metrics = result.evaluate_metrics_clientapp.get(number, {})
        measured = task.WORDS.format(metrics.get(task.MEASURE, float("nan")))
        print(
            f"round {verdict.round}: kept clients {measured}; "
            f"flagged {', '.join(sorted(verdict.flagged)) or 'nobody'}"
        )
        for client in verdict.clients:
            if client.reason:
                print(f"    {client.name}, {client.degree}: {client.reason}")
