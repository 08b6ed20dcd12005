"""Tables of numbers: as CSV for other programs, and ready to be shown."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clair.method.evidence import Evidence
from clair.method.kinds import client_margins, deciding
from clair.method.words import KINDS

Cell = str | int | float | bool | None

# What spreadsheets take for the start of a formula; full-width signs count for some of them.
_FORMULA = tuple("=+-@＝＋－＠")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Table:
    """Numbers with the names of their columns.

    Attributes
    ----------
    key : str
        Name of its file.
    title : str
    columns : tuple of str
        Names for programs, such as "contamination_norm".
    heads : tuple of str
        The same for people.
    rows : tuple of tuples
        Text, numbers, truth values, or None where there is nothing.
    caption : str
    folded : bool
        Whether a page shows it folded away.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    folded: bool = True

    def __post_init__(self) -> None:
        wrong = {len(row) for row in self.rows} - {len(self.columns)}
        if wrong or len(self.heads) != len(self.columns):
            raise ValueError(f"rows and heads must have {len(self.columns)} cells, as columns do")


def table(
    key: str,
    title: str,
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[object]],
    caption: str = "",
    *,
    folded: bool = True,
) -> Table:
    """Make a table from pairs of names (for programs, for people) and rows that may hold numpy."""
    return Table(
        key,
        title,
        tuple(name for name, _ in columns),
        tuple(head for _, head in columns),
        tuple(tuple(_plain(cell) for cell in row) for row in rows),
        caption,
        folded,
    )


def evidence_table(evidence: Sequence[Evidence]) -> Table:
    """List the kinds of evidence, a row each: whose it is, whom it flags and its line."""
    return table(
        "evidence",
        "Kinds of evidence",
        (
            ("kind", "kind"),
            ("from", "from"),
            ("flagged", "above the line"),
            ("line", "line"),
            ("margin", "margin"),
            ("about", "what it measures"),
        ),
        [
            (
                KINDS[kind.kind].name,
                "the paper" if KINDS[kind.kind].paper else "ours",
                " ".join(str(k + 1) for k in np.flatnonzero(kind.flagged)) or "nobody",
                kind.threshold,
                kind.margin,
                KINDS[kind.kind].about,
            )
            for kind in evidence
        ],
        "Margin: lowest score above the line over highest below, or the widest gap where there is "
        "no line. Clients above a line that look like noise alone are suspect and not flagged.",
    )


def verdict_columns(
    degrees: Sequence[str], reasons: Sequence[str], evidence: Sequence[Evidence]
) -> tuple[tuple[tuple[str, str], ...], list[tuple[object, ...]]]:
    """Build the columns of a client table that say its verdict, and their cells by client."""
    margins = client_margins(deciding(evidence))
    heads = (("verdict", "verdict"), ("times_line", "score / line"), ("reason", "why"))
    return heads, list(zip(degrees, margins, reasons, strict=True))


def _plain(cell: object) -> Cell:
    value = cell.item() if isinstance(cell, np.generic) else cell
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"a cell must be text, a number or nothing, got {type(value).__name__}")


def safe_cell(text: str) -> str:
    """Write text on one line that no spreadsheet takes for a formula.

    Examples
    --------
    >>> safe_cell("site-01"), safe_cell("=1+1"), safe_cell("  @SUM(A1)")
    ('site-01', "'=1+1", "'  @SUM(A1)")
    """
    line = _CONTROL.sub(" ", text)
    return f"'{line}" if line.lstrip("\ufeff\u200b \u00a0").startswith(_FORMULA) else line


def to_csv(content: Table) -> str:
    """Write the table as comma-separated values.

    Numbers have full precision, and cells are empty where there is nothing.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(content.columns)
    for row in content.rows:
        writer.writerow([_written(cell) for cell in row])
    return buffer.getvalue()


def _written(cell: Cell) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str):
        return safe_cell(cell)
    return "" if cell is None else repr(cell)


def shown(cells: Sequence[Cell]) -> list[str]:
    """Write the cells of a column for people.

    Numbers have the same decimal places, so that they line up.

    Examples
    --------
    >>> shown([0.12345, 12.0, None]), shown([True, False]), shown([1e-7, 0.5]), shown([3, 12])
    (['0.12', '12.00', '–'], ['yes', 'no'], ['1e-07', '0.5'], ['3', '12'])
    """
    sizes = [abs(c) for c in cells if isinstance(c, float) and c]
    places = 0
    if sizes:
        places = max(0, 3 - math.floor(math.log10(max(sizes))))
        # where small numbers would lose their digits, each number gets its own three
        if min(sizes) < 5 * 10**-places or max(sizes) >= 1e9:
            places = -1
    return [_shown(cell, places) for cell in cells]


def _shown(cell: Cell, places: int) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.3g}" if places < 0 else f"{cell:.{places}f}"
    return str(cell)
