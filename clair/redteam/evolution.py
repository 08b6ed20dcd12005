"""Evolution of attack plans against a defence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from clair._validation import check_choice, check_integer
from clair.redteam.defences import DEFENCES, Trial, evaluate
from clair.redteam.moves import KNOWN, crossed, louder, moved, random_plan
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.matrix_model import ProblemSpec

SEARCH_DRAWS = 2
FINAL_DRAWS = 2
FRESH_DRAWS = 6
FINALISTS = 3
MIN_BUDGET = 50
#: Plans that children are made of.
PARENTS = 8
#: A plan this far below both parents' worst on its first draw is given up without a second.
HOPELESS = 0.9
_SEEDS = 1_000_000
# Fits kept back: both winners and "no attack" run on fresh draws, the finalists on a few more.
RESERVE = 3 * FRESH_DRAWS + 2 * FINALISTS * FINAL_DRAWS


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

    Raises
    ------
    ValueError
        If a field is out of its range.
    """

    spec: ProblemSpec = field(default_factory=lambda: ProblemSpec(poisoned_fraction=0.4))
    defence: str = "clair"
    rank: int | str = "auto"
    budget: int = 300

    def __post_init__(self) -> None:
        check_choice("defence", self.defence, DEFENCES)
        if self.rank != "auto":
            limit = min(self.spec.d_out, self.spec.d_in)
            check_integer("rank", self.rank, minimum=1, maximum=limit)
        check_integer("budget", self.budget, minimum=MIN_BUDGET)
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
        return _mean_harm(self.trials)

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


def search(
    config: RedTeamConfig,
    progress: Callable[[SearchProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RedTeamResult:
    """Look for the attack that costs honest clients the most.

    Parameters
    ----------
    config : RedTeamConfig
    progress : callable, optional
        Receives a `SearchProgress` after each candidate.
    cancelled : callable, optional
        Asked before each candidate; if it returns True, the search ends with what it has.

    Returns
    -------
    RedTeamResult
        The same for the same config.
    """
    hunt = _Hunt(config)
    attempts: list[Attempt] = []
    complete = True
    while hunt.n_fits + SEARCH_DRAWS <= config.budget - RESERVE:
        if hunt.n_fits and cancelled is not None and cancelled():
            complete = False
            break
        attempts.append(hunt.consider(hunt.propose()))
        if progress is not None:
            progress(SearchProgress(hunt.n_fits, config.budget, *hunt.harms(), attempts[-1]))
    worst, hidden = hunt.winner(hunt.pool), hunt.winner(hunt.unseen)
    unattacked, measured = hunt.measured(None), hunt.measured(worst)
    found = measured if hidden is worst else hunt.measured(hidden) if hidden else None
    return RedTeamResult(
        config, unattacked, found, measured, hunt.n_fits, complete, tuple(attempts)
    )


class _Candidate:
    """A plan and its trials during the search."""

    def __init__(self, plan: AttackPlan, trials: list[Trial]) -> None:
        self.plan, self.trials = plan, trials

    @property
    def harm(self) -> float:
        return _mean_harm(self.trials)

    @property
    def unseen(self) -> bool:
        return not any((trial.flagged & trial.held).any() for trial in self.trials)

    @property
    def attempt(self) -> Attempt:
        seen = float(np.mean([trial.suspicion for trial in self.trials]))
        return Attempt(self.plan, self.harm, seen, self.unseen)


class _Hunt:
    """State of a search: the draws, the budget spent and the plans that did the most harm."""

    def __init__(self, config: RedTeamConfig) -> None:
        self.config = config
        self.rng, draws = (
            np.random.default_rng(stream)
            for stream in np.random.SeedSequence(config.spec.seed).spawn(2)
        )
        n_draws = SEARCH_DRAWS + FINAL_DRAWS + FRESH_DRAWS
        seeds = [int(seed) for seed in draws.choice(_SEEDS, n_draws, replace=False)]
        self.search_seeds = seeds[:SEARCH_DRAWS]
        self.final_seeds = seeds[SEARCH_DRAWS:-FRESH_DRAWS]
        self.fresh_seeds = seeds[-FRESH_DRAWS:]
        self.n_fits = 0
        self.waiting = list(KNOWN)
        self.tried: set[AttackPlan] = set()
        self.pool: list[_Candidate] = []
        self.unseen: list[_Candidate] = []

    def harms(self) -> tuple[float, float]:
        """Look up the harm of the worst plan and of the worst unseen one; 0 where there is none."""
        worst, unseen = (group[0].harm if group else 0.0 for group in (self.pool, self.unseen))
        return worst, unseen

    def propose(self) -> AttackPlan:
        """Propose a plan that was not tried before."""
        while True:
            plan = self.waiting.pop(0) if self.waiting else self._child()
            if plan not in self.tried:
                self.tried.add(plan)
                return plan

    def _child(self) -> AttackPlan:
        kind = self.rng.random()
        if kind < 0.1:
            return random_plan(self.rng)
        if kind < 0.25:
            return crossed(self._parent(), self._parent(), self.rng)
        if kind < 0.45:
            return louder(self._parent(), float(np.exp(0.6 * self.rng.standard_normal())))
        return moved(self._parent(), self.rng)

    def _parent(self) -> AttackPlan:
        group = self.unseen if self.unseen and self.rng.random() < 0.5 else self.pool
        # the better of two draws, so that the best plan has many of the children but not all
        return group[int(self.rng.integers(len(group), size=2).min())].plan

    def consider(self, plan: AttackPlan) -> Attempt:
        """Try a plan on the draws of the search, and keep it if it is among the worst."""
        candidate = _Candidate(plan, [])
        for seed in self.search_seeds:
            candidate.trials.append(self._trial(plan, seed, quick=True))
            groups = [self.pool, self.unseen] if candidate.unseen else [self.pool]
            if all(len(g) == PARENTS and candidate.harm < HOPELESS * g[-1].harm for g in groups):
                return candidate.attempt
        for group in groups:
            group.append(candidate)
            group.sort(key=lambda c: -c.harm)
            del group[PARENTS:]
        return candidate.attempt

    def _trial(self, plan: AttackPlan | None, seed: int, *, quick: bool) -> Trial:
        self.n_fits += 1
        config = self.config
        spec = replace(config.spec, seed=seed)
        return evaluate(plan, spec, config.defence, config.rank, quick=quick)

    def winner(self, group: list[_Candidate]) -> _Candidate | None:
        """Select the worst of the finalists, after trying them on further draws."""
        for candidate in group[:FINALISTS]:
            if len(candidate.trials) == SEARCH_DRAWS:
                candidate.trials += [
                    self._trial(candidate.plan, seed, quick=True) for seed in self.final_seeds
                ]
        finalists = [c for c in group[:FINALISTS] if group is self.pool or c.unseen]
        return max(finalists or group[:1], key=lambda c: c.harm, default=None)

    def measured(self, candidate: _Candidate | None) -> Finding:
        """Measure a plan, or no attack, on fresh draws with the defence as it runs by default."""
        plan = None if candidate is None else candidate.plan
        trials = tuple(self._trial(plan, seed, quick=False) for seed in self.fresh_seeds)
        searched = _mean_harm(trials) if candidate is None else candidate.harm
        return Finding(plan, trials, searched)


def _mean_harm(trials: Sequence[Trial]) -> float:
    return float(np.mean([trial.harm for trial in trials]))
