"""Two scenarios of the matrix model beside each other: views and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from clair.comparison import ahead_sentence, contests, pair_sentence
from clair.figures.split import ink_limit
from clair.report.blocks import Fact, Pair, View, Words, plots_of
from clair.report.document import Report, Screen, Section
from clair.report.export import Export
from clair.report.lab import VIEWS
from clair.report.method import SOURCE, limits_of, method_of
from clair.report.provenance import made_with
from clair.report.recipe import Recipe
from clair.report.scenario import TABLES, method_table, scenario_json, scenario_recipe
from clair.report.tables import Table
from clair.simulation.scenario import ScenarioResult

#: Views of the lab that are shown for both sides.
PAIRED_VIEWS = ("errors", "verdict", "split", "subspace")
# What is shown of both sides, by the lab's key of the chart, and its title on stage.
_ROWS = {
    "lab_split": "Split",
    "lab_errors": "Errors",
    "lab_residual": "Residual",
    "lab_norms": "Contamination norm",
    "lab_plane": "Where the clients lie",
    "lab_scree": "Directions",
    "lab_angles": "Angles",
}
_APART = Words(
    "These two have axes of their own: the score that decides is relative to a typical "
    "update, the other one is in the units of the update.",
    "caption",
)


def paired_views(view: str, a: ScenarioResult, b: ScenarioResult) -> tuple[View, ...]:
    """Show a view of the lab for both sides, each chart beside the other side's.

    Parameters
    ----------
    view : str
        One of `PAIRED_VIEWS`.
    a, b : ScenarioResult
    """
    own, other = ({one.key: one for one in plots_of(VIEWS[view].blocks(r))} for r in (a, b))
    if view == "split":  # the same ink for the same number
        limit = {"limit": max(ink_limit(a), ink_limit(b))}
        own, other = (
            {key: replace(one, settings=limit) for key, one in side.items()}
            for side in (own, other)
        )
    rows = []
    for key in (key for key in own if key in other and key in _ROWS):
        # the residual is relative to a typical update only where it decides
        shared = key != "lab_residual" or a.scenario.detector == b.scenario.detector
        pair = Pair(key.replace("lab", "compare"), own[key], other[key], shared)
        blocks = (pair,) if shared else (pair, _APART)
        rows.append(View(_ROWS[key], lambda blocks=blocks: blocks))
    return tuple(rows)


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
        sections=tuple(_section(view, a, b) for view in PAIRED_VIEWS),
        method=(*_both(method_of(a), method_of(b)), SOURCE),
        limits=_both(limits_of(a), limits_of(b)),
        made_with=made_with(),
    )


def pair_export(
    a: ScenarioResult, b: ScenarioResult, changes: Sequence[str], screen: Screen | None = None
) -> Export:
    """Build the downloads of a comparison; see `pair_report`."""
    return Export(
        name="clair-compare",
        recipe=pair_recipe(a, b),
        report=partial(pair_report, a, b, changes, screen),
        tables={title: partial(pair_table, a, b, make) for title, make in TABLES.items()},
        numbers=partial(pair_json, a, b, changes),
    )


def _section(view: str, a: ScenarioResult, b: ScenarioResult) -> Section:
    rows = (block for row in paired_views(view, a, b) for block in row.blocks())
    table = (pair_table(a, b, method_table),) if view == "errors" else ()
    return Section(VIEWS[view].title, blocks=(*rows, *table))


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
