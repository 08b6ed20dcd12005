"""The frame every chart shares: paper, ink, type, margins.

Colours are explicit, so a chart looks the same on the page, in an export and in a report.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from clair.palette import PAPERS, ThemeName

FONT = "Inter, sans-serif"


def framed(
    figure: go.Figure,
    theme: ThemeName,
    *,
    height: int,
    x_title: str = "",
    y_title: str = "",
    **layout: Any,
) -> go.Figure:
    """Put a figure into the common frame and return it.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Changed in place.
    theme : {"light", "dark"}
        Which paper.
    height : int
        Pixels.
    x_title, y_title : str
        Axis titles; Unicode and ``<sub>`` instead of LaTeX.
    **layout
        Further layout settings; they win over the common ones.
    """
    paper = PAPERS[theme]
    axis = {
        "gridcolor": paper.grid,
        "linecolor": paper.grid,
        "zeroline": False,
        "tickfont": {"color": paper.muted, "size": 12},
        "title": {"font": {"color": paper.muted, "size": 12.5}, "standoff": 8},
        "automargin": True,
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    if x_title:
        figure.update_xaxes(title_text=x_title)
    if y_title:
        figure.update_yaxes(title_text=y_title)
    common: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 28, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": paper.ink},
        "hoverlabel": {
            "bgcolor": paper.surface,
            "bordercolor": paper.grid,
            "font": {"family": FONT, "color": paper.ink, "size": 13},
        },
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"color": paper.ink, "size": 12.5},
            "bgcolor": "rgba(0,0,0,0)",
        },
        "template": "none",
        "dragmode": False,
        "uirevision": "kept",
    }
    figure.update_layout(**{**common, **layout})
    return figure
