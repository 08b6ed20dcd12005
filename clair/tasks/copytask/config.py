"""The one object that says what a text-copying run does; needs no torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any, Literal

from clair.tasks.copytask.attacks import ATTACKS

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
        A key of `clair.tasks.copytask.ATTACKS`.
    rank : int or "auto"
        Rank of the shared subspace CLAIR looks for, 1 to 16.
    screen_coefficients : bool
        Whether CLAIR also looks for sign flips inside the shared subspace.
    steps : int
        Full-batch training steps of every client, 1 to 1000.
    finetune_steps : int or None
        Further local steps of "FedAvg + fine-tuning"; None takes as many as `steps`, so that this
        baseline spends twice the local computation of all others.
    seed : int
        Non-negative; the same seed gives the same bytes on the CPU.
    device : {"auto", "cuda", "mps", "cpu"}
        "auto" takes the first of CUDA, MPS and CPU that is there.
    precision : {"float32", "bfloat16"}
        Arithmetic of training; "bfloat16" means autocast and needs CUDA.
    n_local, n_test : int
        Training sentences of a client (1 to 256), held-out sentences of a client (1 to 1024).
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
    heterogeneity: float = 1 / 3
    attack: str = "shift"
    rank: int | Literal["auto"] = "auto"
    screen_coefficients: bool = False
    steps: int = 80
    finetune_steps: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    n_local: int = 8
    n_test: int = 32
    learning_rate: float = 2e-2
    lora_rank: int = 16
    n_samples: int = 4
    threads: int = 1

    def __post_init__(self) -> None:
        _require_int("n_clients", self.n_clients, 4, 64)
        _require_real("poisoned_fraction", self.poisoned_fraction, 0.0, 0.5, open_high=True)
        _require_real("heterogeneity", self.heterogeneity, 0.0, 1.0)
        _require_choice("attack", self.attack, tuple(ATTACKS))
        if self.rank != "auto":
            _require_int("rank", self.rank, 1, MAX_RANK, alternative='"auto" or ')
        if not isinstance(self.screen_coefficients, bool):
            raise ValueError(
                f"screen_coefficients must be True or False, got {self.screen_coefficients!r}"
            )
        _require_int("steps", self.steps, 1, 1000)
        if self.finetune_steps is not None:
            _require_int("finetune_steps", self.finetune_steps, 0, 1000)
        _require_int("seed", self.seed, 0, 2**63 - 1)
        _require_choice("device", self.device, DEVICES)
        _require_choice("precision", self.precision, PRECISIONS)
        _require_int("n_local", self.n_local, 1, 256)
        _require_int("n_test", self.n_test, 1, 1024)
        _require_real("learning_rate", self.learning_rate, 0.0, 1.0, open_low=True)
        _require_int("lora_rank", self.lora_rank, 1, 64)
        _require_int("n_samples", self.n_samples, 0, 16)
        _require_int("threads", self.threads, 1, 64)

    @property
    def n_poisoned(self) -> int:
        """Number of contaminated clients: the rounded share, always below half."""
        return min(round(self.poisoned_fraction * self.n_clients), (self.n_clients - 1) // 2)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON scalars."""
        return asdict(self)


def _require_int(name: str, value: object, low: int, high: int, alternative: str = "") -> None:
    valid = isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high
    if not valid:
        raise ValueError(
            f"{name} must be {alternative}an integer in [{low}, {high}], got {value!r}"
        )


def _require_real(
    name: str,
    value: object,
    low: float,
    high: float,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    valid = (
        isinstance(value, Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and low <= value <= high
        and not (open_low and value == low)
        and not (open_high and value == high)
    )
    if not valid:
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        raise ValueError(f"{name} must be in {interval}, got {value!r}")


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
