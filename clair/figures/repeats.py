"""Errors over repeated draws of a scenario: a dot a draw, means with their intervals."""

from __future__ import annotations

from dataclasses import replace

from clair.figures.base import Chart
from clair.figures.comparison import DISTANCE, method_comparison, method_rows
from clair.figures.palette import ThemeName, method_style
from clair.methods import METHODS
from clair.simulation.sweeps.repeats import Repeats
from clair.simulation.sweeps.summary import LEVEL, mean_interval


def repeated_comparison(repeats: Repeats, theme: ThemeName) -> Chart:
    """Draw a row for each method: a dot per draw, a bar at the mean, its interval below it."""
    values = {method: repeats.error_of(method) for method, _ in repeats.errors}
    chart = method_comparison(values, DISTANCE, theme)
    figure = chart.figure
    for row, method in enumerate(method_rows(values)):
        mean, low, high = mean_interval(values[method])
        label, at = METHODS[method].label, -row
        figure.add_scatter(
            x=[low, high],
            y=[at - 0.4, at - 0.4],
            mode="lines",
            name=f"{label}, {LEVEL:.0%} interval of the mean",
            line={"color": method_style(method, theme).color, "width": 4},
            hovertemplate=f"mean {mean:.3g}, interval {low:.3g} to {high:.3g}<extra></extra>",
            showlegend=False,
        )
    n = len(repeats.seeds)
    caption = (
        f"Each dot is one of {n} draws (seeds {repeats.seeds[0]} to {repeats.seeds[-1]}): the mean "
        f"over its honest clients. The bar and the number are the mean over the draws, the line "
        f"under it is its {LEVEL:.0%} interval (Student's t). Below the dashed line stand oracles."
    )
    alt = chart.alt.replace("means", f"means over {n} draws")
    return replace(chart, caption=caption, alt=alt)
