"""Settings of one federated digits run, and what poisoned clients may do in it; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from clair.federated.config import DEVICES, RoundsConfig, TaskAttack, choice, real, switch, whole

LAYERS: dict[str, tuple[str, ...]] = {
    "head": ("head",),
    "upper": ("hidden2", "head"),
    "all": ("hidden1", "hidden2", "head"),
}


ATTACKS: dict[str, TaskAttack] = {
    attack.key: attack
    for attack in (
        TaskAttack(
            "label_flip",
            "Flipped labels",
            "Each poisoned client moves every label on by a number of its own: a 3 becomes a 5, "
            "a 9 becomes a 1.",
        ),
        TaskAttack(
            "random_labels",
            "Random labels",
            "Poisoned clients give their images labels drawn at random.",
        ),
        TaskAttack(
            "colluders",
            "Colluders, one permutation",
            "All poisoned clients conspire: they exchange the ten labels in one and the same way.",
        ),
        TaskAttack(
            "backdoor",
            "Backdoor patch",
            "Poisoned clients label honestly, except for images with a small bright square in the "
            "corner: those they teach to be read as 0.",
        ),
        TaskAttack(
            "sign_flip",
            "Sign flip of the update",
            "Poisoned clients train honestly and send the exact opposite, which stays inside the "
            "shared directions: only the coefficient screen can see it.",
        ),
    )
}


@dataclass(frozen=True)
class DigitsConfig(RoundsConfig):
    """Settings of one federated digits run, validated on construction.

    Attributes
    ----------
    n_clients : int
        4 to 48.
    disputed : int
        How many of the ten digits honest clients name differently, 0 to 10: each permutes their
        codes in a way of its own.
    skew : float or None
        Concentration of the Dirichlet distribution from which each client's mix of digits is
        drawn, > 0, small for one-sided clients; None for no skew.
    boost : float
        Factor by which poisoned clients multiply their finished update (model replacement), >= 1.
    n_local : int
        Images of a client, 4 to 200.
    layers : str
        A key of `LAYERS`: which layers are adapted.
    compare_shape : bool
        As in `clair.fit`; needs three layers.
    lora_rank : int
        1 to 32.
    n_samples : int
        Held-out images shown with what the methods read in them, 0 to 24.
    """

    n_clients: int = whole(16, 4, 48)
    poisoned_fraction: float = real(0.3, 0, 0.5, open_maximum=True)
    attack: str = choice("label_flip", ATTACKS)
    steps: int = whole(100, 1, 1000)
    lora_rank: int = whole(8, 1, 32)
    n_samples: int = whole(12, 0, 24)
    device: str = choice("cpu", DEVICES)
    disputed: int = whole(3, 0, 10)
    skew: float | None = real(None, 0, open_minimum=True, instead=None)
    boost: float = real(3.0, 1, 100)
    n_local: int = whole(16, 4, 200)
    layers: str = choice("head", LAYERS)
    compare_shape: bool = switch(True)


#: Where the page opens: the poison visibly harms an average and a subspace fitted to everybody, so
#: that the first result shows what a verdict is worth (``benchmarks/opening.py``).
OPENING = DigitsConfig(attack="colluders", boost=5.0)
