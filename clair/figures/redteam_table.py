"""What defeats which defence, as a table in colours."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from clair.figures.palette import PAPERS, ThemeName, role_style, with_alpha


def multiples_table(
    heads: Sequence[str],
    rows: Sequence[tuple[str, Sequence[float]]],
    theme: ThemeName,
    *,
    label: str,
    room: str,
) -> str:
    """Write a table of multiples as HTML: the larger, the stronger the colour.

    Parameters
    ----------
    heads : sequence of str
        Of the columns of numbers.
    rows : sequence of (name, numbers)
    theme : {"light", "dark"}
    label : str
        What the table is, for those who do not see it.
    room : str
        Padding of a cell, in CSS.
    """
    paper, color = PAPERS[theme], role_style("contaminated", theme).color
    side = f"text-align:left;position:sticky;left:0;background:{paper.background};"
    head = "".join(
        f'<th scope="col" style="padding:{room};font-weight:500;vertical-align:bottom;'
        f'{"text-align:center;" if i else side}">{html.escape(text)}</th>'
        for i, text in enumerate(["", *heads])
    )
    body = ""
    for name, values in rows:
        cells = "".join(
            f'<td style="padding:{room};text-align:center;border:1px solid {paper.background};'
            f'background:{with_alpha(color, _strength(value))}">{_multiple(value)}</td>'
            for value in values
        )
        body += (
            f'<tr><th scope="row" style="{side}padding:{room};font-weight:500;'
            f'white-space:nowrap">{html.escape(name)}</th>{cells}</tr>'
        )
    return (
        f'<div tabindex="0" role="region" aria-label="{html.escape(label)}" '
        f'style="overflow-x:auto"><table style="border-collapse:collapse;width:100%;'
        f'min-width:760px;font-size:.85rem;color:{paper.ink}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _strength(multiple: float) -> float:
    """Grow from 0.04 at 1 and below to 0.55 at ten times and above, with the logarithm."""
    return 0.04 + 0.51 * min(max(math.log10(max(multiple, 1.0)), 0.0), 1.0)


def _multiple(value: float) -> str:
    if value >= 1000:
        return "&gt; 1000"
    return f"{value:.2f}" if value < 2 else f"{value:.1f}" if value < 10 else f"{value:.0f}"
