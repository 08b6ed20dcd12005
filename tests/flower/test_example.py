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
from tests.tasks.tiny_models import write_tiny

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flower"


@pytest.fixture(autouse=True)
def example(monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLE), *sys.path])


def play(**changes) -> dict:
    """Run the app in memory with some settings changed; return all settings."""
    from clair_copying.client_app import app as clients
    from clair_copying.server_app import main

    app = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    run_config = {**app["config"], **changes}
    grid = MemoryGrid(clients, run_config["clients"], run_config)
    context = Context(
        run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=run_config
    )
    main(grid, context)
    return run_config


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")  # PEFT's, of transformers
def test_the_example_names_its_poisoned_clients(capsys) -> None:
    from clair_copying.copying import Client, settings

    run_config = play(rounds=2)
    config = settings(run_config["clients"], run_config)
    poisoned = [f"client {k}" for k in range(config.n_clients) if Client(config, k).poisoned]
    assert len(poisoned) == 2
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("round")]
    assert [line.split("flagged ")[1] for line in told] == [", ".join(poisoned)] * 2


def test_a_language_model_trains_on_from_what_the_server_sends(tmp_path, capsys) -> None:
    from clair_copying.language import opened, settings

    model = str(write_tiny(tmp_path / "llama", "llama"))
    run_config = play(task="language", model=model, rounds=1, **{"local-steps": 5})
    assert capsys.readouterr().out.startswith("round 1: kept clients answer ")
    config = settings(run_config["clients"], run_config)
    with opened(config, 3) as client:
        first, sent = client.train(), client.arrays()
    with opened(config, 3, sent) as client:
        assert client.train() < first
    with opened(config, 3) as client:
        assert client.train() == first  # nothing of another client stays in the model
