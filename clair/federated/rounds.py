"""Several rounds of a federation: each method's clients train on from what it hands out.

In the first round all methods see the same updates. After it each has a federation of its own,
because what clients send depends on what they were given. A start stays fixed, and a fresh adapter
is trained on top of it, as in fine-tuning; so every method can hand out what it likes, of any rank.

CLAIR is used as `clair.flower.ClairStrategy` does: clients are judged by how they differ from what
all were given, the rank of the shared subspace stays as the first round found it, kept and suspect
clients train on from their own refined update, everybody else from the kept clients' average, and
nobody is flagged for less than what honest clients sent in the first round.

What clients share if it pays is what their tests of the first round favour: later a model has seen
both halves of the data, so nothing is left to test on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clair.adapters.rounds import lenient, sizes_outside, usual_size
from clair.baselines import estimate_all
from clair.federated.forms import averaged, nothing_like
from clair.federated.progress import JobClock
from clair.federated.results import RoundOutcome
from clair.federated.round import (
    Plan,
    Round,
    Task,
    federate,
    finetune,
    scored,
    starts,
    tampered,
    train_adapters,
)
from clair.federated.shares import whole
from clair.federated.sharing import LOCAL, Choice, candidates
from clair.method.detection import KEPT, SUSPECT
from clair.method.fit import ClairFit, fit
from clair.method.kinds import published_evidence
from clair.method.metrics import detection_scores
from clair.method.updates import LoraFactors
from clair.methods import GLOBAL_RULES

KEPT_AVERAGE = "kept_finetuned"
#: Methods whose federation is theirs alone; the other fine-tuned rows begin from one of these.
LEADING = (
    LOCAL,
    *GLOBAL_RULES,
    KEPT_AVERAGE,
    "pca",
    "clair",
    "clair_eb",
    "clair_safe",
    "clair_published",
    "fedavg_benign",
    "clair_oracle",
)
#: Of those, the ones in which CLAIR judges.
JUDGED = (KEPT_AVERAGE, "clair", "clair_eb", "clair_safe", "clair_published")
Dense = dict[str, np.ndarray]


@dataclass(frozen=True)
class Start:
    """What the clients of a federation begin a round with, by module.

    Attributes
    ----------
    own : dict of ndarray of shape (n_clients, d_out, d_in)
        The whole update of each.
    common : dict of ndarray of shape (d_out, d_in)
        The part of it that all were given, by which nobody is judged.
    """

    own: Dense
    common: Dense

    def differences(self, sent: Mapping[str, LoraFactors]) -> Dense:
        """Compute what is judged: how each differs from the common part after a round."""
        return {
            name: self.own[name] - self.common[name] + part.dense() for name, part in sent.items()
        }


@dataclass(frozen=True)
class _Sent:
    """What came back from a federation."""

    sent: dict[str, LoraFactors]
    losses: np.ndarray


def federate_rounds(
    tasks: Sequence[Task], plan: Plan, clock: JobClock, *, poison_from: int = 1, afterwards: int = 0
) -> tuple[Round, tuple[RoundOutcome, ...]]:
    """Run `clair.federated.round.federate`, and further rounds from what each method hands out.

    Parameters
    ----------
    tasks : sequence of Task
        The task as it is in each round; the same clients, contaminated ones and held-out data.
    plan : Plan
    clock : JobClock
        Made for as many rounds.
    poison_from : int
        Round from which on contaminated clients are poisoned, counted from 1.
    afterwards : int
        Steps of stage "evaluate" that the caller takes afterwards.

    Returns
    -------
    last : Round
        The last round, with CLAIR's verdict in its own federation. The losses are those of all
        rounds.
    outcomes : tuple of RoundOutcome
        Of every round; empty if there is one only.

    Raises
    ------
    ValueError
        If updates are to stay factored over several rounds.
    """
    alone = len(tasks) == 1
    if plan.factored and not alone:
        raise ValueError(f"plan must not be factored where there are {len(tasks)} rounds")
    done = federate(tasks[0], plan, clock, afterwards=afterwards * alone, poisoned=poison_from == 1)
    if alone:
        return done, ()
    losses, outcomes = [done.loss_history], [_outcome(done, 1, tasks[0], poison_from)]
    begun = _after_first(done, _truth(tasks[0], 1, poison_from))
    usual = usual_size(sizes_outside(done.sent, done.fit), done.fit)
    plan, choice = replace(plan, rank=done.fit.rank), done.sharing
    for number, task in enumerate(tasks[1:], start=2):
        clock.next_round()
        more = afterwards if number == len(tasks) else 0
        truth = _truth(task, number, poison_from)
        done, begun = _further(task, plan, clock, begun, truth, usual, choice, more)
        losses.append(done.loss_history)
        outcomes.append(_outcome(done, number, task, poison_from))
    return replace(done, loss_history=np.concatenate(losses)), tuple(outcomes)


def _truth(task: Task, number: int, poison_from: int) -> np.ndarray:
    return task.contaminated & (number >= poison_from)


def _outcome(done: Round, number: int, task: Task, poison_from: int) -> RoundOutcome:
    return RoundOutcome(
        number=number,
        degrees=done.fit.degrees,
        reasons=done.fit.reasons,
        poisoned=_truth(task, number, poison_from),
        accuracy=done.accuracy,
    )


def _after_first(done: Round, truth: np.ndarray) -> dict[str, Start]:
    """Collect what each method hands out after the round that all have in common."""
    zero = {name: np.zeros(part.shape[1:]) for name, part in done.estimates[LOCAL].items()}
    weights = _trust("clair", done.fit, truth)[0]
    kept = {name: averaged(part, weights) for name, part in done.estimates[LOCAL].items()}
    made = {**done.estimates, KEPT_AVERAGE: kept}
    return _handed_out(LEADING, made, zero, done.fit, done.sharing, truth)


def _further(
    task: Task,
    plan: Plan,
    clock: JobClock,
    begun: Mapping[str, Start],
    truth: np.ndarray,
    usual: float,
    choice: Choice,
    afterwards: int,
) -> tuple[Round, dict[str, Start]]:
    """Run a round in every federation; also return what each hands out."""
    groups = _groups(begun)
    came = []
    for i, (start, _) in enumerate(groups):
        with clock.part(i, len(groups)):
            came.append(_trained(task, plan, clock, start))
    judged = _judged(plan, clock, groups, came, truth, usual, choice)
    main, estimates = judged.main, judged.estimates
    estimates["base"] = {name: nothing_like(part) for name, part in estimates[LOCAL].items()}
    kept = estimates.pop(KEPT_AVERAGE)
    tuned = starts(estimates, main, plan.tuned) | {KEPT_AVERAGE: kept}
    estimates |= finetune(task, plan, tuned, clock)
    ordered, accuracy = scored(task, estimates, clock, afterwards)
    done = Round(
        fit=main,
        detection=detection_scores(main.flagged, truth, main.suspect),
        loss_history=came[0].losses,
        estimates=ordered,
        accuracy=accuracy,
        sharing=choice,
        tests={},
        candidates={},
        sent=came[0].sent,
    )
    return done, judged.following


@dataclass
class _Judged:
    """What the server makes of what came back, over all federations.

    Attributes
    ----------
    main : ClairFit
        In the federation that CLAIR leads.
    estimates : dict of method to {module: ndarray of shape (n_clients, d_out, d_in)}
        Whole updates.
    following : dict of method to Start
    """

    main: ClairFit
    estimates: dict[str, Any]
    following: dict[str, Start]


def _judged(
    plan: Plan,
    clock: JobClock,
    groups: Sequence[tuple[Start, list[str]]],
    came: Sequence[_Sent],
    truth: np.ndarray,
    usual: float,
    choice: Choice,
) -> _Judged:
    """Judge, aggregate and hand out in every federation."""
    estimates: dict[str, Any] = {}
    following: dict[str, Start] = {}
    main: ClairFit | None = None
    for i, ((start, methods), one) in enumerate(zip(groups, came, strict=True)):
        with clock.part(i, len(groups)):
            clock.step("clair", 0, 1)
            updates = start.differences(one.sent)
            found = main
            if found is None or set(methods) & set(JUDGED):
                found = fit(
                    updates, plan.rank, progress=lambda _: clock.check(), **plan.fit_options
                )
                found = lenient(found, sizes_outside(updates, found), usual)
                main = main or found
            made = _estimated(updates, methods, found, truth)
            if "clair_safe" in methods:
                made["clair_safe"] = candidates(updates, found)[choice.chosen]
            total = {
                method: {name: _plus(start.common[name], part) for name, part in parts.items()}
                for method, parts in made.items()
            }
            following |= _handed_out(methods, total, start.common, found, choice, truth)
            estimates |= {method: total[method] for method in methods}
            clock.step("clair", 1, 1)
    assert main is not None  # CLAIR's federation comes first
    return _Judged(main, estimates, following)


def _groups(begun: Mapping[str, Start]) -> list[tuple[Start, list[str]]]:
    """Collect the methods of each federation, CLAIR's first: equal starts are trained once."""
    groups: dict[int, tuple[Start, list[str]]] = {}
    for method in ("clair", *(method for method in begun if method != "clair")):
        groups.setdefault(id(begun[method]), (begun[method], []))[1].append(method)
    return list(groups.values())


def _trained(task: Task, plan: Plan, clock: JobClock, start: Start) -> _Sent:
    """Train everybody on from a start."""
    shares = [whole(np.arange(len(task.contaminated)), task.n_local)]
    trained, history = train_adapters(task, plan, plan.schedule, clock, "train", shares, start.own)
    return _Sent(tampered(task, trained), history)


def _estimated(
    updates: Dense, methods: Sequence[str], found: ClairFit, truth: np.ndarray
) -> dict[str, Any]:
    """Apply the methods of a federation, and training alone, to the differences of its clients."""
    wanted = {LOCAL, *methods} - {KEPT_AVERAGE, "clair_safe"}
    made = estimate_all(updates, fit=found, contaminated=truth, methods=wanted)
    if KEPT_AVERAGE in methods:
        weights = _trust(KEPT_AVERAGE, found, truth)[0]
        made[KEPT_AVERAGE] = {name: averaged(part, weights) for name, part in updates.items()}
    return made


def _handed_out(
    methods: Sequence[str],
    total: Mapping[str, Any],
    common: Dense,
    found: ClairFit,
    choice: Choice,
    truth: np.ndarray,
) -> dict[str, Start]:
    """Make what the clients of each method train on from.

    Parameters
    ----------
    methods : sequence of str
    total : mapping of method to {module: ndarray of shape (n_clients, d_out, d_in)}
        Whole updates as each method leaves them, and of training alone.
    common : dict of ndarray of shape (d_out, d_in)
        What all were given in this round.
    found : ClairFit
    choice : Choice
        What "clair_safe" stands for.
    truth : ndarray of shape (n_clients,) of bool
        For the oracles.
    """
    alone = {name: np.zeros_like(part) for name, part in common.items()}
    starts_: dict[str, Start] = {}
    for method in methods:
        chosen = choice.chosen if method == "clair_safe" else method
        if chosen != method and chosen in starts_:
            starts_[method] = starts_[chosen]  # one federation, trained once
        elif chosen == LOCAL:
            starts_[method] = Start(total[LOCAL], alone)
        elif method in GLOBAL_RULES or method in (KEPT_AVERAGE, "fedavg_benign"):
            same = {name: part[0] for name, part in total[method].items()}
            starts_[method] = Start(total[method], same)
        else:
            weights, out = _trust(method, found, truth)
            mean = {
                name: np.average(part, axis=0, weights=weights)
                for name, part in total[LOCAL].items()
            }
            own = {
                name: np.where(out[:, None, None], mean[name], part)
                for name, part in total[method].items()
            }
            starts_[method] = Start(own, mean)
    return starts_


def _trust(method: str, found: ClairFit, truth: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Tell what clients weigh in the average that a method hands out, and who gets that average."""
    if method == "pca":
        out = np.zeros_like(truth)
    elif method == "clair_oracle":
        out = truth
    elif method == "clair_published":
        out = published_evidence(found).flagged
    else:
        out = np.array([degree not in (KEPT, SUSPECT) for degree in found.degrees])
        if found.influence.any():
            return found.influence, out
    return (None if out.all() else (~out).astype(float)), out


def _plus(common: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Add what all have in common; what clients share stays shared."""
    if part.strides[0] == 0 and len(part) > 1:
        return np.broadcast_to(common + part[0], part.shape)
    total: np.ndarray = common + part
    return total
