"""How many held-out examples turn right and turn wrong when one method takes another's place."""

from __future__ import annotations

from collections.abc import Mapping

from clair.federated.digits.result import Flips
from clair.figures.base import Chart, new_figure
from clair.figures.palette import PAPERS, ThemeName, role_style
from clair.methods import METHODS

_ROW = 34  # pixels of a method


def flip_bars(flips: Mapping[str, Flips], theme: ThemeName) -> Chart:
    """Draw a row for each method: to one side what turns right, to the other what turns wrong.

    Parameters
    ----------
    flips : mapping of method to Flips
        What changes when CLAIR takes the method's place.
    theme : {"light", "dark"}

    Raises
    ------
    ValueError
        If there is no method.
    """
    if not flips:
        raise ValueError("flips must hold at least one method, got none")
    rows = list(flips)
    figure = new_figure(theme, _ROW * len(rows) + 96, barmode="relative", bargap=0.35)
    sides = (
        ("turn right", "recovered", "to_right", 1, ""),
        ("turn wrong", "contaminated", "to_wrong", -1, "/"),
    )
    for name, role, key, sign, pattern in sides:
        color = role_style(role, theme).color
        figure.add_bar(
            x=[sign * getattr(flips[row], key) for row in rows],
            y=[METHODS[row].label for row in rows],
            orientation="h",
            name=name,
            text=[str(getattr(flips[row], key)) for row in rows],
            textposition="outside",
            textfont={"color": PAPERS[theme].ink},
            cliponaxis=False,
            marker={
                "color": color,
                "line": {"width": 0},
                "pattern": {
                    "shape": pattern,
                    "fillmode": "overlay",
                    "fgcolor": PAPERS[theme].background,
                    "size": 6,
                },
            },
            hovertemplate=f"instead of %{{y}}: %{{text}} readings {name}<extra></extra>",
        )
    widest = max(max(row.to_right, row.to_wrong) for row in flips.values()) or 1
    figure.add_vline(x=0, line={"color": PAPERS[theme].ink, "width": 1})
    figure.update_xaxes(
        range=[-1.2 * widest, 1.2 * widest],
        showticklabels=False,
        ticks="",
        showgrid=False,
        title_text="readings that change with CLAIR instead of …",
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"color": PAPERS[theme].ink})
    alone = flips.get("local", flips[rows[0]])
    title = (
        f"Going from {METHODS['local' if 'local' in flips else rows[0]].label.lower()} to CLAIR, "
        f"{alone.to_right} of {alone.total} readings turn right and {alone.to_wrong} "
        "turn wrong"
    )
    caption = (
        "Every held-out image as every honest client's model reads it. The two numbers of a row "
        "say more than their difference: help for one image can cost another."
    )
    words = "; ".join(
        f"{METHODS[row].label}: {flips[row].to_right} right, {flips[row].to_wrong} wrong"
        for row in rows
    )
    return Chart(figure, title, caption, f"Readings that change with CLAIR instead of {words}")
