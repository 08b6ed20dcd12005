"""The views of a task and its report: text copying, digits, regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from clair.cli.tasks import TASKS
from clair.federated import Sample
from clair.federated.sharing import CANDIDATES, SIGMAS
from clair.federated.sharing import Choice as Chosen
from clair.federated.task_result import TaskResult, task_json
from clair.figures.comparison import Measure, scores_of, task_comparison, which_to_use
from clair.figures.training import loss_curves
from clair.figures.verdicts import task_kinds, task_verdict
from clair.methods import METHODS
from clair.report.blocks import (
    Block,
    Choice,
    Fact,
    OnScreen,
    Plot,
    Printed,
    View,
    Words,
    columns,
    plot,
)
from clair.report.document import Report, Screen, Section
from clair.report.export import Export
from clair.report.method import SOURCE
from clair.report.provenance import made_with
from clair.report.recipe import Recipe, call, command, differing
from clair.report.rounds import accuracy_table, verdict_table
from clair.report.tables import Table, evidence_table, table, verdict_columns
from clair.report.verdict import found_fact, method_words, reasons_words


@dataclass(frozen=True)
class TaskStory:
    """What only the page of a task knows of a run.

    Attributes
    ----------
    page, title, sentence : str
    facts : tuple of Fact
        The numbers that stand out.
    setting : str
        What happens in this task, with its numbers.
    limits : sequence of str
    views : sequence of View
        What the page shows of the run.
    device : str
        What it was trained on; "" where nothing is trained.
    """

    page: str
    title: str
    sentence: str
    facts: tuple[Fact, ...]
    setting: str
    limits: Sequence[str]
    views: Sequence[View]
    device: str = ""


def task_report(run: TaskResult, story: TaskStory, recipe: Recipe, screen: Screen) -> Report:
    """Report what the page shows of a run, how it was computed and where it does not hold."""
    notes = [f"Note of the solver: {note}" for note in run.notes]
    return Report(
        page=story.page,
        title=story.title,
        sentence=story.sentence,
        recipe=recipe,
        screen=screen,
        facts=story.facts,
        sections=tuple(Section.of(view) for view in story.views),
        method=(story.setting, _VERDICT, _REFINED, SOURCE),
        limits=(*notes, *story.limits),
        made_with=made_with(*(("torch",) if story.device else ()), device=story.device),
    )


def task_export(
    command: str,
    run: str,
    result: TaskResult,
    measures: Mapping[str, Measure],
    story: Callable[[], TaskStory],
    screen: Screen,
) -> Export:
    """Build the downloads of a run of a task.

    Parameters
    ----------
    command, run : str
        Name of its command; "module:function" that runs it.
    result : TaskResult
    measures : mapping of str to Measure
    story : callable
        Makes what only the page knows.
    screen : Screen
    """
    recipe = task_recipe(command, result.config, run, next(iter(measures)))
    return Export(
        name=f"clair-{command}-seed-{result.config.seed}",
        recipe=recipe,
        report=lambda: task_report(result, story(), recipe, screen),
        tables={
            **({"Clients": partial(clients, result)} if result.evidence else {}),
            "Methods": partial(methods, result, measures),
            "Scores": partial(scores, result, measures),
            **rounds_tables(result, measures),
        },
        numbers=lambda: task_json(command, result.shown_json()),
    )


def rounds_tables(
    run: TaskResult, measures: Mapping[str, Measure]
) -> dict[str, Callable[[], Table]]:
    """List the tables of a run over several rounds; none of a single round."""
    if not run.rounds:
        return {}
    return {
        "Accuracy by round": partial(accuracy_table, run.rounds, measures),
        "Verdict by round": partial(verdict_table, run.rounds),
    }


def verdict_view(kind: str, run: TaskResult, *, reveal: bool = True) -> View:
    """Show both scores by client, all kinds of evidence and the reasons."""

    def blocks(stage: bool = False) -> tuple[Block, ...]:
        scored = plot(f"{kind}_scores", task_verdict, run, "residual", reveal=reveal)
        normed = plot(f"{kind}_norms", task_verdict, run, "norms", reveal=reveal)
        notes = (Words(f"Note of the solver: {note}", "caption") for note in run.notes)
        top = columns([scored], [normed, OnScreen(tuple(notes))])
        if stage:
            return (top,)
        why = OnScreen(reasons_words(run.degrees, run.reasons, run.scores, run.evidence))
        kinds = plot(f"{kind}_kinds", task_kinds, run, reveal=reveal)
        tables = Printed((clients(run), evidence_table(run.evidence)))
        return top, columns([kinds], [why], widths=(3, 2)), tables

    return View("Whom CLAIR flagged", blocks)


def worth_blocks(
    kind: str,
    run: TaskResult,
    measures: Mapping[str, Measure],
    fresh: str = "",
    stage: bool = False,
) -> tuple[Block, ...]:
    """Show every method's scores with a dot for every honest client, and which method to use.

    Parameters
    ----------
    kind : str
        The task's kind.
    run : TaskResult
    measures : mapping of str to Measure
        Name of a measure in `accuracy` to what it is called; the first is shown first.
    fresh : str
        What was seen on runs that no setting was chosen on.
    stage : bool
    """
    options: dict[str, tuple[Block, ...]] = {}
    for name, measure in measures.items():
        drawn = plot(f"{kind}_comparison", task_comparison, run, name, measure)
        advice = which_to_use(scores_of(run, name), measure, run.sharing)
        said = Words(f"{advice} {fresh}".strip())
        # on paper the advice of the measure that matters most
        options[name] = (drawn,) if stage else (drawn, OnScreen((said,)) if options else said)
    names = {name: measure.title for name, measure in measures.items()}
    choice = Choice(f"{kind}_measure", "Measured by", options, names)
    shown = (choice,) if len(options) > 1 else next(iter(options.values()))
    if stage:
        return shown
    rows = method_words(run.accuracy)
    return (*shown, rows, Printed((methods(run, measures),)), *own_tests(run.sharing))


def worth_view(
    kind: str, run: TaskResult, measures: Mapping[str, Measure], fresh: str = ""
) -> View:
    """Take `worth_blocks` as a view."""
    return View(
        "What it is worth to the honest clients",
        partial(worth_blocks, kind, run, measures, fresh),
    )


def loss_plot(
    kind: str,
    losses: np.ndarray,
    *,
    total_steps: int,
    steps: np.ndarray | None = None,
    contaminated: np.ndarray | None = None,
) -> Plot:
    """Describe the loss curves of the clients, the same while training and afterwards."""
    return plot(
        f"{kind}_losses",
        loss_curves,
        losses,
        total_steps=total_steps,
        steps=steps,
        contaminated=contaminated,
    )


_VERDICT = (
    "**The verdict.** CLAIR sees the clients' updates and nothing else. It scores each by what the "
    "directions that the *other* clients share leave unexplained of it (ours), looks at its "
    "strongest directions, at single modules, at the shape of its entries and, where the others "
    "send noise, for structure besides (all ours), and flags those above a gap between scores that "
    "is wide for how far the scores below it spread. A client above the line that looks like noise "
    "alone, or just apart from the others, is suspect: it is refined, but has little or no weight "
    "in what the others learn. The rule as published, the widest gap between contamination norms, "
    "is shown beside ours."
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


def own_tests(choice: Chosen | None) -> tuple[Table, ...]:
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


def task_facts(run: TaskResult, measures: Mapping[str, Measure]) -> tuple[Fact, ...]:
    """Collect who was found, and the measure that matters most with CLAIR and alone."""
    name, measure = next(iter(measures.items()))
    shown = [key for key in ("clair", "clair_safe") if key in run.accuracy]
    means = {key: float(getattr(run.accuracy[key], name).mean()) for key in (*shown, "local")}
    worth = (
        Fact(measure.text(mean), METHODS[key].label, measure.title) for key, mean in means.items()
    )
    return (found_fact(run.detection), *worth)


def clients(run: TaskResult) -> Table:
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


def methods(run: TaskResult, measures: Mapping[str, Measure]) -> Table:
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


def scores(run: TaskResult, measures: Mapping[str, Measure]) -> Table:
    """List the scores, a row for each method and honest client."""
    honest = run.scored + 1
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
    options = {TASKS[kind].option(name): value for name, value in changed.items()}
    return Recipe(
        "\n".join(lines),
        command("python", "-m", "clair", kind, options=options),
        "On a processor the same seed and settings give the same numbers. Another processor, a GPU "
        "or another version of a library rounds differently, and training makes that visible. "
        "`--json FILE` writes all numbers.",
    )


def sample_table(
    samples: Sequence[Sample],
    usual: Sequence[str] = ("local", "fedavg", "krum", "clair", "clair_eb"),
) -> Table:
    """List held-out texts with what the usual methods wrote."""
    shown = [key for key in usual if samples and key in samples[0].outputs]
    return table(
        "samples",
        "Texts no client has trained on",
        [("client", "client"), ("text", "the text"), ("expected", "the right copy")]
        + [(key, METHODS[key].label) for key in shown],
        [(s.client + 1, s.prompt, s.expected, *(s.outputs[key] for key in shown)) for s in samples],
    )
