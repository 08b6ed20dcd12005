"""The report of the Overview: its one scenario, with the methods that the page explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clair.figures.base import Chart
from clair.figures.comparison import DISTANCE, method_comparison
from clair.figures.palette import ThemeName
from clair.figures.split import split_strips
from clair.methods import METHODS
from clair.report.document import Fact, Report, Screen, Section
from clair.report.lab import SOURCE, limits_of, method_of
from clair.report.provenance import made_with
from clair.report.scenario import client_table, method_table, scenario_recipe
from clair.sentences import amount, count, scenario_sentence
from clair.simulation.scenario import ScenarioResult

TITLE = "Learning together when some are lying"


def worth(result: ScenarioResult, methods: Sequence[str], theme: ThemeName) -> Chart:
    """Draw the errors of the methods that the page explains."""
    errors = {key: result.error_of(key).per_client for key in methods}
    return method_comparison(errors, DISTANCE, theme)


def beyond(result: ScenarioResult, methods: Sequence[str]) -> str:
    """Say which usable method has the least error in the lab, drawn here or not."""
    best = min((row for row in result.errors if not row.oracle), key=lambda row: row.mean)
    drawn = f"Drawn are {len(methods)} of the {len(result.errors)} methods that the lab compares."
    if best.method in methods:
        return f"{drawn} None of the others that could be used in practice has less error here."
    ours = " (ours)" if METHODS[best.method].family == "clair" else ""
    return (
        f"{drawn} Of all that could be used in practice, {best.label}{ours} has the least error "
        f"here: {amount(best.mean)}."
    )


def overview_report(
    result: ScenarioResult,
    methods: Sequence[str],
    words: str,
    screen: Screen | None = None,
) -> Report:
    """Report what the Overview shows of a scenario, with the tables behind it.

    Parameters
    ----------
    result : ScenarioResult
    methods : sequence of str
        Those that the page draws.
    words : str
        What the page says of them.
    screen : Screen, optional
        The settings in words and the link that opens them.
    """
    drawn = replace(result, errors=tuple(result.error_of(key) for key in methods))
    return Report(
        page="Overview",
        title=TITLE,
        sentence=scenario_sentence(result),
        recipe=scenario_recipe(result.scenario),
        screen=screen or Screen(),
        facts=_facts(result),
        sections=(
            Section(
                f"{result.problem.spec.n_clients} updates, taken apart",
                charts=(split_strips(result, "light"),),
                tables=(client_table(result),),
            ),
            Section(
                "What it means for an honest client",
                (words, f"{beyond(result, methods)} The files of numbers hold them all."),
                charts=(worth(result, methods, "light"),),
                tables=(method_table(drawn),),
            ),
        ),
        method=(*method_of(result), SOURCE),
        limits=limits_of(result),
        made_with=made_with(),
    )


def _facts(result: ScenarioResult) -> tuple[Fact, ...]:
    scores = result.detection
    found = f"{scores.n_correct} of {scores.n_contaminated}"
    means = (
        Fact(amount(result.error_of(key).mean), label, "honest clients, mean")
        for key, label in (
            ("clair", "error with CLAIR"),
            ("local", "error when training alone"),
            ("fedavg", "error with the plain average"),
        )
    )
    return (
        Fact(found, "poisoned clients found", count(scores.false_alarms, "false alarm")),
        *means,
    )
