"""The report of a task: text copying, digits, regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from clair.cli.tasks import COMMANDS
from clair.federated import Sample
from clair.federated.sharing import CANDIDATES, SIGMAS, Choice
from clair.figures.base import Chart
from clair.figures.comparison import Measure, method_comparison, which_to_use
from clair.figures.kinds import evidence_kinds
from clair.figures.training import loss_curves
from clair.figures.verdicts import Judged, task_verdicts
from clair.method.detection import SUSPECT
from clair.methods import METHODS
from clair.report.document import Fact, Report, Screen, Section
from clair.report.lab import SOURCE
from clair.report.provenance import made_with
from clair.report.recipe import Recipe, call, command, differing
from clair.report.tables import Table, evidence_table, table, verdict_columns
from clair.sentences import count


class Finished(Judged, Protocol):
    """A run with its verdict and the scores of every method."""

    @property
    def accuracy(self) -> Mapping[str, Any]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def sharing(self) -> Choice | None: ...


@dataclass(frozen=True)
class TaskStory:
    """What only the page of a task knows of a run.

    Attributes
    ----------
    page, title, sentence : str
    measures : mapping of str to Measure
        Fields of the scores; the first matters most.
    setting : str
        What happens in this task, with its numbers.
    limits : sequence of str
    extra : sequence of Section
        What no other task has.
    losses : ndarray of shape (n_steps, n_clients), optional
    device : str
    """

    page: str
    title: str
    sentence: str
    measures: Mapping[str, Measure]
    setting: str
    limits: Sequence[str]
    extra: Sequence[Section] = ()
    losses: np.ndarray | None = None
    device: str = ""


def task_report(run: Finished, story: TaskStory, recipe: Recipe, screen: Screen) -> Report:
    """Report verdict, comparison and, where there was training, how the clients learned."""
    worth = tuple(
        method_comparison(
            {key: getattr(value, name) for key, value in run.accuracy.items()}, measure, "light"
        )
        for name, measure in story.measures.items()
    )
    sections = [
        Section(
            "Whom CLAIR flagged",
            charts=(*task_verdicts(run, "light"), _kinds(run)),
            tables=(clients(run), evidence_table(run.evidence)),
        ),
        Section(
            "What it is worth to the honest clients",
            words=(_which(run, story.measures),),
            charts=worth,
            tables=(methods(run, story.measures), *own_tests(run.sharing)),
        ),
        *story.extra,
    ]
    if story.losses is not None and len(story.losses):
        curves = _losses(story.losses, run.contaminated)
        sections.append(Section("How the clients learned", charts=(curves,)))
    notes = [f"Note of the solver: {note}" for note in run.notes]
    return Report(
        page=story.page,
        title=story.title,
        sentence=story.sentence,
        recipe=recipe,
        screen=screen,
        facts=_facts(run, story.measures),
        sections=tuple(sections),
        method=(story.setting, _VERDICT, _REFINED, SOURCE),
        limits=(*notes, *story.limits),
        made_with=made_with(*(("torch",) if story.losses is not None else ()), device=story.device),
    )


_VERDICT = (
    "**The verdict.** CLAIR sees the clients' updates and nothing else. It scores each by what the "
    "directions that the *other* clients share leave unexplained of it (ours), looks at its "
    "strongest directions, at single modules and at the shape of its entries besides (all ours), "
    "and flags those above a gap between scores that is wide for how far the scores below it "
    "spread. A client above the line that looks like noise alone, or just apart from the others, "
    "is suspect: it is refined, but has little or no weight in what the others learn. The rule "
    "as published, the widest gap between contamination norms, is shown beside ours."
)
_REFINED = (
    "**The refinement.** A kept client gets the kept clients' average outside the shared "
    "directions and keeps its own part inside them; rows named pooling also let clients borrow "
    "from each other there (ours). *CLAIR if it pays* (ours): every client also trains on two "
    "halves of its data and measures on one half what the server made from the other; what those "
    "tests favour clearly is used, else training alone. Every method is judged on data that no "
    "client has trained on, and only by what it does for the honest clients. Oracles are told who "
    "is poisoned, which nobody is in practice."
)


def _which(run: Finished, measures: Mapping[str, Measure]) -> str:
    name, measure = next(iter(measures.items()))
    values = {key: getattr(value, name) for key, value in run.accuracy.items()}
    return which_to_use(values, measure, run.sharing)


def own_tests(choice: Choice | None) -> tuple[Table, ...]:
    """List what the clients measured, a row for each candidate; no table if they did not."""
    if choice is None or not choice.errors:
        return ()
    rows = [
        (
            f"chosen: {words}" if key == choice.chosen else words,
            choice.errors[key],
            choice.gains[key],
            choice.uncertainty[key],
        )
        for key, words in CANDIDATES.items()
        if key in choice.errors
    ]
    columns = (
        ("candidate", "the clients take"),
        ("error", "mean error in their tests"),
        ("gain", "gain over their own updates"),
        ("uncertainty", "± standard error"),
    )
    reason = (
        f"{choice.reason[0].upper()}{choice.reason[1:]}. From a gain {SIGMAS:g} standard errors "
        "are taken off, and of the largest gains, a fifth of the clients', no more is believed "
        "than of the next: liars among the kept can stop the sharing, but hardly sell what harms."
    )
    return (table("own_tests", "What the clients' own tests say (ours)", columns, rows, reason),)


def _kinds(run: Judged) -> Chart:
    return evidence_kinds(run.evidence, "light", degrees=run.degrees, contaminated=run.contaminated)


def _losses(losses: np.ndarray, contaminated: np.ndarray) -> Chart:
    return loss_curves(losses, "light", total_steps=len(losses), contaminated=contaminated)


def _facts(run: Finished, measures: Mapping[str, Measure]) -> tuple[Fact, ...]:
    right = int((run.flagged & run.contaminated).sum())
    wrong = int((run.flagged & ~run.contaminated).sum())
    found = f"{right} of {int(run.contaminated.sum())}"
    suspects = run.degrees.count(SUSPECT)
    beside = count(wrong, "false alarm") + f", {count(suspects, 'suspect')}" * bool(suspects)
    facts = [Fact(found, "poisoned clients found", beside)]
    name, measure = next(iter(measures.items()))
    shown = [key for key in ("clair", "clair_safe") if key in run.accuracy]
    for key in (*shown, "local"):
        mean = float(getattr(run.accuracy[key], name).mean())
        facts.append(Fact(measure.text(mean), METHODS[key].label, measure.title))
    return tuple(facts)


def clients(run: Judged) -> Table:
    """List the clients, a row each: truth, verdict, its reason and what it rests on."""
    (verdict, *why), said = verdict_columns(run.degrees, run.reasons, run.evidence)
    return table(
        "clients",
        "Every client",
        (
            ("client", "client"),
            ("truth", "truth"),
            verdict,
            ("score", "score"),
            ("contamination_norm", "‖S‖"),
            *why,
        ),
        [
            (
                k + 1,
                "poisoned" if run.contaminated[k] else "honest",
                said[k][0],
                run.scores[k],
                run.norms[k],
                *said[k][1:],
            )
            for k in range(run.contaminated.size)
        ],
        "The truth is known because the poison was put there; no method has seen it.",
    )


def methods(run: Finished, measures: Mapping[str, Measure]) -> Table:
    """List the methods, a row each: mean and spread of each measure over honest clients."""
    columns = [("method", "method"), ("oracle", "oracle")]
    for name, measure in measures.items():
        columns += [(name, measure.title), (f"{name}_sd", "±")]
    rows = []
    for key, scores in run.accuracy.items():
        row: list[Any] = [METHODS[key].label, METHODS[key].oracle]
        for name in measures:
            values = getattr(scores, name)
            row += [values.mean(), values.std(ddof=1) if values.size > 1 else 0.0]
        rows.append(row)
    return table(
        "methods",
        "Every method",
        columns,
        rows,
        "Mean over the honest clients, and the standard deviation between them (±).",
    )


def scores(run: Finished, measures: Mapping[str, Measure]) -> Table:
    """List the scores, a row for each method and honest client."""
    honest = np.flatnonzero(~run.contaminated) + 1
    keys = ("method", "label", "oracle", "client", *measures)
    return table(
        "scores",
        "Every method and honest client",
        [(key, key) for key in keys],
        [
            (key, METHODS[key].label, METHODS[key].oracle, client, *values)
            for key, entry in run.accuracy.items()
            for client, *values in zip(
                honest, *(getattr(entry, name) for name in measures), strict=True
            )
        ],
    )


def task_recipe(kind: str, config: Any, run: str, measure: str) -> Recipe:
    """Write Python and shell for a run.

    Parameters
    ----------
    kind : str
        The command's name.
    config : dataclass
        The settings of the run.
    run : str
        "module:function" that takes the config.
    measure : str
        What the snippet prints for every method.
    """
    module, function = run.split(":")
    name = type(config).__name__
    changed = differing(config, type(config)())
    lines = [
        f"from {module} import {name}, {function}",
        "",
        call(f"config = {name}", **changed),
        f"result = {function}(config)",
        "",
        "print(result.summary())",
        "for method, scores in result.accuracy.items():",
        f'    print(f"{{method:<18}} {{scores.{measure}.mean():.6g}}")',
    ]
    options = {COMMANDS[kind].option(name): value for name, value in changed.items()}
    return Recipe(
        "\n".join(lines),
        command("python", "-m", "clair", kind, options=options),
        "On a processor the same seed and settings give the same numbers. Another processor, a GPU "
        "or another version of a library rounds differently, and training makes that visible. "
        "`--json FILE` writes all numbers.",
    )


def sample_table(samples: Sequence[Sample]) -> Table:
    """List held-out texts with what the usual methods wrote."""
    usual = ("local", "fedavg", "krum", "clair", "clair_eb")
    shown = [key for key in usual if samples and key in samples[0].outputs]
    return table(
        "samples",
        "Texts no client has trained on",
        [("client", "client"), ("text", "the text"), ("expected", "the right copy")]
        + [(key, METHODS[key].label) for key in shown],
        [(s.client + 1, s.prompt, s.expected, *(s.outputs[key] for key in shown)) for s in samples],
    )
