"""Curves along noise and other settings: simulation beside prediction."""

from __future__ import annotations

import numpy as np

from clair.figures.base import Chart, marker, new_figure
from clair.figures.drawing import Figure
from clair.figures.palette import (
    PAPERS,
    Paper,
    Style,
    ThemeName,
    method_style,
    role_style,
)
from clair.method.evidence import GAP
from clair.sentences import amount, times
from clair.simulation.sweeps.grid import AXIS_TITLES
from clair.theory.curves import Gain, Separation, Stability

_FLOOR = 1e-4
ROUTE_NAMES: dict[str, str] = {
    "convex": "convex program, no polish",
    "irls": "IRLS, no polish",
    "polished": "either, polished",
    "truth": "PCA on the honest (oracle)",
}


def _route_style(route: str, theme: ThemeName) -> Style:
    colors = {
        "convex": method_style("krum", theme),
        "irls": method_style("median", theme),
        "polished": role_style("recovered", theme),
        "truth": role_style("truth", theme),
    }
    return colors[route]


def stability_chart(
    curves: Stability, theme: ThemeName, *, slope: float, breakdown: float, height: int = 430
) -> Chart:
    """Draw subspace error against noise, both logarithmic, with slope, prediction and threshold.

    Parameters
    ----------
    curves : Stability
        Its first noise level may be 0, which is told in words and not drawn.
    theme : {"light", "dark"}
    slope : float
        Predicted error per unit of noise.
    breakdown : float
        Noise at which the weakest direction is lost.
    height : int
    """
    paper, drawn = PAPERS[theme], curves.noise > 0
    noise = curves.noise[drawn]
    figure = new_figure(theme, height)
    figure.add_scatter(
        x=noise,
        y=np.minimum(slope * noise, 2.0),
        mode="lines",
        name="predicted slope",
        line={"color": paper.muted, "width": 1.2, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=noise,
        y=curves.predicted[drawn],
        mode="lines",
        name="prediction for PCA on the honest",
        line={"color": paper.ink, "width": 2, "dash": "dash"},
        hovertemplate="σ = %{x:.3f}: predicted %{y:.3f}<extra></extra>",
    )
    for route, name in ROUTE_NAMES.items():
        style = _route_style(route, theme)
        figure.add_scatter(
            x=noise,
            y=np.maximum(curves.error[route][drawn], _FLOOR),
            mode="markers" if route == "truth" else "lines+markers",
            name=name,
            line={"color": style.color, "width": 1.6},
            marker=marker(style, theme, 7),
            hovertemplate="σ = %{x:.3f}: %{y:.3f}<extra>" + name + "</extra>",
        )
    figure.add_vline(x=breakdown, line={"color": paper.ink, "width": 1, "dash": "dot"})
    figure.add_annotation(
        x=np.log10(breakdown),
        y=0.02,
        yref="paper",
        text="lost to any PCA",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        textangle=-90,
        font={"size": 12, "color": paper.muted},
    )
    _log_axis(figure, "x", "noise σ (standard deviation of an entry)")
    _log_axis(figure, "y", "subspace error (sine of the largest angle)")
    figure.update_yaxes(range=[np.log10(max(slope * noise[0] / 3, _FLOOR)), 0.15])
    title = _stability_title(curves)
    caption = (
        "On these axes “in proportion to the noise” is a straight line of slope one. Polish refits "
        "the subspace on the clients that were kept, so it does not matter which solver came "
        "first: both reach the oracle as long as the right clients are kept."
    )
    return Chart(figure, title, caption, f"{title}.")


def _stability_title(curves: Stability) -> str:
    exact = curves.exact & (curves.noise > 0)
    if exact.any():
        error = np.abs(curves.error["polished"][exact] / curves.predicted[exact] - 1)
        words = f"Polished, the error is within {error.max():.0%} of its prediction up to σ = "
        words += f"{curves.noise[exact].max():g}"
    else:
        words = "The right clients are found at no positive noise level here"
    lost = curves.noise[curves.lost]
    if lost.size:
        words += f"; the convex program alone is lost from {lost.min():g}"
    return words


def _set_axis(figure: Figure, name: str) -> None:
    """Set the axis of the setting that is varied; it is logarithmic for strengths."""
    figure.update_xaxes(title_text=AXIS_TITLES[name][0], showgrid=False)
    if name == "attack_scale":
        ticks = (0.1, 0.3, 1, 3, 10)
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])


def separation_chart(curves: Separation, name: str, theme: ThemeName, height: int = 360) -> Chart:
    """Draw the weakest contaminated and the strongest benign score, every trial a dot."""
    paper, figure = PAPERS[theme], new_figure(theme, height)
    top = 6.0
    line = {"color": role_style("contaminated", theme).color, "width": 1.5, "dash": "dash"}
    figure.add_scatter(
        x=curves.values,
        y=np.minimum(curves.separation, top),
        mode="lines",
        name="predicted typical poisoned score",
        line=line,
        hovertemplate="predicted %{y:.2f}<extra></extra>",
    )
    for label, role, values in (
        ("weakest poisoned client", "contaminated", curves.weakest),
        ("strongest honest client", "benign", curves.strongest),
    ):
        trials = values.shape[1]
        figure.add_scatter(
            x=np.repeat(curves.values, trials),
            y=np.minimum(values.ravel(), top),
            mode="markers",
            name=label,
            marker={**marker(role_style(role, theme), theme, 7), "opacity": 0.75},
            hovertemplate="%{y:.2f}<extra>" + label + "</extra>",
        )
    figure.add_scatter(
        x=[curves.values[0], curves.values[-1]],
        y=[GAP[1], GAP[1]],
        mode="lines",
        name=f"{GAP[1]:g}, the least the detector asks of this score",
        line={"color": paper.ink, "width": 1.2, "dash": "dot"},
        hoverinfo="skip",
    )
    _set_axis(figure, name)
    figure.update_yaxes(
        title_text="score / median honest score",
        type="log",
        range=[np.log10(0.85), np.log10(top * 1.1)],
        tickvals=[1, 1.5, 2, 3, 4, 6],
        ticktext=["1", "1.5", "2", "3", "4", "6+"],
    )
    clear = np.nan_to_num(curves.weakest.min(axis=1), nan=np.inf) > curves.strongest.max(axis=1)
    if clear.all():
        title = "The two kinds of client never overlap here"
    elif clear.any():
        title = f"In {int(clear.sum())} of {clear.size} settings the two kinds do not overlap"
    else:
        title = "Poisoned and honest scores overlap everywhere here"
    caption = (
        "Each dot is the most easily confused client of one drawn problem, by all that it sends. "
        "By this score clients are flagged only above the line; below it they can be flagged by "
        "their strongest directions alone, which hold less noise, or because what they send "
        "outside is more concentrated than noise."
    )
    return Chart(figure, title, caption, f"{title}.")


def set_probability_chart(
    curves: Separation, name: str, theme: ThemeName, height: int = 300
) -> Chart:
    """Draw the probability of the exact set, measured and predicted."""
    figure = new_figure(theme, height)
    found, trials = role_style("recovered", theme), curves.exact.shape[1]
    share = curves.exact.mean(axis=1)
    figure.add_scatter(
        x=curves.values,
        y=curves.predicted,
        mode="lines",
        name="predicted",
        line={"color": PAPERS[theme].ink, "width": 2, "dash": "dash"},
        hovertemplate="predicted %{y:.0%}<extra></extra>",
    )
    figure.add_scatter(
        x=curves.values,
        y=share,
        mode="markers",
        name=f"measured, {trials} problems each",
        marker=marker(found, theme, 10),
        hovertemplate="%{y:.0%} of the problems<extra></extra>",
    )
    _set_axis(figure, name)
    figure.update_yaxes(title_text="exact set", tickformat=".0%", range=[-0.06, 1.09])
    away = float(np.abs(share - curves.predicted).max())
    title = f"Measured and predicted probability differ by at most {away:.0%} of the problems"
    if away == 0:
        title = "Measured and predicted probability of the exact set agree everywhere"
    caption = (
        "The prediction uses formulas only: mean and spread of all scores, put through the "
        f"detector's rule. With {trials} problems a point, one problem is {1 / trials:.0%}."
    )
    return Chart(figure, title, caption, f"{title}.")


def gain_chart(
    curves: Gain,
    name: str,
    theme: ThemeName,
    *,
    now: float,
    crossing: float | None,
    height: int = 420,
) -> Chart:
    """Draw the error of the honest clients along one setting: dots measured, lines predicted.

    Parameters
    ----------
    curves : Gain
    name : str
        The setting, a field of `ProblemSpec`.
    theme : {"light", "dark"}
    now : float
        Its current value, marked.
    crossing : float or None
        Value at which the predicted gain is zero, marked.
    height : int
    """
    labels = {
        "clair_oracle": "CLAIR, told the truth (oracle)",
        "local": "training alone",
        "clair": "CLAIR",
        "clair_eb": "CLAIR + pooling",
    }
    figure, paper = new_figure(theme, height), PAPERS[theme]
    for method, label in labels.items():
        style = method_style(method, theme)
        predicted = [getattr(point, method) for point in curves.predicted]
        measured = curves.measured[method].mean(axis=1)
        figure.add_scatter(
            x=curves.values,
            y=predicted,
            mode="lines",
            line={
                "color": style.color,
                "width": 1.8,
                "dash": {"clair_eb": "dot", "clair_oracle": "dash"}.get(method, "solid"),
            },
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=curves.values,
            y=measured,
            mode="markers",
            name=label,
            marker=marker(style, theme, 13 if method == "clair_oracle" else 8),
            hovertemplate="%{y:.3g}<extra>" + label + "</extra>",
        )
    mark_break_even(figure, paper, crossing, now)
    figure.update_xaxes(title_text=AXIS_TITLES[name][0], showgrid=False)
    figure.update_yaxes(title_text="error of an honest client", rangemode="tozero")
    title = _gain_title(curves, name, crossing)
    caption = (
        "Marks are measured (mean of a few drawn problems), lines predicted; the dotted line is "
        "where you are. Predictions assume that exactly the honest clients are kept"
    )
    wrong = int((~curves.exact).any(axis=1).sum())
    caption += f", which fails at {wrong} of {curves.values.size} points here." if wrong else "."
    return Chart(figure, title, caption, f"{title}.")


def mark_break_even(figure: Figure, paper: Paper, even: float | None, here: float) -> None:
    """Mark where sharing neither pays nor costs, if anywhere, and where the visitor is."""
    if even is not None:
        figure.add_vline(x=even, line={"color": paper.ink, "width": 1.5, "dash": "dash"})
        figure.add_annotation(
            x=even,
            y=0.98,
            yref="paper",
            yanchor="top",
            xanchor="left",
            xshift=4,
            text="break-even",
            showarrow=False,
        )
    figure.add_vline(x=here, line={"color": paper.muted, "width": 1, "dash": "dot"})


def _gain_title(curves: Gain, name: str, crossing: float | None) -> str:
    axis = AXIS_TITLES[name][0]
    if crossing is not None:
        first = curves.predicted[0].gain > 0
        where = "up to" if first else "from"
        return f"Collaboration pays {where} {axis} = {amount(crossing)}, by the predicted gain"
    if all(point.gain > 0 for point in curves.predicted):
        best = max(p.local / max(p.clair, 1e-12) for p in curves.predicted)
        return f"Collaboration pays at every {axis} drawn, by up to {times(best)}"
    return f"Collaboration pays at no {axis} drawn"


def _log_axis(figure: Figure, axis: str, title: str) -> None:
    ticks = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
    settings = {
        "title_text": title,
        "type": "log",
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }
    if axis == "x":
        figure.update_xaxes(**settings)
    else:
        figure.update_yaxes(**settings)
