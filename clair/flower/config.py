"""Settings of a federation under Flower that the app shows round by round; needs no Flower."""

from __future__ import annotations

from dataclasses import dataclass

from clair.federated.config import MAX_ROUNDS, FederationConfig, check_poison_from, choice, whole
from clair.federated.copytask import ATTACKS, CopyTaskConfig

SENT_BACK = ("refined", "average")


@dataclass(frozen=True)
class FlowerConfig(FederationConfig):
    """Settings of text-copying clients under `ClairStrategy`, with mishaps.

    Attributes
    ----------
    n_clients : int
        6 to 24.
    rounds : int
        1 to 5.
    poison_from : int
        Round from which on the poisoned clients are poisoned, 1 to `rounds`; they are honest
        before.
    steps : int
        Local training steps of every client in a round, 1 to 200.
    sent_back : {"refined", "average"}
        What kept clients train on from: their own refined adapter, or the kept clients' average.
    crash : int
        Round in which an honest client crashes; 0 for none.
    broken : int
        Round in which another honest client sends NaN; 0 for none.
    leave : int
        Round from which on a third honest client does not answer any more; 0 for none.
    """

    n_clients: int = whole(12, 6, 24)
    attack: str = choice("shift", ATTACKS)
    rounds: int = whole(4, 1, MAX_ROUNDS)
    poison_from: int = whole(2, 1, MAX_ROUNDS)
    steps: int = whole(40, 1, 200)
    sent_back: str = choice("refined", SENT_BACK)
    crash: int = whole(2, 0, MAX_ROUNDS)
    broken: int = whole(4, 0, MAX_ROUNDS)
    leave: int = whole(3, 0, MAX_ROUNDS)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_poison_from(self.poison_from, self.rounds)

    @property
    def device(self) -> str:
        """Where clients train."""
        return "cpu"

    @property
    def threads(self) -> int:
        """Threads that they train on."""
        return 1

    @property
    def mishaps(self) -> dict[str, int]:
        """Round of each mishap that happens, by the name of its setting."""
        rounds = {name: int(getattr(self, name)) for name in ("crash", "broken", "leave")}
        return {name: number for name, number in rounds.items() if 0 < number <= self.rounds}

    def copying(self) -> CopyTaskConfig:
        """Make the settings of the clients' texts and training."""
        return CopyTaskConfig(
            n_clients=self.n_clients,
            poisoned_fraction=self.poisoned_fraction,
            attack=self.attack,
            steps=self.steps,
            rounds=self.rounds,
            poison_from=self.poison_from,
            seed=self.seed,
            device="cpu",
        )
