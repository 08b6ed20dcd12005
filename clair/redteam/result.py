"""What a search is asked, and what it tells and finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from clair._validation import check_choice, check_integer
from clair.redteam.defences import DEFENCES, Trial
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.matrix_model import ProblemSpec, check_modules

MIN_BUDGET = 50


@dataclass(frozen=True)
class RedTeamConfig:
    """Everything that determines a search.

    Attributes
    ----------
    spec : ProblemSpec
        Problems the attacks are tried on; at least one client is held by the attacker. Its attack
        is ignored and its seed is that of the search.
    defence : str
        A key of `DEFENCES`.
    rank : int or "auto"
        Number of directions the defence is given.
    budget : int
        How many times the defence may be run, >= `MIN_BUDGET`.
    n_modules : int
        Modules of every update, >= 1, see `clair.simulation.matrix_model.sample_modules`; 1 against
        the former rule, which knows no more.

    Raises
    ------
    ValueError
        If a field is out of its range.
    """

    spec: ProblemSpec = field(default_factory=lambda: ProblemSpec(poisoned_fraction=0.4))
    defence: str = "clair"
    rank: int | str = "auto"
    budget: int = 300
    n_modules: int = 1

    def __post_init__(self) -> None:
        check_choice("defence", self.defence, DEFENCES)
        if self.rank != "auto":
            limit = min(self.spec.d_out, self.spec.d_in)
            check_integer("rank", self.rank, minimum=1, maximum=limit)
        check_integer("budget", self.budget, minimum=MIN_BUDGET)
        check_modules(self.spec, self.n_modules)
        if self.defence == "clair_former" and self.n_modules > 1:
            raise ValueError(f"n_modules must be 1 for 'clair_former', got {self.n_modules}")
        if self.spec.n_contaminated == 0:
            raise ValueError(
                "poisoned_fraction must leave the attacker at least one client, "
                f"got {self.spec.poisoned_fraction:g} of {self.spec.n_clients}"
            )


@dataclass(frozen=True)
class Finding:
    """An attack and what it does on draws that the search never saw.

    Attributes
    ----------
    plan : AttackPlan or None
        None for no attack at all.
    trials : tuple of Trial
    searched : float
        Harm on the draws of the search; it flatters the plan, which was chosen by it.
    """

    plan: AttackPlan | None
    trials: tuple[Trial, ...]
    searched: float

    @property
    def harm(self) -> float:
        """Mean over the trials."""
        return mean_harm(self.trials)

    @property
    def caught(self) -> float:
        """Share of the attacker's clients that are flagged, in [0, 1]."""
        return float(np.mean([trial.detection.recall for trial in self.trials]))

    @property
    def false_alarms(self) -> float:
        """Share of honest clients that are flagged, in [0, 1]."""
        return float(np.mean([trial.flagged[~trial.held].mean() for trial in self.trials]))

    @property
    def f1(self) -> float:
        """Mean F1 of the verdict."""
        return float(np.mean([trial.detection.f1 for trial in self.trials]))


@dataclass(frozen=True)
class Attempt:
    """A plan that the search tried.

    Attributes
    ----------
    plan : AttackPlan
    harm, suspicion : float
        Means over the draws of the search it was tried on; see `Trial`.
    unseen : bool
        Whether none of the attacker's clients was flagged.
    """

    plan: AttackPlan
    harm: float
    suspicion: float
    unseen: bool


@dataclass(frozen=True)
class RedTeamResult:
    """What a search found.

    Attributes
    ----------
    config : RedTeamConfig
    unattacked : Finding
        The same draws with the attacker's clients honest.
    hidden : Finding or None
        The most harmful attack none of whose clients was flagged during the search; None if there
        was no such attack.
    worst : Finding
        The most harmful attack, flagged or not.
    n_fits : int
        How often the defence was run.
    complete : bool
        False if the search was cancelled.
    attempts : tuple of Attempt
        Everything that was tried, in order.
    """

    config: RedTeamConfig
    unattacked: Finding
    hidden: Finding | None
    worst: Finding
    n_fits: int
    complete: bool
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class SearchProgress:
    """Where a search stands.

    Attributes
    ----------
    step, total_steps : int
        Runs of the defence, and how many there will be.
    worst, hidden : float
        Harm of the best plans so far, 0 where there is none.
    attempt : Attempt
        The latest.
    """

    step: int
    total_steps: int
    worst: float
    hidden: float
    attempt: Attempt
    stage: str = "search"
    label: str = "Searching"

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent, in [0, 1]."""
        return self.step / self.total_steps

    @property
    def note(self) -> str:
        """The worst plans in words."""
        return (
            f", worst so far {self.worst:.2f} times the oracle's error, unflagged {self.hidden:.2f}"
        )


def mean_harm(trials: Sequence[Trial]) -> float:
    """Average the harm of some trials."""
    return float(np.mean([trial.harm for trial in trials]))
