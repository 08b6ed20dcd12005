"""The app of examples/flower: its own clients and server, in memory."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="needs Flower: tests/requirements-extras.txt")
pytest.importorskip("peft", reason="needs PEFT: tests/requirements-extras.txt")

from flwr.app import Context, RecordDict

from clair.flower.memory import MemoryGrid

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flower"


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")  # PEFT's, of transformers
def test_the_example_names_its_poisoned_clients(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLE), *sys.path])
    from clair_copying.client_app import app as clients
    from clair_copying.server_app import main
    from clair_copying.task import data_of, settings

    app = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    run_config = {**app["config"], "rounds": 2}
    grid = MemoryGrid(clients, run_config["clients"], run_config)
    context = Context(
        run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=run_config
    )
    main(grid, context)
    config = settings(run_config["clients"], run_config)
    poisoned = [f"client {k}" for k in range(config.n_clients) if data_of(config, k)[1]]
    assert len(poisoned) == 2
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("round")]
    assert [line.split("flagged ")[1] for line in told] == [", ".join(poisoned)] * 2
