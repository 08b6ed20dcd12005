"""What a section of the Theory page computed, as a table, JSON and code; no charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import clair
from clair.report.recipe import Recipe
from clair.report.tables import Table

FORMAT = 1


@dataclass(frozen=True)
class Study:
    """What one section of the Theory page computed.

    Attributes
    ----------
    section, title : str
        Key of the section, and its heading.
    table : Table
    recipe : Recipe
    """

    section: str
    title: str
    table: Table
    recipe: Recipe


def study_json(study: Study, sentence: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the section as JSON values: settings by name in the address, rows by column."""
    return {
        "format": FORMAT,
        "kind": "theory",
        "section": study.section,
        "version": clair.__version__,
        "sentence": sentence,
        "settings": dict(settings),
        "rows": [dict(zip(study.table.columns, row, strict=True)) for row in study.table.rows],
    }
