"""CLAIR as a strategy of Flower: a federation of LoRA adapters over real connections.

The strategy needs the extra: ``pip install "clair-explorer[flower]"``. A complete app is in
`examples/flower`. Verdicts and recorded runs are read without it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from clair.federated.copytask import ATTACKS
from clair.federated.results import TrainingProgress
from clair.flower.config import FlowerConfig
from clair.flower.result import FlowerResult
from clair.flower.verdicts import ClientVerdict, RoundVerdict

if TYPE_CHECKING:
    from clair.flower.strategy import ClairStrategy

__all__ = [
    "ATTACKS",
    "INSTALL",
    "ClairStrategy",
    "ClientVerdict",
    "FlowerConfig",
    "FlowerResult",
    "RoundVerdict",
    "installed",
    "run_flower",
]

#: The one command that installs the extra.
INSTALL = 'pip install "flwr>=1.42,<2"'


def installed() -> bool:
    """Tell whether Flower is there; loads nothing."""
    return find_spec("flwr") is not None


def run_flower(
    config: FlowerConfig,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FlowerResult:
    """Run text-copying clients under `ClairStrategy` in memory, under FedAvg, and each alone.

    Parameters
    ----------
    config : FlowerConfig
        What to run.
    progress : callable, optional
        Receives a `TrainingProgress` at every step.
    cancelled : callable, optional
        Asked at every step; answering True stops the run.

    Returns
    -------
    FlowerResult

    Raises
    ------
    clair.federated.Cancelled
        If `cancelled` answered True.
    FileNotFoundError
        If Flower is not installed.
    """
    if not installed():
        raise FileNotFoundError(f"Flower is not installed; this installs it: {INSTALL}")
    from clair.flower.run import run  # Flower and torch load here, not on import

    return run(config, progress=progress, cancelled=cancelled)


def __getattr__(name: str) -> Any:
    if name != "ClairStrategy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not installed():
        raise ImportError('clair.flower needs Flower: pip install "clair-explorer[flower]"')
    from clair.flower.strategy import ClairStrategy

    return ClairStrategy
