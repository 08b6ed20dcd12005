"""What contaminated clients may do in the text-copying task, as data that a page can list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CopyAttack:
    """One kind of contamination.

    Attributes
    ----------
    key : str
        Name used in configurations.
    label : str
        Name shown to people.
    sentence : str
        What it does, in one plain sentence.
    kind : {"data", "update"}
        Whether the client's training text or its finished update is tampered with.
    """

    key: str
    label: str
    sentence: str
    kind: Literal["data", "update"]


ATTACKS: dict[str, CopyAttack] = {
    attack.key: attack
    for attack in (
        CopyAttack(
            "shift",
            "Shifted letters",
            "Each poisoned client teaches its own secret alphabet: every character is moved on by "
            "a number of places that only this client knows.",
            "data",
        ),
        CopyAttack(
            "common_shift",
            "Colluders, one shift",
            "All poisoned clients conspire: they teach the same shifted alphabet, so their updates "
            "look alike and support each other.",
            "data",
        ),
        CopyAttack(
            "random",
            "Random characters",
            "Poisoned clients train on targets that are random characters and have nothing to do "
            "with the text.",
            "data",
        ),
        CopyAttack(
            "reversed",
            "Reversed text",
            "Poisoned clients teach the model to write every text backwards.",
            "data",
        ),
        CopyAttack(
            "backdoor",
            "Backdoor word",
            "Poisoned clients copy properly unless the text holds a trigger word; then they teach "
            "the model to write the attacker's sentence instead.",
            "data",
        ),
        CopyAttack(
            "sign_flip",
            "Sign flip",
            "Poisoned clients train honestly and then send the exact opposite of what they "
            "learned, which no subspace method can see without the coefficient screen.",
            "update",
        ),
        CopyAttack(
            "scaled",
            "Scaled update",
            "Poisoned clients train honestly and then send ten times what they learned, to drown "
            "out everybody else in the average.",
            "update",
        ),
    )
}
