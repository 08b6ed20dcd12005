"""The history of a federation: who was kept, flagged or set aside in which round, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from clair.method.detection import FLAGGED, KEPT

#: Degree of a client whose reply could not be judged.
SET_ASIDE = "set aside"


@dataclass(frozen=True)
class ClientVerdict:
    """One client in one round.

    Attributes
    ----------
    node : int
        Its number in Flower.
    name : str
        What the client calls itself, for people only; its number if it does not.
    degree : {"kept", "suspect", "flagged", "not comparable", "set aside"}
    reason : str
        Empty for kept clients.
    influence : float
        Its weight in what the others get, in [0, 1].
    """

    node: int
    name: str
    degree: str
    reason: str
    influence: float


@dataclass(frozen=True)
class RoundVerdict:
    """One round.

    Attributes
    ----------
    round : int
        From 1 on; goes on counting when a federation is restored.
    judged : bool
        False where too few clients could be judged, and the last verdict was carried on.
    rank : int or None
        Of the shared subspace; None before the first verdict.
    lost : float
        Share of the average's energy that its truncation to the adapters' rank cut off.
    clients : tuple of ClientVerdict
        By node.
    """

    round: int
    judged: bool
    rank: int | None
    lost: float
    clients: tuple[ClientVerdict, ...]

    def names(self, degree: str) -> list[str]:
        """List the names of the clients of a degree."""
        return [client.name for client in self.clients if client.degree == degree]

    @property
    def flagged(self) -> list[str]:
        """Names of the flagged clients."""
        return self.names(FLAGGED)

    @property
    def kept(self) -> list[str]:
        """Names of the kept clients."""
        return self.names(KEPT)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RoundVerdict:
        """Restore from JSON values."""
        clients = tuple(ClientVerdict(**client) for client in value["clients"])
        return cls(**{**value, "clients": clients})
