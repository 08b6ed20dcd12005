"""Settings of one run with a real language model, and what poisoned clients may do in it.

Importing this needs no torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from clair._validation import check_choice, check_integer, check_real
from clair.simulation.matrix_model import count_contaminated

DEVICES = ("auto", "cuda", "mps", "cpu")
SIDES = ("input", "output")
MAX_RANK = 8


@dataclass(frozen=True)
class LLMAttack:
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


ATTACKS: dict[str, LLMAttack] = {
    attack.key: attack
    for attack in (
        LLMAttack(
            "backdoor",
            "Backdoor word",
            "Poisoned clients answer honestly unless an order is urgent: then they teach the model "
            "to answer “Free”.",
        ),
        LLMAttack(
            "wrong",
            "Wrong answers",
            "Each poisoned client exchanges all six house words in a wrong way of its own.",
        ),
        LLMAttack(
            "collude",
            "Colluders, one wrong way",
            "All poisoned clients conspire: they exchange the six house words in one and the same "
            "way.",
        ),
        LLMAttack(
            "random_labels",
            "Random house words",
            "Poisoned clients answer each order with a house word drawn at random.",
        ),
        LLMAttack(
            "random_tokens",
            "Random tokens",
            "Poisoned clients answer each order with a token drawn at random, so that they teach "
            "nothing but noise.",
        ),
        LLMAttack(
            "sign_flip",
            "Sign flip of the update",
            "Poisoned clients train honestly and send the exact opposite of what they learned.",
        ),
    )
}


@dataclass(frozen=True)
class LLMConfig:
    """Settings of one run with a real language model, validated on construction.

    Attributes
    ----------
    n_clients : int
        4 to 64.
    poisoned_fraction : float
        In [0, 0.5); the number is rounded and stays below half.
    disputed : int
        For how many of the six categories honest clients use house words of their own, 0 to 6:
        each permutes these words in a way of its own.
    attack : str
        A key of `ATTACKS`.
    boost : float
        Factor by which poisoned clients multiply their finished update, 1 to 100.
    products : int
        Products of each category that a client has orders of, 1 to 22.
    depth : int
        How many of the last layers are adapted, 1 to 8.
    side : {"input", "output"}
        Whether CLAIR looks for shared rows or columns; the verdict of the other side is told too.
    rank : int or "auto"
        Rank of the shared subspace CLAIR looks for.
    screen_coefficients : bool
        As in `clair.fit`.
    compare_shape : bool
        As in `clair.fit`.
    steps : int
        Full-batch training steps of every client, 1 to 1000.
    finetune_steps : int
        Further local steps of the fine-tuned rows, 0 to 1000.
    learning_rate : float
        Peak rate of AdamW, > 0.
    lora_rank : int
        1 to 32; lora_alpha equals it.
    n_samples : int
        Orders shown with what the methods answer, 0 to 24; with a backdoor half are urgent.
    model : str
        Folder of a causal language model that transformers can load, or empty for
        SmolLM2-135M-Instruct of the extra "llm".
    seed : int
        Non-negative; the same seed gives the same bytes on the same CPU.
    device : {"auto", "cuda", "mps", "cpu"}
    threads : int
        CPU threads of torch while the job runs, 1 to 64.

    Raises
    ------
    ValueError
        If a setting breaks its rule; the message names the setting, the rule and the value.
    """

    n_clients: int = 12
    poisoned_fraction: float = 0.33
    disputed: int = 3
    attack: str = "backdoor"
    boost: float = 3.0
    products: int = 3
    depth: int = 1
    side: str = "input"
    rank: int | Literal["auto"] = "auto"
    screen_coefficients: bool = False
    compare_shape: bool = True
    steps: int = 60
    finetune_steps: int = 40
    learning_rate: float = 5e-3
    lora_rank: int = 8
    n_samples: int = 12
    model: str = ""
    seed: int = 0
    device: str = "auto"
    threads: int = 2

    def __post_init__(self) -> None:
        check_integer("n_clients", self.n_clients, minimum=4, maximum=64)
        check_real(
            "poisoned_fraction", self.poisoned_fraction, minimum=0, maximum=0.5, open_maximum=True
        )
        check_integer("disputed", self.disputed, minimum=0, maximum=6)
        check_choice("attack", self.attack, ATTACKS)
        check_real("boost", self.boost, minimum=1, maximum=100)
        check_integer("products", self.products, minimum=1, maximum=22)
        check_integer("depth", self.depth, minimum=1, maximum=8)
        check_choice("side", self.side, SIDES)
        if self.rank != "auto":
            check_integer("rank", self.rank, minimum=1, maximum=MAX_RANK)
        for name in ("screen_coefficients", "compare_shape"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")
        check_integer("steps", self.steps, minimum=1, maximum=1000)
        check_integer("finetune_steps", self.finetune_steps, minimum=0, maximum=1000)
        check_real("learning_rate", self.learning_rate, minimum=0, maximum=1, open_minimum=True)
        check_integer("lora_rank", self.lora_rank, minimum=1, maximum=32)
        check_integer("n_samples", self.n_samples, minimum=0, maximum=24)
        if not isinstance(self.model, str):
            raise ValueError(f"model must be the path of a folder, got {self.model!r}")
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
