"""The look every chart shares, in light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from clair.palette import PAPERS, METHOD_ORDER, Style, ThemeName, method_style

FONT = "Inter, 'Source Sans', sans-serif"


@dataclass(frozen=True)
class Chart:
    """A figure and the words that go with it.

    Attributes
    ----------
    figure : plotly.graph_objects.Figure
    title : str
        The takeaway as a short sentence, computed from the data.
    caption : str
        How to read the chart, for somebody who has not seen one like it.
    alt : str
        What a reader who cannot see the chart should know.
    """

    figure: go.Figure
    title: str
    caption: str
    alt: str


def template(theme: ThemeName) -> go.layout.Template:
    """Plotly template of a theme; complete, so that exports look as on the page."""
    paper = PAPERS[theme]
    axis: dict[str, Any] = {
        "gridcolor": paper.grid,
        "linecolor": paper.muted,
        "zerolinecolor": paper.grid,
        "zeroline": False,
        "showline": True,
        "linewidth": 1,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": paper.muted,
        "tickfont": {"size": 12, "color": paper.muted},
        "title": {"font": {"size": 13, "color": paper.ink}, "standoff": 8},
        "automargin": True,
    }
    layout = go.Layout(
        font={"family": FONT, "size": 13, "color": paper.ink},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=[method_style(key, theme).color for key in METHOD_ORDER],
        xaxis=axis | {"showgrid": False},
        yaxis=axis,
        margin={"l": 56, "r": 16, "t": 12, "b": 48},
        hoverlabel={
            "bgcolor": paper.surface,
            "bordercolor": paper.muted,
            "font": {"family": FONT, "size": 13, "color": paper.ink},
        },
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
            "font": {"size": 12, "color": paper.ink},
            "bgcolor": "rgba(0,0,0,0)",
        },
        dragmode=False,
        hovermode="closest",
    )
    return go.layout.Template(layout=layout)


def new_figure(theme: ThemeName, height: int, **layout: Any) -> go.Figure:
    """Empty figure with the template of `theme`."""
    figure = go.Figure()
    figure.update_layout(template=template(theme), height=height, **layout)
    return figure


def marker(style: Style, theme: ThemeName, size: float = 10) -> dict[str, Any]:
    """Marker of a style, outlined in paper colour so that overlapping marks stay apart."""
    is_line = style.symbol.endswith("-open") or style.symbol in ("x", "line-ew")
    outline = style.color if is_line else PAPERS[theme].background
    return {
        "color": style.color,
        "symbol": style.symbol,
        "size": size,
        "line": {"color": outline, "width": 2 if style.symbol.endswith("-open") else 1},
    }


def legend_entry(figure: go.Figure, name: str, style: Style, theme: ThemeName) -> None:
    """Add a legend item without data, so that a legend shows roles that are absent just now."""
    figure.add_scatter(x=[None], y=[None], mode="markers", name=name, marker=marker(style, theme))
