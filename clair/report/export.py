"""What a visitor takes away of one result: report, tables, numbers, and how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clair.report.document import Report
from clair.report.page import to_html
from clair.report.recipe import Recipe
from clair.report.tables import Table, to_csv


@dataclass(frozen=True)
class Export:
    """Downloads of one result; whatever takes time is made only when it is asked for.

    Attributes
    ----------
    name : str
        How its files begin.
    recipe : Recipe
        Code that gives the same numbers without the page.
    report : callable
        Makes the report.
    tables : mapping of title to callable
        Make the tables.
    numbers : callable
        Makes the whole result as JSON values.
    figures : mapping of title to callable
        Make figures for a paper, as SVG.
    """

    name: str
    recipe: Recipe
    report: Callable[[], Report]
    tables: Mapping[str, Callable[[], Table]]
    numbers: Callable[[], dict[str, Any]]
    figures: Mapping[str, Callable[[], str]] = field(default_factory=dict)

    def html(self) -> str:
        """Write the report as one HTML file."""
        return to_html(self.report())

    def csv(self, title: str) -> str:
        """Write a table as comma-separated values."""
        return to_csv(self.tables[title]())

    def json(self) -> str:
        """Write all numbers as JSON."""
        return json.dumps(self.numbers(), indent=1, ensure_ascii=False)
