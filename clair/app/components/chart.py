"""Charts on the page: plotly.js in a component of ours.

Streamlit's own chart redraws everything twice when its data change. This one changes the drawing in
place, loads a third of the script, and lets the visitor save the drawing as a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from clair.app.kit.presenter import presenting
from clair.app.kit.shared import Same, Store
from clair.federated.regression import RegressionResult
from clair.figures.base import Chart
from clair.simulation.scenario import ScenarioResult

_HTML = """
<div class="clair-chart" role="figure">
  <div class="plot"></div>
  <details>
    <summary aria-label="Save or enlarge this chart" title="Save or enlarge this chart">
      <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
        <path d="M10 3v9M6 8.5l4 4 4-4M4 16.5h12"
          fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"
          stroke-linejoin="round"/>
      </svg>
    </summary>
    <div class="menu">
      <button type="button" data-format="png">Save as PNG</button>
      <button type="button" data-format="svg">Save as SVG</button>
      <button type="button" data-full>Full screen</button>
    </div>
  </details>
</div>
"""

_CSS = """
/* the drawing must not hold its place open when the window gets narrower */
.clair-chart { position: relative; contain: inline-size; }
.clair-chart .plot { width: 100%; }
/* the old drawing must not hold the page open while its new height is found */
.clair-chart.on-stage .plot { overflow: clip; }
.clair-chart:fullscreen { background: var(--st-background-color); padding: 3vh 3vw; }
.clair-chart:fullscreen .plot { height: 94vh !important; }
.clair-chart details { position: absolute; top: -2.2rem; right: 0; z-index: 2; opacity: 0; }
.clair-chart:hover details, .clair-chart details:focus-within, .clair-chart details[open] {
  opacity: 1;
}
@media (hover: none) { .clair-chart details { opacity: 1; } }
@media print { .clair-chart details { display: none; } }
.clair-chart summary {
  list-style: none; cursor: pointer; color: var(--st-text-color); padding: 0.25rem;
  background: var(--st-background-color); border: 1px solid var(--st-border-color);
  border-radius: var(--st-button-radius); line-height: 0;
}
.clair-chart summary::-webkit-details-marker { display: none; }
.clair-chart summary:hover { color: var(--st-primary-color); }
.clair-chart .menu {
  position: absolute; right: 0; top: calc(100% + 4px); display: grid; padding: 0.25rem;
  background: var(--st-background-color); border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius); box-shadow: 0 2px 8px rgb(0 0 0 / 0.15);
}
.clair-chart .menu button {
  font: inherit; font-size: 0.875rem; color: var(--st-text-color); background: transparent;
  border: 0; border-radius: var(--st-button-radius); padding: 0.35rem 0.75rem; cursor: pointer;
  text-align: left; white-space: nowrap;
}
.clair-chart .menu button:hover { background: var(--st-secondary-background-color); }
.clair-chart summary:focus-visible, .clair-chart .menu button:focus-visible {
  outline: 2px solid var(--st-primary-color); outline-offset: 1px;
}
"""

_CHART = st.components.v2.component(
    "clair_chart",
    html=_HTML,
    css=_CSS,
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
    # plotly.js puts the rules for its hover labels into the page's head
    isolate_styles=False,
)


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

    `make` must be a function of a module.
    """
    named = tuple((name, _identity(value)) for name, value in settings.items())
    key = (make, *map(_identity, args), named)
    return kept(key, lambda: make(*args, **settings))


def _drawn(made: Any) -> Any:
    if isinstance(made, Chart):
        return Drawn(made.figure.to_json(), made.title, made.caption, made.alt)
    return tuple(map(_drawn, made)) if isinstance(made, (list, tuple)) else made


def _identity(value: Any) -> Hashable:
    """Choose a cache key: the settings a result was computed from, else the value itself."""
    if isinstance(value, ScenarioResult):
        return value.scenario
    if isinstance(value, RegressionResult):
        return value.config
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
