"""One round of a federation, whatever the task: train, tamper, CLAIR, fine-tune, evaluate.

A task provides a frozen model, the names of the adapted layers, its clients' losses and the scores
on its held-out data; everything else is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from clair.baselines import estimate_all
from clair.federated.evaluation import Estimates, evaluate_methods
from clair.federated.forms import Tuned, Update, averaged, joined, nothing_like, select
from clair.federated.lora import ClientLora, ClientUpdates
from clair.federated.progress import JobClock
from clair.federated.results import Stage
from clair.federated.shares import Examples, Share, halves, whole
from clair.federated.sharing import Choice, candidates, choose, untested, voters
from clair.federated.training import Schedule, train_clients
from clair.method.fit import ClairFit, fit
from clair.method.metrics import DetectionScores, detection_scores
from clair.method.updates import FactoredUpdates, LoraFactors
from clair.methods import METHODS

#: Fine-tuned row of each further method that a task may ask for.
MORE_TUNED = {
    "geometric_median": "geometric_median_finetuned",
    "multi_krum": "multi_krum_finetuned",
    "fedavg_benign": "benign_finetuned",
}


@dataclass(frozen=True)
class Plan:
    """How the clients train and what CLAIR is told.

    Attributes
    ----------
    lora_rank : int
        Rank of each adapter; lora_alpha equals it.
    schedule : Schedule
        Of the local training.
    finetune_steps : int
        Further local steps of the fine-tuned rows; 0 leaves them where they start.
    seed : int
        Of the adapters' common start.
    rank : int or "auto"
        Of the shared subspace.
    fit_options : mapping
        Further keywords of `clair.fit`.
    factored : bool
        Whether no update is ever multiplied out to the size of its module; for large models.
    tuned : tuple of str
        Further methods whose result is also fine-tuned, see `MORE_TUNED`.
    """

    lora_rank: int
    schedule: Schedule
    finetune_steps: int
    seed: int
    rank: int | str = "auto"
    fit_options: Mapping[str, Any] = field(default_factory=dict)
    factored: bool = False
    tuned: tuple[str, ...] = ()


class Task(Protocol):
    """What a task provides; attributes are read, never written."""

    @property
    def model(self) -> nn.Module:
        """The common model, frozen."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the ``nn.Linear`` layers that are adapted."""

    @property
    def contaminated(self) -> np.ndarray:
        """The truth, ndarray of shape (n_clients,) of bool."""

    @property
    def factors(self) -> np.ndarray:
        """Factor by which each client multiplies its finished update, (n_clients,); 1 if honest."""

    @property
    def n_local(self) -> int:
        """Training examples of a client."""

    def examples(self, shares: Sequence[Share]) -> Examples:
        """Collect training examples of clients, with the model's losses and errors on them."""

    def scores(self) -> Any:
        """Score the model as it is now on the benign clients' held-out data (`MethodScores`)."""


@dataclass(frozen=True)
class Round:
    """What one round of a federation ended with.

    Attributes
    ----------
    fit : ClairFit
    detection : DetectionScores
    loss_history : ndarray of shape (steps, n_clients)
    estimates : dict of method to {module: ndarray of shape (n_clients, d_out, d_in)}
        In display order.
    accuracy : dict of method to scores
    sharing : Choice
        What the clients' own tests favour: "clair_safe" among the methods.
    tests : dict of candidate to ndarray of shape (n_voters,)
        The errors these tests found, see `clair.federated.sharing`; empty if there was no test.
    candidates : dict of candidate to {module: ndarray of shape (n_clients, d_out, d_in)}
        Made from the full updates.
    sent : dict of module to LoraFactors
        What the server received.
    """

    fit: ClairFit
    detection: DetectionScores
    loss_history: np.ndarray
    estimates: dict[str, Estimates]
    accuracy: dict[str, Any]
    sharing: Choice
    tests: dict[str, np.ndarray]
    candidates: dict[str, Estimates]
    sent: dict[str, LoraFactors]


def federate(
    task: Task, plan: Plan, clock: JobClock, *, afterwards: int = 0, poisoned: bool = True
) -> Round:
    """Train all clients at once, run CLAIR on their adapters and evaluate every method.

    Parameters
    ----------
    task : Task
    plan : Plan
    clock : JobClock
        Told of every step; may raise `Cancelled`.
    afterwards : int
        Steps of stage "evaluate" that the caller takes afterwards.
    poisoned : bool
        False where the contaminated clients of the task are still honest.
    """
    truth = task.contaminated if poisoned else np.zeros_like(task.contaminated)
    clients = np.arange(len(task.contaminated))
    shares = [whole(clients, task.n_local)]
    if task.n_local >= 2:
        shares += halves(clients, task.n_local)
    trained, history = train_adapters(task, plan, plan.schedule, clock, "train", shares)
    sent, *parts = (tampered(task, part) for part in _separate(trained, len(clients), len(shares)))
    clock.step("clair", 0, 1)
    found = fit(sent, plan.rank, progress=lambda _: clock.check(), **plan.fit_options)
    shared = candidates(sent, found, factored=plan.factored)
    tests = own_tests(task, found, shares[1:], parts, factored=plan.factored)
    choice = choose(tests) if tests else untested("no kept client has two examples to test with")
    clock.step("clair", 1, 1)
    estimates = estimate_all(sent, fit=found, contaminated=truth, factored=plan.factored)
    estimates["base"] = {name: nothing_like(part) for name, part in estimates["local"].items()}
    estimates["clair_safe"] = shared[choice.chosen]
    estimates |= finetune(task, plan, starts(estimates, found, plan.tuned), clock)
    ordered, accuracy = scored(task, estimates, clock, afterwards)
    verdict = detection_scores(found.flagged, truth, found.suspect)
    losses = history[:, : len(clients)]
    return Round(found, verdict, losses, ordered, accuracy, choice, tests, shared, sent)


def scored(
    task: Task, estimates: Mapping[str, Estimates], clock: JobClock, afterwards: int = 0
) -> tuple[dict[str, Estimates], dict[str, Any]]:
    """Put methods in display order, and score them on the held-out data of the honest clients."""
    ordered = {key: estimates[key] for key in METHODS if key in estimates}
    total = len(ordered) + afterwards
    clock.step("evaluate", 0, total)
    accuracy = evaluate_methods(
        task.model,
        ordered,
        ~task.contaminated,
        task.scores,
        on_method=lambda done, _: clock.step("evaluate", done, total),
    )
    return ordered, accuracy


def train_adapters(
    task: Task,
    plan: Plan,
    schedule: Schedule,
    clock: JobClock,
    stage: Stage,
    shares: Sequence[Share],
    start: Estimates | None = None,
) -> tuple[dict[str, LoraFactors], np.ndarray]:
    """Train one adapter a model on the examples of its client, all in one batch.

    Parameters
    ----------
    task : Task
    plan : Plan
    schedule : Schedule
    clock : JobClock
    stage : str
        Stage that is reported to the clock.
    shares : sequence of Share
        The models, and the examples of each.
    start : mapping of module to ndarray of shape (n_models, d_out, d_in), optional
        Fixed updates that stay in force during the training.

    Returns
    -------
    factors : dict of LoraFactors
        By module, the scaling applied; one adapter a model.
    losses : ndarray of shape (steps, n_models)
    """
    examples = task.examples(shares)
    n_clients = len(task.contaminated)

    def report(step: int, values: np.ndarray) -> None:
        told = values[:n_clients] if stage == "train" else None
        clock.step(stage, step, schedule.steps, told)

    clock.step(stage, 0, schedule.steps)
    fixed = ClientUpdates(task.model, start or {}, examples.layout)
    lora = ClientLora(
        task.model,
        task.modules,
        n_clients=sum(len(share) for share in shares),
        rank=plan.lora_rank,
        rng=np.random.default_rng([plan.seed, 1]),
        layout=examples.layout,
    )
    try:
        history = train_clients(examples.losses, lora.parameters(), schedule, on_step=report)
    finally:
        lora.remove()
        fixed.remove()
    return {name: LoraFactors(B=B, A=A) for name, (B, A) in lora.factors().items()}, history


def _separate(
    trained: Mapping[str, LoraFactors], n_clients: int, n_shares: int
) -> list[dict[str, LoraFactors]]:
    """Split adapters into those of each share; every share holds all clients."""
    ranges = [slice(i * n_clients, (i + 1) * n_clients) for i in range(n_shares)]
    return [
        {name: LoraFactors(B=part.B[some], A=part.A[some]) for name, part in trained.items()}
        for some in ranges
    ]


def tampered(task: Task, trained: Mapping[str, LoraFactors]) -> dict[str, LoraFactors]:
    """Compute what the server receives: contaminated clients may change what they send."""
    scale = task.factors[:, None, None]
    return {name: LoraFactors(B=scale * part.B, A=part.A) for name, part in trained.items()}


def own_tests(
    task: Task,
    found: ClairFit,
    halves: Sequence[Share],
    sent: Sequence[Mapping[str, LoraFactors]],
    *,
    factored: bool = False,
) -> dict[str, np.ndarray]:
    """Test on one half of each trusted client's data the candidates made from the other half.

    Parameters
    ----------
    task : Task
    found : ClairFit
        Who is kept, and the rank.
    halves : sequence of Share
        The two halves of every client's training examples, or nothing.
    sent : sequence of {module: LoraFactors}
        The updates trained on each of them.
    factored : bool
        As in `Plan`.

    Returns
    -------
    dict of candidate to ndarray of shape (n_voters,)
        Errors averaged over both directions; see `clair.federated.sharing.candidates`.
    """
    who = voters(found)
    if not halves or not who.size:
        return {}
    other = [Share(who, half.examples[who]) for half in reversed(halves)]
    examples = task.examples(other)
    made = [candidates(updates, found, half=True, factored=factored) for updates in sent]
    errors = {}
    for key in made[0]:
        updates = {
            name: joined([select(one[key][name], who) for one in made]) for name in task.modules
        }
        attached = ClientUpdates(task.model, updates, examples.layout)
        try:
            with torch.no_grad():
                wrong = examples.errors().cpu().double().numpy()
        finally:
            attached.remove()
        errors[key] = wrong.reshape(2, -1).mean(axis=0)
    return errors


def starts(
    estimates: Mapping[str, Estimates], found: ClairFit, further: Sequence[str] = ()
) -> dict[str, Estimates]:
    """Collect the updates from which the fine-tuned rows begin, by method.

    Parameters
    ----------
    estimates : mapping of method to {module: updates}
    found : ClairFit
    further : sequence of str
        Keys of `MORE_TUNED`.
    """
    weights = found.influence if found.influence.any() else None
    begun = {
        "local_longer": estimates["local"],
        "fedavg_finetuned": estimates["fedavg"],
        "kept_finetuned": {
            name: averaged(part, weights) for name, part in estimates["local"].items()
        },
        "clair_finetuned": estimates["clair"],
    }
    return begun | {MORE_TUNED[key]: estimates[key] for key in further}


def finetune(
    task: Task, plan: Plan, begun: Mapping[str, Estimates], clock: JobClock
) -> dict[str, Estimates]:
    """Train updates further on each client's own data, from several starts at once.

    A start stays fixed, and a fresh adapter is trained on top of it with the rate and schedule of
    the first training. Contaminated clients stay at the start, because their rows are not used.

    Parameters
    ----------
    begun : mapping of method to {module: ndarray of shape (n_clients, d_out, d_in)}

    Returns
    -------
    dict of method to {module: ndarray of shape (n_clients, d_out, d_in)}
        Start plus the client's own.
    """
    if plan.finetune_steps == 0:
        return dict(begun)
    honest = np.flatnonzero(~task.contaminated)
    schedule = replace(plan.schedule, steps=plan.finetune_steps)
    start = {
        name: joined([select(updates[name], honest) for updates in begun.values()])
        for name in task.modules
    }
    share = whole(np.tile(honest, len(begun)), task.n_local)
    own, _ = train_adapters(task, plan, schedule, clock, "finetune", [share], start)
    return {
        key: {
            name: _on_top(updates[name], own[name], slice(i * len(honest), None), honest, plan)
            for name in task.modules
        }
        for i, (key, updates) in enumerate(begun.items())
    }


def _on_top(
    start: Update, own: LoraFactors, mine: slice, honest: np.ndarray, plan: Plan
) -> np.ndarray | Tuned:
    """Add to a start what the honest clients learned; the others stay at it.

    Parameters
    ----------
    start : updates of shape (n_clients, d_out, d_in)
    own : LoraFactors
        Of the honest clients, for one start after the other.
    mine : slice
        Where this start's begin.
    honest : ndarray of int
    plan : Plan
    """
    B, A = own.B[mine][: len(honest)], own.A[mine][: len(honest)]
    if not plan.factored:
        dense = np.array(start)
        dense[honest] += B @ A
        return dense
    assert isinstance(start, FactoredUpdates)
    whole_B = np.zeros((len(start.core), *B.shape[1:]))
    whole_A = np.zeros((len(start.core), *A.shape[1:]))
    whole_B[honest], whole_A[honest] = B, A
    return Tuned(start, LoraFactors(whole_B, whole_A))
