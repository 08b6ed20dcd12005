"""The one object that says what a text-copying run does; needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from clair._validation import check_choice, check_integer, check_real
from clair.federated.copytask.attacks import ATTACKS
from clair.simulation.matrix_model import count_contaminated

DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("float32", "bfloat16")
MAX_RANK = 16


@dataclass(frozen=True)
class CopyTaskConfig:
    """Settings of one federated text-copying run, validated on construction.

    Attributes
    ----------
    n_clients : int
        Clients in the federation, 4 to 64.
    poisoned_fraction : float
        Share of contaminated clients, in [0, 0.5); the number is rounded and stays below half.
    heterogeneity : float
        In [0, 1]. round(3 * heterogeneity) of the three vowels a, e, o get a symbol of each
        client's own choice instead of the common one; topics move from uniform to two favourites.
    attack : str
        A key of `clair.federated.copytask.ATTACKS`.
    rank : int or "auto"
        Rank of the shared subspace CLAIR looks for, 1 to 16.
    screen_coefficients : bool
        Whether CLAIR also looks for sign flips inside the shared subspace.
    steps : int
        Full-batch training steps of every client, 1 to 1000.
    finetune_steps : int or None
        Further local steps of the fine-tuned rows, 0 to 1000; None takes a quarter of `steps`,
        which serves them best here: with more they fit their few texts too closely.
    seed : int
        Non-negative; the same seed gives the same bytes on the CPU.
    device : {"auto", "cuda", "mps", "cpu"}
        "auto" takes the first of CUDA, MPS and CPU that is there.
    precision : {"float32", "bfloat16"}
        Arithmetic of training; "bfloat16" means autocast and needs CUDA.
    n_local, n_test : int
        Training sentences of a client (1 to 256), held-out sentences of a client (1 to 256).
    learning_rate : float
        Peak rate of AdamW, > 0, after a warm-up and before linear decay to a tenth.
    lora_rank : int
        Rank of each adapter, 1 to 64; lora_alpha equals it, so the scaling is 1.
    n_samples : int
        Benign clients of which one held-out text is written out by every method, 0 to 16.
    threads : int
        CPU threads of torch while the job runs, 1 to 64.

    Raises
    ------
    ValueError
        If a setting breaks its rule; the message names the setting, the rule and the value.
    """

    n_clients: int = 12
    poisoned_fraction: float = 0.25
    heterogeneity: float = 2 / 3
    attack: str = "shift"
    rank: int | Literal["auto"] = "auto"
    screen_coefficients: bool = False
    steps: int = 80
    finetune_steps: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    n_local: int = 6
    n_test: int = 32
    learning_rate: float = 5e-3
    lora_rank: int = 16
    n_samples: int = 4
    threads: int = 1

    def __post_init__(self) -> None:
        check_integer("n_clients", self.n_clients, minimum=4, maximum=64)
        check_real(
            "poisoned_fraction",
            self.poisoned_fraction,
            minimum=0,
            maximum=0.5,
            open_maximum=True,
        )
        check_real("heterogeneity", self.heterogeneity, minimum=0, maximum=1)
        check_choice("attack", self.attack, ATTACKS)
        if self.rank != "auto":
            check_integer("rank", self.rank, minimum=1, maximum=MAX_RANK)
        if not isinstance(self.screen_coefficients, bool):
            raise ValueError(
                f"screen_coefficients must be True or False, got {self.screen_coefficients!r}"
            )
        check_integer("steps", self.steps, minimum=1, maximum=1000)
        if self.finetune_steps is not None:
            check_integer("finetune_steps", self.finetune_steps, minimum=0, maximum=1000)
        check_integer("seed", self.seed, minimum=0, maximum=2**63 - 1)
        check_choice("device", self.device, DEVICES)
        check_choice("precision", self.precision, PRECISIONS)
        check_integer("n_local", self.n_local, minimum=1, maximum=256)
        check_integer("n_test", self.n_test, minimum=1, maximum=256)
        check_real("learning_rate", self.learning_rate, minimum=0, maximum=1, open_minimum=True)
        check_integer("lora_rank", self.lora_rank, minimum=1, maximum=64)
        check_integer("n_samples", self.n_samples, minimum=0, maximum=16)
        check_integer("threads", self.threads, minimum=1, maximum=64)

    @property
    def further_steps(self) -> int:
        """Further local steps of the fine-tuned rows."""
        return -(-self.steps // 4) if self.finetune_steps is None else self.finetune_steps

    @property
    def n_poisoned(self) -> int:
        """Number of contaminated clients: the rounded share, always below half."""
        return count_contaminated(self.poisoned_fraction, self.n_clients)

    def to_json(self) -> dict[str, Any]:
        """Convert the settings to JSON scalars."""
        return asdict(self)
