"""The look every chart shares, in light and dark, and the words a chart comes with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from clair.figures.drawing import Figure
from clair.figures.palette import PAPERS, Style, ThemeName, method_style
from clair.methods import METHODS

FONT = "Inter, 'Source Sans', sans-serif"


@dataclass(frozen=True)
class Chart:
    """A figure and its takeaway.

    Attributes
    ----------
    figure : Figure
    title : str
        The takeaway as a short sentence, computed from the data.
    caption : str
        How to read the chart, for somebody who has not seen one like it.
    alt : str
        What a reader who cannot see the chart should know.
    """

    figure: Figure
    title: str
    caption: str
    alt: str


@cache
def template(theme: ThemeName) -> dict[str, Any]:
    """Build the Plotly template of a theme; it is complete, so exports look as on the page."""
    paper = PAPERS[theme]
    axis: dict[str, Any] = {
        "gridcolor": paper.grid,
        "linecolor": paper.muted,
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
    layout = {
        "font": {"family": FONT, "size": 13, "color": paper.ink},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": [method_style(key, theme).color for key in METHODS],
        "xaxis": axis,
        "yaxis": axis,
        "margin": {"l": 8, "r": 12, "t": 28, "b": 8},
        "hoverlabel": {
            "bgcolor": paper.surface,
            "bordercolor": paper.muted,
            "font": {"family": FONT, "size": 13, "color": paper.ink},
        },
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
            "font": {"size": 12.5, "color": paper.ink},
            "bgcolor": "rgba(0,0,0,0)",
        },
        "dragmode": False,
        "hovermode": "closest",
    }
    return {"layout": layout}


def new_figure(theme: ThemeName, height: int, **layout: Any) -> Figure:
    """Make an empty figure with the template of `theme`.

    Parameters
    ----------
    theme : {"light", "dark"}
    height : int
        Pixels.
    **layout
        Further layout settings; they win over the template.
    """
    return Figure(template=template(theme), height=height, uirevision="kept", **layout)


def level(y: float, **line: Any) -> dict[str, Any]:
    """Describe a horizontal line across the chart as a shape.

    Shapes that are given together are checked only once.
    """
    return {"type": "line", "xref": "x domain", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}


def band(y0: float, y1: float, color: str) -> dict[str, Any]:
    """Describe a horizontal band across the chart, behind the data, as a shape."""
    return {
        "type": "rect",
        "xref": "x domain",
        "x0": 0,
        "x1": 1,
        "y0": y0,
        "y1": y1,
        "fillcolor": color,
        "line": {"width": 0},
        "layer": "below",
    }


def marker(style: Style, theme: ThemeName, size: float = 9) -> dict[str, Any]:
    """Describe a style's marker, outlined in paper colour so that overlapping marks stay apart."""
    lines_only = style.symbol.endswith("-open") or style.symbol == "line-ew"
    outline = style.color if lines_only else PAPERS[theme].background
    return {
        "color": style.color,
        "symbol": style.symbol,
        "size": size,
        "line": {"color": outline, "width": 2 if lines_only else 1},
    }
