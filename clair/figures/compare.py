"""Two charts on the same axes, so that what looks larger is larger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from clair.figures.base import Chart
from clair.figures.drawing import Figure

Pair = tuple[Chart, Chart]


def linked(first: Chart, second: Chart) -> Pair:
    """Draw both charts with the union of their ranges on either axis.

    Bands that reached the end of an axis still do. Both have the same legend, because a legend of
    one only would make that chart lower. Titles say whose chart it is.
    """
    figures = first.figure.copy(), second.figure.copy()
    for name in ("x", "y"):
        low, high = (
            function(values)
            for function, values in zip(
                (min, max),
                zip(*(_range(figure, name) for figure in figures), strict=True),
                strict=True,
            )
        )
        for figure in figures:
            _stretch(figure, name, low, high)
    for figure, other in (figures, figures[::-1]):
        known = {trace.get("name") for trace in figure.traces}
        for trace in list(other.traces):
            if trace.get("showlegend", True) and trace.get("name") not in known:
                figure.add_trace(**{**trace, "x": [None], "y": [None]})
    return _named(first, figures[0], "A"), _named(second, figures[1], "B")


def unlinked(first: Chart, second: Chart) -> Pair:
    """Draw both charts on their own axes, with titles that say whose chart it is."""
    return _named(first, first.figure, "A"), _named(second, second.figure, "B")


def _range(figure: Figure, name: str) -> tuple[float, float]:
    """Find the range of an axis as set, else the range of the data and zero."""
    given = figure.settings.get(f"{name}axis", {}).get("range")
    if given is not None:
        return float(given[0]), float(given[1])
    values = np.array([v for trace in figure.traces for v in _numbers(trace.get(name))])
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    room = 0.05 * (high - low)
    return low - (room if low < 0 else 0.0), high + room


def _numbers(values: Any) -> Iterable[float]:
    return (float(v) for v in ([] if values is None else values) if v is not None)


def _stretch(figure: Figure, name: str, low: float, high: float) -> None:
    before = _range(figure, name)
    end = f"{name}1"
    for shape in figure.settings.get("shapes", ()):
        reaches = isinstance(shape[end], (int, float)) and np.isclose(shape[end], before[1])
        if reaches and "domain" not in shape.get(f"{name}ref", ""):
            shape[end] = high
    figure.update_layout(**{f"{name}axis": {"range": [low, high]}})


def _named(chart: Chart, figure: Figure, side: str) -> Chart:
    return replace(chart, figure=figure, title=f"{side}: {chart.title}", alt=f"{side}. {chart.alt}")
