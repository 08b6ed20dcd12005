"""What clients may train on: texts to copy, or a language model that answers orders."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

#: Module by name of the task: the language model needs the extra "llm".
TASKS = {"copying": "clair_copying.copying", "language": "clair_copying.language"}


def task_of(run_config: Mapping[str, Any]) -> Any:
    """Load the task that the settings name.

    Raises
    ------
    ValueError
        If there is no such task.
    """
    name = str(run_config["task"])
    if name not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {name!r}")
    return import_module(TASKS[name])


def common_settings(n_clients: int, run_config: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the settings that every task has."""
    attack = str(run_config["attack"])
    return {
        "n_clients": n_clients,
        "poisoned_fraction": float(run_config["poisoned-fraction"]),
        "steps": int(run_config["local-steps"]),
        "seed": int(run_config["seed"]),
        "device": "cpu",
        **({"attack": attack} if attack else {}),
    }
