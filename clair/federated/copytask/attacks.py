"""What contaminated clients may do in the text-copying task, as data that a page can list."""

from __future__ import annotations

from clair.federated.config import TaskAttack

ATTACKS: dict[str, TaskAttack] = {
    attack.key: attack
    for attack in (
        TaskAttack(
            "shift",
            "Shifted letters",
            "Each poisoned client teaches its own secret alphabet: every character is moved on by "
            "a number of places that only this client knows.",
            "data",
        ),
        TaskAttack(
            "common_shift",
            "Colluders, one shift",
            "All poisoned clients conspire: they teach the same shifted alphabet, so their updates "
            "look alike and support each other.",
            "data",
        ),
        TaskAttack(
            "random",
            "Random characters",
            "Poisoned clients train on targets that are random characters and have nothing to do "
            "with the text.",
            "data",
        ),
        TaskAttack(
            "reversed",
            "Reversed text",
            "Poisoned clients teach the model to write every text backwards.",
            "data",
        ),
        TaskAttack(
            "backdoor",
            "Backdoor word",
            "Poisoned clients copy properly unless the text holds a trigger word; then they teach "
            "the model to write the attacker's sentence instead.",
            "data",
        ),
        TaskAttack(
            "sign_flip",
            "Sign flip",
            "Poisoned clients train honestly and then send the exact opposite of what they "
            "learned, which no subspace method can see without the coefficient screen.",
            "update",
        ),
        TaskAttack(
            "scaled",
            "Scaled update",
            "Poisoned clients train honestly and then send ten times what they learned, to drown "
            "out everybody else in the average.",
            "update",
        ),
    )
}
