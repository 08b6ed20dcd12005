"""CLAIR as a strategy of Flower: a federation of LoRA adapters over real connections.

Needs the extra: ``pip install "clair-explorer[flower]"``. A complete app is in `examples/flower`.
"""

try:
    import flwr  # noqa: F401 - only to say what is missing
except ImportError as error:
    raise ImportError('clair.flower needs Flower: pip install "clair-explorer[flower]"') from error

from clair.flower.strategy import ClairStrategy
from clair.flower.verdicts import ClientVerdict, RoundVerdict

__all__ = ["ClairStrategy", "ClientVerdict", "RoundVerdict"]
