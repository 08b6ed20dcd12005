"""The report of a comparison: two scenarios of the matrix model beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clair.comparison import ahead_sentence, contests, pair_sentence
from clair.figures.compare import paired_charts
from clair.report.document import Fact, Report, Screen, Section
from clair.report.lab import SOURCE, limits_of, method_of
from clair.report.provenance import made_with
from clair.report.recipe import Recipe
from clair.report.scenario import method_table, scenario_json, scenario_recipe
from clair.report.tables import Table
from clair.simulation.scenario import ScenarioResult

_SECTIONS = {
    "errors": "What it is worth to the honest clients",
    "verdict": "Whom CLAIR flagged",
    "split": "The updates, taken apart",
    "subspace": "The subspace",
}


def pair_recipe(a: ScenarioResult, b: ScenarioResult) -> Recipe:
    """Write Python and shell for both sides, one after the other."""
    first, second = scenario_recipe(a.scenario), scenario_recipe(b.scenario)
    return Recipe(
        f"# A\n{first.python}\n\n# B\n{second.python}",
        f"{first.command}\n{second.command}",
        first.note,
    )


def pair_table(a: ScenarioResult, b: ScenarioResult, make: Callable[..., Table]) -> Table:
    """Make one of the tables of a scenario for both sides, with the side as first column.

    Parameters
    ----------
    a, b : ScenarioResult
    make : callable
        Makes the table of one result, such as `clair.report.scenario.client_table`.
    """
    tables = {"A": make(a), "B": make(b)}
    columns = list(dict.fromkeys(c for one in tables.values() for c in one.columns))
    heads = {c: h for one in tables.values() for c, h in zip(one.columns, one.heads, strict=True)}
    rows = [
        (side, *(dict(zip(one.columns, row, strict=True)).get(column) for column in columns))
        for side, one in tables.items()
        for row in one.rows
    ]
    first = tables["A"]
    return Table(
        first.key,
        first.title,
        ("side", *columns),
        ("side", *(heads[column] for column in columns)),
        tuple(rows),
        first.caption,
    )


def pair_json(a: ScenarioResult, b: ScenarioResult, changes: Sequence[str]) -> dict[str, Any]:
    """Collect every number of both sides as JSON values."""
    sides: Mapping[str, Any] = {"a": scenario_json(a), "b": scenario_json(b)}
    return {
        "format": sides["a"]["format"],
        "kind": "compare",
        "version": sides["a"]["version"],
        "sentence": pair_sentence(a, b, changes),
        **sides,
    }


def pair_report(
    a: ScenarioResult, b: ScenarioResult, changes: Sequence[str], screen: Screen | None = None
) -> Report:
    """Report both sides of a comparison on the same axes.

    Parameters
    ----------
    a, b : ScenarioResult
    changes : sequence of str
        A phrase for each setting that differs; see `clair.comparison.pair_sentence`.
    screen : Screen, optional
        The settings of both sides in words and the link that opens them.
    """
    return Report(
        page="Compare",
        title="Two scenarios beside each other",
        sentence=f"{pair_sentence(a, b, changes)} {ahead_sentence(a, b).replace('**', '')}",
        recipe=pair_recipe(a, b),
        screen=screen or Screen(),
        facts=tuple(
            Fact(
                " | ".join(text.replace(" ", "\N{NO-BREAK SPACE}") for text in row.texts),
                f"{row.name}, A | B",
                _ahead(row.ahead),
            )
            for row in contests(a, b)
        ),
        sections=tuple(
            Section(
                title,
                charts=tuple(
                    chart for _, pair in paired_charts(view, a, b, "light") for chart in pair
                ),
                tables=(pair_table(a, b, method_table),) if view == "errors" else (),
            )
            for view, title in _SECTIONS.items()
        ),
        method=(*_both(method_of(a), method_of(b)), SOURCE),
        limits=_both(limits_of(a), limits_of(b)),
        made_with=made_with(),
    )


def _ahead(side: str) -> str:
    return f"{side} is ahead" if side else "level"


def _both(a: Sequence[str], b: Sequence[str]) -> tuple[str, ...]:
    """List what holds for one side only, with the side's name, then what holds for both."""
    own = [
        f"{side}: {words}"
        for side, one, other in (("A", a, b), ("B", b, a))
        for words in one
        if words not in other
    ]
    return (*own, *(words for words in a if words in b))
