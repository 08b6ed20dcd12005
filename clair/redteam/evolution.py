"""Evolution of attack plans against a defence.

Plans are tried one after the other, as each is made of the worst before it. On several workers, the
plans that will be next if those under way do not join the parents, which few do, are tried
meanwhile. A guess that turns out wrong is not looked at, so the result is that of one worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clair.executors import Workers, open_workers
from clair.redteam.defences import Trial, evaluate
from clair.redteam.moves import KNOWN, crossed, louder, moved, random_plan
from clair.redteam.result import (
    Attempt,
    Finding,
    RedTeamConfig,
    RedTeamResult,
    SearchProgress,
    mean_harm,
)
from clair.simulation.attack_plan import AttackPlan

SEARCH_DRAWS = 2
FINAL_DRAWS = 2
FRESH_DRAWS = 6
FINALISTS = 3
#: Plans that children are made of.
PARENTS = 8
#: A plan this far below both parents' worst on its first draw is given up without a second.
HOPELESS = 0.9
_SEEDS = 1_000_000
# Fits kept back: both winners and "no attack" run on fresh draws, the finalists on a few more.
RESERVE = 3 * FRESH_DRAWS + 2 * FINALISTS * FINAL_DRAWS
#: Harm below which a plan is given up: whatever it is, and if none of its clients was flagged.
Bars = tuple[float, float]


def search(
    config: RedTeamConfig,
    progress: Callable[[SearchProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    *,
    workers: int | Workers | None = 1,
    scheduler: str | None = None,
) -> RedTeamResult:
    """Look for the attack that costs honest clients the most.

    Parameters
    ----------
    config : RedTeamConfig
    progress : callable, optional
        Receives a `SearchProgress` after each candidate.
    cancelled : callable, optional
        Asked before each candidate; if it returns True, the search ends with what it has.
    workers : int or Workers, optional
        Processes on this machine, None for one on each core; or an executor of the caller's: see
        `clair.executors.open_workers`.
    scheduler : str, optional
        Address of a dask scheduler to compute on instead.

    Returns
    -------
    RedTeamResult
        The same for the same config, whoever computes it.

    Raises
    ------
    WorkerFailed
        If a worker process breaks down, or no scheduler answers.
    """
    with open_workers(workers, scheduler) as found:
        return _search(_Hunt(config, found), progress, cancelled)


def _search(
    hunt: _Hunt,
    progress: Callable[[SearchProgress], None] | None,
    cancelled: Callable[[], bool] | None,
) -> RedTeamResult:
    config = hunt.config
    attempts: list[Attempt] = []
    complete = True
    while hunt.n_fits + SEARCH_DRAWS <= config.budget - RESERVE:
        if hunt.n_fits and cancelled is not None and cancelled():
            complete = False
            break
        attempts.append(hunt.consider_next())
        if progress is not None:
            progress(SearchProgress(hunt.n_fits, config.budget, *hunt.harms(), attempts[-1]))
    hunt.stop_guessing()
    worst, hidden = hunt.winner(hunt.pool), hunt.winner(hunt.unseen)
    measured = hunt.measured([None, worst, *([hidden] if hidden and hidden is not worst else [])])
    found = measured[1] if hidden is worst else measured[2] if hidden else None
    return RedTeamResult(
        config, measured[0], found, measured[1], hunt.n_fits, complete, tuple(attempts)
    )


class _Candidate:
    """A plan and its trials during the search."""

    def __init__(self, plan: AttackPlan, trials: list[Trial]) -> None:
        self.plan, self.trials = plan, trials

    @property
    def harm(self) -> float:
        return mean_harm(self.trials)

    @property
    def unseen(self) -> bool:
        return not any((trial.flagged & trial.held).any() for trial in self.trials)

    @property
    def attempt(self) -> Attempt:
        seen = float(np.mean([trial.suspicion for trial in self.trials]))
        return Attempt(self.plan, self.harm, seen, self.unseen)

    def below(self, bars: Bars) -> bool:
        """Tell whether it does too little harm to go on with."""
        return self.harm < bars[0] and not (self.unseen and self.harm >= bars[1])


@dataclass(frozen=True)
class _Job:
    """Some trials of one plan; this is what workers are sent.

    Attributes
    ----------
    config : RedTeamConfig
    plan : AttackPlan or None
    seeds : sequence of int
    quick : bool
        See `evaluate`.
    bars : Bars
        The plan is given up once it is below.
    """

    config: RedTeamConfig
    plan: AttackPlan | None
    seeds: Sequence[int]
    quick: bool = True
    bars: Bars = (-np.inf, -np.inf)

    def trials(self) -> list[Trial]:
        """Try the plan."""
        config, done = self.config, []
        for seed in self.seeds:
            spec = replace(config.spec, seed=seed)
            done.append(
                evaluate(
                    self.plan,
                    spec,
                    config.defence,
                    config.rank,
                    n_modules=config.n_modules,
                    quick=self.quick,
                )
            )
            if self.plan is not None and _Candidate(self.plan, done).below(self.bars):
                break
        return done


class _Hunt:
    """State of a search: the draws, the budget spent and the plans that did the most harm."""

    def __init__(self, config: RedTeamConfig, workers: Workers) -> None:
        self.config, self.workers = config, workers
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
        self.under_way: dict[AttackPlan, Future[list[Trial]]] = {}

    @property
    def left(self) -> int:
        """Number of plans that the budget is sure to allow."""
        return (self.config.budget - RESERVE - self.n_fits) // SEARCH_DRAWS

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

    def _guesses(self) -> list[AttackPlan]:
        """List the next proposals, as they will be if the parents stay; the first is certain."""
        number = min(self.workers.tasks, self.left)
        if not self.pool:  # nothing to make children of yet
            number = min(number, len(self.waiting))
        state, waiting, tried = self.rng.bit_generator.state, self.waiting, self.tried
        self.waiting, self.tried = waiting.copy(), tried.copy()
        plans = [self.propose() for _ in range(number)]
        self.rng.bit_generator.state, self.waiting, self.tried = state, waiting, tried
        return plans

    def consider_next(self) -> Attempt:
        """Try the next plan on the draws of the search, and keep it if it is among the worst."""
        guesses = self._guesses()
        self.stop_guessing(but=guesses)
        for plan in guesses:
            if plan not in self.under_way:
                self.under_way[plan] = self._start(plan, self.search_seeds, bars=self._bars())
        plan = self.propose()
        candidate = _Candidate(plan, [])
        for trial in self.workers.result(self.under_way.pop(plan)):
            candidate.trials.append(trial)
            self.n_fits += 1
            # The bars may have risen since a worker was told.
            if candidate.below(self._bars()):
                return candidate.attempt
        for group in [self.pool, self.unseen] if candidate.unseen else [self.pool]:
            group.append(candidate)
            group.sort(key=lambda c: -c.harm)
            del group[PARENTS:]
        return candidate.attempt

    def stop_guessing(self, but: Sequence[AttackPlan] = ()) -> None:
        """Forget what was tried in advance, except some plans."""
        for plan in self.under_way.keys() - set(but):
            self.under_way.pop(plan).cancel()

    def _bars(self) -> Bars:
        """Look up what a plan has to reach to be worth a second draw; it only ever rises."""
        caught, unseen = (
            HOPELESS * group[-1].harm if len(group) == PARENTS else -np.inf
            for group in (self.pool, self.unseen)
        )
        return caught, unseen

    def _start(
        self, plan: AttackPlan | None, seeds: Sequence[int], **how: Any
    ) -> Future[list[Trial]]:
        return self.workers.submit(_Job(self.config, plan, seeds, **how).trials)

    def winner(self, group: list[_Candidate]) -> _Candidate | None:
        """Select the worst of the finalists, after trying them on further draws."""
        asked = [
            (candidate, [self._start(candidate.plan, [seed]) for seed in self.final_seeds])
            for candidate in group[:FINALISTS]
            if len(candidate.trials) == SEARCH_DRAWS
        ]
        for candidate, tasks in asked:
            candidate.trials += self._all(tasks)
        finalists = [c for c in group[:FINALISTS] if group is self.pool or c.unseen]
        return max(finalists or group[:1], key=lambda c: c.harm, default=None)

    def measured(self, candidates: Sequence[_Candidate | None]) -> list[Finding]:
        """Measure plans, or no attack, on fresh draws with the defence as it runs by default."""
        plans = [None if candidate is None else candidate.plan for candidate in candidates]
        asked = [
            [self._start(plan, [seed], quick=False) for seed in self.fresh_seeds] for plan in plans
        ]
        found = []
        for candidate, plan, tasks in zip(candidates, plans, asked, strict=True):
            trials = tuple(self._all(tasks))
            searched = mean_harm(trials) if candidate is None else candidate.harm
            found.append(Finding(plan, trials, searched))
        return found

    def _all(self, tasks: Sequence[Future[list[Trial]]]) -> list[Trial]:
        trials = [trial for task in tasks for trial in self.workers.result(task)]
        self.n_fits += len(trials)
        return trials
