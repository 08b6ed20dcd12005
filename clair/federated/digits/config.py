"""Settings of one federated digits run, and what poisoned clients may do in it; needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from clair._validation import check_choice, check_integer, check_real
from clair.simulation.matrix_model import count_contaminated

DEVICES = ("auto", "cuda", "mps", "cpu")
LAYERS: dict[str, tuple[str, ...]] = {
    "head": ("head",),
    "upper": ("hidden2", "head"),
    "all": ("hidden1", "hidden2", "head"),
}
MAX_RANK = 8


@dataclass(frozen=True)
class DigitsAttack:
    """One kind of contamination.

    Attributes
    ----------
    key, label : str
        Name in configurations, name shown to people.
    sentence : str
        What it does, in one plain sentence.
    """

    key: str
    label: str
    sentence: str


ATTACKS: dict[str, DigitsAttack] = {
    attack.key: attack
    for attack in (
        DigitsAttack(
            "label_flip",
            "Flipped labels",
            "Each poisoned client moves every label on by a number of its own: a 3 becomes a 5, "
            "a 9 becomes a 1.",
        ),
        DigitsAttack(
            "random_labels",
            "Random labels",
            "Poisoned clients give their images labels drawn at random.",
        ),
        DigitsAttack(
            "colluders",
            "Colluders, one permutation",
            "All poisoned clients conspire: they exchange the ten labels in one and the same way.",
        ),
        DigitsAttack(
            "backdoor",
            "Backdoor patch",
            "Poisoned clients label honestly, except for images with a small bright square in the "
            "corner: those they teach to be read as 0.",
        ),
        DigitsAttack(
            "sign_flip",
            "Sign flip of the update",
            "Poisoned clients train honestly and send the exact opposite, which stays inside the "
            "shared directions: only the coefficient screen can see it.",
        ),
    )
}


@dataclass(frozen=True)
class DigitsConfig:
    """Settings of one federated digits run, validated on construction.

    Attributes
    ----------
    n_clients : int
        4 to 48.
    poisoned_fraction : float
        In [0, 0.5); the number is rounded and stays below half.
    disputed : int
        How many of the ten digits honest clients name differently, 0 to 10: each permutes their
        codes in a way of its own.
    skew : float or None
        Concentration of the Dirichlet distribution from which each client's mix of digits is
        drawn, > 0, small for one-sided clients; None for no skew.
    attack : str
        A key of `ATTACKS`.
    boost : float
        Factor by which poisoned clients multiply their finished update (model replacement), >= 1.
    n_local : int
        Images of a client, 4 to 200.
    layers : str
        A key of `LAYERS`: which layers are adapted.
    rank : int or "auto"
        Rank of the shared subspace CLAIR looks for.
    screen_coefficients : bool
        As in `clair.fit`.
    compare_shape : bool
        As in `clair.fit`; needs three layers.
    steps : int
        Full-batch training steps of every client, 1 to 1000.
    learning_rate : float
        Peak rate of AdamW, > 0.
    lora_rank : int
        1 to 32.
    n_samples : int
        Held-out images shown with what the methods read in them, 0 to 24.
    seed : int
        Non-negative; the same seed gives the same bytes on the CPU.
    device : {"auto", "cuda", "mps", "cpu"}
    threads : int
        CPU threads of torch while the job runs, 1 to 64.

    Raises
    ------
    ValueError
        If a setting breaks its rule; the message names the setting, the rule and the value.
    """

    n_clients: int = 16
    poisoned_fraction: float = 0.3
    disputed: int = 3
    skew: float | None = None
    attack: str = "label_flip"
    boost: float = 3.0
    n_local: int = 16
    layers: str = "head"
    rank: int | Literal["auto"] = "auto"
    screen_coefficients: bool = False
    compare_shape: bool = True
    steps: int = 100
    learning_rate: float = 5e-3
    lora_rank: int = 8
    n_samples: int = 12
    seed: int = 0
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        check_integer("n_clients", self.n_clients, minimum=4, maximum=48)
        check_real(
            "poisoned_fraction", self.poisoned_fraction, minimum=0, maximum=0.5, open_maximum=True
        )
        check_integer("disputed", self.disputed, minimum=0, maximum=10)
        if self.skew is not None:
            check_real("skew", self.skew, minimum=0, open_minimum=True)
        check_choice("attack", self.attack, ATTACKS)
        check_real("boost", self.boost, minimum=1, maximum=100)
        check_integer("n_local", self.n_local, minimum=4, maximum=200)
        check_choice("layers", self.layers, LAYERS)
        if self.rank != "auto":
            check_integer("rank", self.rank, minimum=1, maximum=MAX_RANK)
        for name in ("screen_coefficients", "compare_shape"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")
        check_integer("steps", self.steps, minimum=1, maximum=1000)
        check_real("learning_rate", self.learning_rate, minimum=0, maximum=1, open_minimum=True)
        check_integer("lora_rank", self.lora_rank, minimum=1, maximum=32)
        check_integer("n_samples", self.n_samples, minimum=0, maximum=24)
        check_integer("seed", self.seed, minimum=0, maximum=2**63 - 1)
        check_choice("device", self.device, DEVICES)
        check_integer("threads", self.threads, minimum=1, maximum=64)

    @property
    def n_poisoned(self) -> int:
        """Number of contaminated clients: the rounded share, always below half."""
        return count_contaminated(self.poisoned_fraction, self.n_clients)

    def to_json(self) -> dict[str, Any]:
        """Convert the settings to JSON scalars."""
        return asdict(self)
