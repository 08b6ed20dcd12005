"""Charts on the page: plotly.js in a component of ours.

Streamlit's own chart redraws everything twice when its data change. This one changes the drawing in
place, loads a third of the script, and lets the visitor save the drawing as a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from clair.app.components import component
from clair.app.kit.presenter import presenting
from clair.app.kit.shared import Same, Store
from clair.federated.regression import RegressionResult
from clair.figures.base import Chart
from clair.figures.palette import ThemeName
from clair.report.blocks import Pair, Plot
from clair.simulation.scenario import ScenarioResult

# plotly.js puts the rules for its hover labels into the page's head
_CHART = component("chart", isolate_styles=False)


@dataclass(frozen=True)
class Drawn:
    """A chart whose figure is JSON already; see `clair.figures.base.Chart` for the words."""

    spec: str
    title: str
    caption: str
    alt: str


_KEPT = Store(384)


def kept(key: Hashable, make: Callable[[], Any]) -> Any:
    """Build what `make` returns once for all visitors, with every chart as a `Drawn`.

    Parameters
    ----------
    key : hashable
        Everything that the charts depend on.
    make : callable
        Returns a chart, or lists and tuples with charts in them.
    """
    return _KEPT.get(key, lambda: _drawn(make()))


def charts_of(make: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """Call ``make(*args, **settings)`` through `kept`; function and arguments are the key.

    `make` must be a function of a module. What must not be kept goes through `charts_for_one`.
    """
    named = tuple((name, _identity(value)) for name, value in settings.items())
    key = (make, *map(_identity, args), named)
    return kept(key, lambda: make(*args, **settings))


def charts_for_one(make: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """Call ``make(*args, **settings)`` as `charts_of` does, and keep nothing of it."""
    return _drawn(make(*args, **settings))


def chart_of(plot: Plot, theme: ThemeName, charts: Callable[..., Any] = charts_of) -> Drawn:
    """Draw a plot on the paper of a theme, through `charts_of` or `charts_for_one`."""
    made = charts(plot.make, *plot.args, theme, **plot.settings)
    chart: Drawn = made if plot.pick is None else made[plot.pick]
    return chart


def _drawn(made: Any) -> Any:
    if isinstance(made, Chart):
        return Drawn(made.figure.to_json(), made.title, made.caption, made.alt)
    return tuple(map(_drawn, made)) if isinstance(made, (list, tuple)) else made


def _identity(value: Any) -> Hashable:
    """Choose a cache key: the settings a result was computed from, else the value itself."""
    if isinstance(value, ScenarioResult):
        return value.scenario, value.poisoned_left
    if isinstance(value, RegressionResult):
        return value.config
    if isinstance(value, Pair):
        return _identity(value.first), _identity(value.second), value.shared
    if isinstance(value, Plot):
        named = tuple((name, _identity(one)) for name, one in value.settings.items())
        return value.make, tuple(map(_identity, value.args)), named, value.pick
    try:
        hash(value)
    except TypeError:
        return Same(value)
    return value


def draw(chart: Chart | Drawn, key: str, *, on_click: Callable[[Any], None] | None = None) -> None:
    """Draw the figure of a chart; its title goes into the pictures that a visitor saves.

    Parameters
    ----------
    chart : Chart or Drawn
    key : str
        Unique on the page; the same key changes the same drawing.
    on_click : callable, optional
        Called before the next run with the ``customdata`` of a point that was clicked.
    """

    def clicked() -> None:
        if on_click is not None:
            on_click(st.session_state[key].clicked)

    _CHART(
        key=key,
        data={
            "spec": chart.spec if isinstance(chart, Drawn) else chart.figure.to_json(),
            "alt": chart.alt,
            "title": chart.title,
            "file": f"clair-{key.replace('_', '-')}",
            "clickable": on_click is not None,
            "stage": presenting(),
        },
        on_clicked_change=clicked,
        width="stretch",
        height="content",
    )
