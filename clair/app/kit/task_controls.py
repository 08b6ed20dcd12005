"""Controls of the tasks' pages: each sets one field of the config and opens with its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clair.app.kit.state import Control, Kind
from clair.federated.config import MAX_ROUNDS, FederationConfig, TaskAttack

ROUNDS = (
    "How often clients train and send. In one round all methods get the same updates; with more, "
    "every method's clients train on from what it handed out, which takes much longer."
)


class TaskControls:
    """Make the controls of one page.

    Parameters
    ----------
    prefix : str
        How their keys begin.
    opened : FederationConfig
        What the page opens with.
    """

    def __init__(self, prefix: str, opened: FederationConfig) -> None:
        self.prefix = prefix
        self.opened = opened

    def __call__(
        self, field: str, label: str, kind: Kind, text: str, *, short: str = "", **rest: Any
    ) -> Control:
        """Make a control of a field; `short` is the end of its key if that is not the field."""
        key = f"{self.prefix}_{short or field}"
        return Control(key, label, kind, getattr(self.opened, field), text, field=field, **rest)

    def clients(self, text: str, low: int, high: int, **rest: Any) -> Control:
        """Make the control of the number of clients."""
        short = "clients"
        return self(
            "n_clients", "Clients", "int", text, short=short, low=low, high=high, step=1, **rest
        )

    def poisoned(self, step: float = 0.05, **rest: Any) -> Control:
        """Make the control of the poisoned share."""
        return self(
            "poisoned_fraction",
            "Poisoned share",
            "float",
            "Share of clients that are poisoned, rounded to whole clients and always below half.",
            short="poisoned",
            low=0.0,
            high=0.45,
            step=step,
            format="percent",
            **rest,
        )

    def attack(self, attacks: Mapping[str, TaskAttack], **rest: Any) -> Control:
        """Make the choice of the attack, with a line on each."""
        lines = [f"- **{attack.label}**: {attack.sentence}" for attack in attacks.values()]
        text = "\n".join(["What the poisoned clients do:", *lines])
        options = tuple((key, attack.label) for key, attack in attacks.items())
        return self("attack", "Attack", "choice", text, options=options, **rest)

    def boost(self, without: str) -> Control:
        """Make the control of the boost; `without` says what poison does without it."""
        return self(
            "boost",
            "Boost of the poison",
            "float",
            "Poisoned clients multiply their finished update by this factor, to take over the "
            f"average (model replacement). {without}",
            low=1.0,
            high=10.0,
            step=0.5,
            format="%.1f×",
        )

    def rank(self, note: str = "", **rest: Any) -> Control:
        """Make the choice of the rank that CLAIR looks for; `note` says which one fits."""
        text = f"Number of shared directions{note}. Automatic takes it from the updates."
        options = (("auto", "automatic"), *((r, str(r)) for r in range(1, 9)))
        return self("rank", "Rank CLAIR looks for", "choice", text, options=options, **rest)

    def screen(self, note: str = "", **rest: Any) -> Control:
        """Make the switch of the coefficient screen."""
        text = "Also look at how a client uses the shared directions, which finds sign flips."
        label = "Coefficient screen (ours)"
        return self("screen_coefficients", label, "flag", text + note, short="screen", **rest)

    def seed(self, **rest: Any) -> Control:
        """Make the control of the seed."""
        text = "Fixes everything that is drawn. The same seed gives the same result."
        return self("seed", "Seed", "number", text, low=0, high=9999, step=1, **rest)

    def rounds(self, text: str = ROUNDS, **rest: Any) -> tuple[Control, Control]:
        """Make the controls of a task that can be trained over several rounds."""
        span: dict[str, Any] = {"low": 1, "high": MAX_ROUNDS, "step": 1}
        honest = "Poisoned clients are honest before this round. The last one is the latest."
        since = "Poison from round"
        return (
            self("rounds", "Rounds", "int", text, **span, **rest),
            self("poison_from", since, "int", honest, short="from", **span, **rest),
        )


def chosen(controls: Sequence[Control], values: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of a config from the values of its controls."""
    return {control.field: values[control.key] for control in controls}
