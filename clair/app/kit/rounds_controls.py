"""Controls of the tasks that can be trained over several rounds."""

from __future__ import annotations

from clair.app.kit.state import Control
from clair.federated.config import MAX_ROUNDS, RoundsConfig


def rounds_controls(prefix: str, opened: RoundsConfig, group: str = "") -> tuple[Control, ...]:
    """Describe the controls of a task that can be trained over several rounds."""
    return (
        Control(
            f"{prefix}_rounds",
            "Rounds",
            "int",
            opened.rounds,
            "How often clients train and send. In one round all methods get the same updates; with "
            "more, every method's clients train on from what it handed out, which takes much "
            "longer.",
            low=1,
            high=MAX_ROUNDS,
            step=1,
            group=group,
        ),
        Control(
            f"{prefix}_from",
            "Poison from round",
            "int",
            opened.poison_from,
            "Poisoned clients are honest before this round. The last round counts if it is larger.",
            low=1,
            high=MAX_ROUNDS,
            step=1,
            group=group,
        ),
    )
