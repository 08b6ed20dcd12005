"""Settings of one run with a real language model, and what poisoned clients may do in it.

Importing this needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from clair.federated.config import TaskAttack, TrainingConfig, choice, real, switch, text, whole

SIDES = ("input", "output")


ATTACKS: dict[str, TaskAttack] = {
    attack.key: attack
    for attack in (
        TaskAttack(
            "backdoor",
            "Backdoor word",
            "Poisoned clients answer honestly unless an order is urgent: then they teach the model "
            "to answer “Free”.",
        ),
        TaskAttack(
            "wrong",
            "Wrong answers",
            "Each poisoned client exchanges all six house words in a wrong way of its own.",
        ),
        TaskAttack(
            "collude",
            "Colluders, one wrong way",
            "All poisoned clients conspire: they exchange the six house words in one and the same "
            "way.",
        ),
        TaskAttack(
            "random_labels",
            "Random house words",
            "Poisoned clients answer each order with a house word drawn at random.",
        ),
        TaskAttack(
            "random_tokens",
            "Random tokens",
            "Poisoned clients answer each order with a token drawn at random, so that they teach "
            "nothing but noise.",
        ),
        TaskAttack(
            "sign_flip",
            "Sign flip of the update",
            "Poisoned clients train honestly and send the exact opposite of what they learned.",
        ),
    )
}


@dataclass(frozen=True)
class LLMConfig(TrainingConfig):
    """Settings of one run with a real language model, validated on construction.

    Attributes
    ----------
    n_clients : int
        4 to 64.
    disputed : int
        For how many of the six categories honest clients use house words of their own, 0 to 6:
        each permutes these words in a way of its own.
    boost : float
        Factor by which poisoned clients multiply their finished update, 1 to 100.
    products : int
        Products of each category that a client has orders of, 1 to 22.
    depth : int
        How many of the last layers are adapted, 1 to 8.
    side : {"input", "output"}
        Whether CLAIR looks for shared rows or columns; the verdict of the other side is told too.
    compare_shape : bool
        As in `clair.fit`.
    finetune_steps : int
        Further local steps of the fine-tuned rows, 0 to 1000.
    lora_rank : int
        1 to 32.
    n_samples : int
        Orders shown with what the methods answer, 0 to 24; with a backdoor half are urgent.
    model : str
        Folder of a causal language model that transformers can load, or empty for
        SmolLM2-135M-Instruct of the extra "llm".
    """

    poisoned_fraction: float = real(0.33, 0, 0.5, open_maximum=True)
    attack: str = choice("backdoor", ATTACKS)
    steps: int = whole(60, 1, 1000)
    lora_rank: int = whole(8, 1, 32)
    n_samples: int = whole(12, 0, 24)
    threads: int = whole(2, 1, 64)
    disputed: int = whole(3, 0, 6)
    boost: float = real(3.0, 1, 100)
    products: int = whole(3, 1, 22)
    depth: int = whole(1, 1, 8)
    side: str = choice("input", SIDES)
    compare_shape: bool = switch(True)
    finetune_steps: int = whole(40, 0, 1000)
    model: str = text("")
