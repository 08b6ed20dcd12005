"""The one object that says what a text-copying run does; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clair.federated.config import RoundsConfig, choice, real, whole
from clair.federated.copytask.attacks import ATTACKS

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class CopyTaskConfig(RoundsConfig):
    """Settings of one federated text-copying run, validated on construction.

    Attributes
    ----------
    n_clients : int
        Clients in the federation, 4 to 64.
    heterogeneity : float
        In [0, 1]. round(3 * heterogeneity) of the three vowels a, e, o get a symbol of each
        client's own choice instead of the common one; topics move from uniform to two favourites.
    rank : int or "auto"
        Rank of the shared subspace CLAIR looks for, 1 to 16.
    finetune_steps : int or None
        Further local steps of the fine-tuned rows, 0 to 1000; None takes a quarter of `steps`,
        which serves them best here: with more they fit their few texts too closely.
    precision : {"float32", "bfloat16"}
        Arithmetic of training; "bfloat16" means autocast and needs CUDA.
    n_local, n_test : int
        Training sentences of a client (1 to 256), held-out sentences of a client (1 to 256).
    lora_rank : int
        Rank of each adapter, 1 to 64; lora_alpha equals it, so the scaling is 1.
    n_samples : int
        Benign clients of which one held-out text is written out by every method, 0 to 16.
    """

    n_clients: int = whole(12, 4, 64)
    attack: str = choice("shift", ATTACKS)
    rank: int | Literal["auto"] = whole("auto", 1, 16, instead="auto")
    heterogeneity: float = real(2 / 3, 0, 1)
    finetune_steps: int | None = whole(None, 0, 1000, instead=None)
    precision: str = choice("float32", PRECISIONS)
    n_local: int = whole(6, 1, 256)
    n_test: int = whole(32, 1, 256)

    @property
    def further_steps(self) -> int:
        """Further local steps of the fine-tuned rows."""
        return -(-self.steps // 4) if self.finetune_steps is None else self.finetune_steps


#: Where the page opens: the poison visibly harms an average and a subspace fitted to everybody, so
#: that the first result shows what a verdict is worth (``benchmarks/opening.py``).
OPENING = CopyTaskConfig(attack="scaled", poisoned_fraction=0.4)
