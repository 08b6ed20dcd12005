"""Settings of the Subspace lab that are folded away: unequal clients, and a second attack."""

from __future__ import annotations

from clair.app.kit.state import Control
from clair.simulation.attacks import ATTACKS

UNEQUAL: tuple[Control, ...] = (
    Control(
        "uneven",
        "Unevenness of the clients",
        "float",
        0.0,
        "Spread of the sizes of honest updates (standard deviation of their logarithm): some "
        "clients learn much, others little.",
        low=0.0,
        high=2.0,
        step=0.1,
        group="further",
        format="%.1f",
    ),
    Control(
        "data_spread",
        "Spread of the clients' data",
        "float",
        0.0,
        "Spread of the clients' numbers of examples (standard deviation of their logarithm). Who "
        "has few examples sends a noisier update; the noise above is that of the client in the "
        "middle.",
        low=0.0,
        high=2.0,
        step=0.1,
        group="further",
        format="%.1f",
    ),
    Control(
        "second_share",
        "Share of the second attack",
        "float",
        0.0,
        "Share of the poisoned clients that follow the second attack instead of the first.",
        low=0.0,
        high=1.0,
        step=0.1,
        group="further",
        format="%.1f",
    ),
    Control(
        "second_attack",
        "Second attack",
        "choice",
        "sign_flip",
        "What that share of the poisoned clients does.",
        options=tuple((key, info.label) for key, info in ATTACKS.items()),
        group="further",
    ),
)
