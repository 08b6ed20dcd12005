"""The pictures of the Overview: one scenario, with the methods that the page explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clair.figures.base import Chart
from clair.figures.comparison import DISTANCE, method_comparison
from clair.figures.palette import ThemeName
from clair.figures.split import split_strips
from clair.methods import METHODS
from clair.report.blocks import OnScreen, Printed, View, Words, plot
from clair.report.document import Screen, Section
from clair.report.export import Export
from clair.report.lab import scenario_export, scenario_report
from clair.report.scenario import client_table, method_table
from clair.sentences import amount
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
    own = METHODS[best.method].family == "clair" and best.method not in ("clair", "clair_published")
    ours = " (ours)" if own else ""
    return (
        f"{drawn} Of all that could be used in practice, {best.label}{ours} has the least error "
        f"here: {amount(best.mean)}."
    )


def pictures(result: ScenarioResult, methods: Sequence[str], words: str) -> tuple[View, View]:
    """Choose the two pictures of the page: the updates, and what some methods are worth.

    Parameters
    ----------
    result : ScenarioResult
    methods : sequence of str
        Those that the page draws.
    words : str
        What the page says of them.
    """
    # a phone shows the strips of the first picture in their natural width, by this key
    split = plot("overview_split", split_strips, result)
    drawn = replace(result, errors=tuple(result.error_of(key) for key in methods))
    errors = plot("overview_errors", worth, result, tuple(methods))
    more = beyond(result, methods)
    whole = Words(f"{more} The files of numbers hold them all.")
    return (
        View(
            f"{result.problem.spec.n_clients} updates, taken apart",
            lambda: (split, Printed((client_table(result),))),
        ),
        View(
            "What it means for an honest client",
            lambda: (
                Words(words),
                Printed((whole,)),
                errors,
                OnScreen((Words(more, "caption"),)),
                Printed((method_table(drawn),)),
            ),
        ),
    )


def overview_export(
    result: ScenarioResult, views: Sequence[View], screen: Screen | None = None
) -> Export:
    """Build the downloads of the opening picture."""
    sections = [Section.of(view) for view in views]
    return scenario_export(
        "clair-overview",
        result,
        lambda: scenario_report(result, "Overview", TITLE, sections, screen),
    )
