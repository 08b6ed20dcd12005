"""Settings of a federated task: what all tasks have, and fields that say what they allow."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, Self

from clair._validation import check_choice, check_integer, check_real
from clair.method.choices import DETECTORS
from clair.simulation.matrix_model import count_contaminated

DEVICES = ("auto", "cuda", "mps", "cpu")
MAX_ROUNDS = 5


def whole(default: Any, low: int, high: int, *, instead: Any = ...) -> Any:
    """Declare a whole number in [low, high]; `instead` is a value that may stand in its place."""
    return _checked(default, partial(check_integer, minimum=low, maximum=high), instead=instead)


def real(
    default: Any,
    low: float,
    high: float = float("inf"),
    *,
    open_minimum: bool = False,
    open_maximum: bool = False,
    instead: Any = ...,
) -> Any:
    """Declare a number from `low` to `high`; ``open_minimum``, ``open_maximum`` leave one out."""
    rule = partial(
        check_real,
        minimum=low,
        maximum=high,
        open_minimum=open_minimum,
        open_maximum=open_maximum,
    )
    return _checked(default, rule, instead=instead)


def choice(default: str, names: Collection[str]) -> Any:
    """Declare one of some names."""
    return _checked(default, partial(check_choice, choices=names), choices=tuple(names))


def switch(default: bool) -> Any:
    """Declare a yes or no."""
    return _checked(default, _check_switch)


def text(default: str) -> Any:
    """Declare any text."""
    return _checked(default, _check_text)


def _checked(default: Any, rule: Callable[[str, Any], Any], **more: Any) -> Any:
    return field(default=default, metadata={"rule": rule, **more})


def _check_switch(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {value!r}")


@dataclass(frozen=True)
class TaskAttack:
    """One kind of poisoning, as data that a page can list.

    Attributes
    ----------
    key, label : str
        Name in configurations, name shown to people.
    sentence : str
        What it does, in one plain sentence.
    kind : {"data", "update"}
        Whether a client's data or its finished update is tampered with.
    scaled : bool
        Whether the strength of the attack matters, where a task has one.
    """

    key: str
    label: str
    sentence: str
    kind: Literal["data", "update"] = "data"
    scaled: bool = True


@dataclass(frozen=True)
class FederationConfig:
    """What every federation has; a task adds its own settings and names its attacks.

    Attributes
    ----------
    n_clients : int
    poisoned_fraction : float
        Share of contaminated clients, in [0, 0.5); the number is rounded and stays below half.
    attack : str
        A key of the task's ``ATTACKS``.
    rank : int or "auto"
        Rank of the shared subspace CLAIR looks for.
    screen_coefficients : bool
        Whether CLAIR also looks for sign flips inside the shared subspace.
    detector : {"residual", "norms"}
        As in `clair.fit`: ours, or contamination norms as published.
    seed : int
        Non-negative; the same seed gives the same bytes on the CPU.

    Raises
    ------
    ValueError
        If a setting breaks its rule; the message names the setting, the rule and the value.
    """

    n_clients: int = whole(12, 4, 64)
    poisoned_fraction: float = real(0.25, 0, 0.5, open_maximum=True)
    attack: str = ""
    rank: int | Literal["auto"] = whole("auto", 1, 8, instead="auto")
    screen_coefficients: bool = switch(False)
    detector: str = choice("residual", DETECTORS)
    seed: int = whole(0, 0, 2**63 - 1)

    def __post_init__(self) -> None:
        for one in fields(self):
            value, instead = getattr(self, one.name), one.metadata.get("instead", ...)
            if instead is ... or (value is not instead and value != instead):
                one.metadata["rule"](one.name, value)

    @property
    def n_poisoned(self) -> int:
        """Number of contaminated clients: the rounded share, always below half."""
        return count_contaminated(self.poisoned_fraction, self.n_clients)

    @property
    def judged_by(self) -> dict[str, Any]:
        """Keywords of `clair.fit` that say how clients are judged."""
        names = ("screen_coefficients", "compare_shape", "detector")
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def to_json(self) -> dict[str, Any]:
        """Convert the settings to JSON scalars."""
        return asdict(self)


@dataclass(frozen=True)
class TrainingConfig(FederationConfig):
    """Settings of a federation whose clients train adapters.

    Attributes
    ----------
    steps : int
        Full-batch training steps of every client, 1 to 1000.
    learning_rate : float
        Peak rate of AdamW, > 0, after a warm-up and before linear decay to a tenth.
    lora_rank : int
        Rank of each adapter; lora_alpha equals it, so the scaling is 1.
    n_samples : int
        Held-out examples that are shown with what every method made of them.
    device : {"auto", "cuda", "mps", "cpu"}
        "auto" takes the first of CUDA, MPS and CPU that is there.
    threads : int
        CPU threads of torch while the job runs, 1 to 64.
    """

    steps: int = whole(80, 1, 1000)
    learning_rate: float = real(5e-3, 0, 1, open_minimum=True)
    lora_rank: int = whole(16, 1, 64)
    n_samples: int = whole(4, 0, 16)
    device: str = choice("auto", DEVICES)
    threads: int = whole(1, 1, 64)


def check_poison_from(poison_from: int, rounds: int) -> None:
    """Check that poison begins in one of the rounds."""
    if poison_from > rounds:
        raise ValueError(f"poison_from must be at most rounds, {rounds}, got {poison_from}")


@dataclass(frozen=True)
class RoundsConfig(TrainingConfig):
    """Settings of a federation that may train over several rounds.

    Attributes
    ----------
    rounds : int
        Rounds, 1 to 5. After each, clients train on from what their method hands out.
    poison_from : int
        Round from which on the poisoned clients are poisoned, 1 to `rounds`; they are honest
        before.
    """

    rounds: int = whole(1, 1, MAX_ROUNDS)
    poison_from: int = whole(1, 1, MAX_ROUNDS)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_poison_from(self.poison_from, self.rounds)

    def honest(self) -> Self:
        """Make the settings of the same federation before anybody is poisoned."""
        return replace(self, poisoned_fraction=0.0)
