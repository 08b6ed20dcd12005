"""The same updates in worlds with different truths."""

from __future__ import annotations

import numpy as np

from clair.figures.base import Chart, marker, new_figure
from clair.figures.noise import mark_break_even
from clair.figures.palette import PAPERS, ThemeName, method_style
from clair.sentences import amount
from clair.theory.worlds import Worlds

_LABELS = {
    "local": "training alone",
    "clair": "CLAIR",
    "clair_halves": "CLAIR + halves",
}


def worlds_chart(found: Worlds, theme: ThemeName, height: int = 380) -> Chart:
    """Draw the error of the honest clients by the share of their scatter that is real.

    Parameters
    ----------
    found : Worlds
    theme : {"light", "dark"}
    height : int
        Pixels.
    """
    figure, paper = new_figure(theme, height), PAPERS[theme]
    for method, label in _LABELS.items():
        style = method_style(method, theme)
        figure.add_scatter(
            x=found.shares,
            y=found.errors[method].mean(axis=1),
            mode="lines+markers",
            name=label,
            line={"color": style.color, "dash": style.dash, "width": 1.8},
            marker=marker(style, theme, 8),
            hovertemplate="%{x:.0%} real: error %{y:.3g}<extra>" + label + "</extra>",
        )
    mark_break_even(figure, paper, found.break_even, found.here)
    figure.update_xaxes(
        title_text="share that is real difference (left: all error)",
        tickformat=".0%",
        range=[-0.03, 1.03],
        showgrid=False,
    )
    figure.update_yaxes(title_text="error of an honest client", rangemode="tozero")
    alone, clair = (found.errors[key].mean(axis=1) for key in ("local", "clair"))
    title = (
        f"One set of updates: CLAIR errs by {amount(clair[0])} in one world, "
        f"training alone by {amount(alone[-1])} in another"
    )
    caption = (
        "Every world shows the server the same numbers, to the last digit: what lies outside the "
        "subspace is error on the left and real difference on the right. So the verdict and "
        "CLAIR's answer are the same everywhere, and only the truth they are held against moves. "
        "Two halves of each client's data lie far apart on the left and coincide on the right. "
        "The dotted line is your setting."
    )
    halves = found.errors["clair_halves"].mean(axis=1)
    worst = float(np.max(halves / np.maximum(alone, 1e-12)))
    alt = f"{title}. With halves the error is at most {worst:.2f} times that of training alone."
    return Chart(figure, title, caption, alt if np.isfinite(worst) and worst < 10 else f"{title}.")
