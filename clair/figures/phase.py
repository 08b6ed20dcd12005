"""Phase diagrams: where a method succeeds, with theory's boundary on top."""

from __future__ import annotations

import numpy as np

from clair.figures.base import Chart, new_figure
from clair.figures.drawing import Figure
from clair.figures.palette import PAPERS, ThemeName, mixed, role_style
from clair.simulation.sweeps.grid import AXIS_TITLES, Axis, SweepResult

MEASURES: dict[str, str] = {
    "exact": "exactly the poisoned clients flagged",
    "error": "subspace error at most {level:g}",
    "f1": "F1 at least {level:g}",
}


def phase_diagram(
    result: SweepResult,
    theme: ThemeName,
    *,
    measure: str,
    level: float,
    boundary: np.ndarray | None = None,
    boundary_level: float = 0.5,
    height: int = 520,
) -> Chart:
    """Draw the share of successful trials by cell; every cell has a mark that can be clicked.

    Parameters
    ----------
    result : SweepResult
        Complete or not; cells without a result stay empty.
    theme : {"light", "dark"}
    measure : {"exact", "error", "f1"}
    level : float
        See `SweepResult.success`.
    boundary : ndarray of shape (rows, columns), optional
        A predicted quantity whose contour at `boundary_level` is theory's boundary.
    boundary_level : float
    height : int
    """
    share = result.success(measure, level)
    rows, columns = result.config.shape
    figure = new_figure(theme, height, margin={"l": 8, "r": 8, "t": 28, "b": 8})
    _add_shares(figure, share, theme)
    if boundary is not None:
        _add_boundary(figure, boundary, boundary_level, PAPERS[theme].ink)
    x, y = (_axis(axis) for axis in (result.config.x, result.config.y))
    _add_marks(figure, result, share, (x, y), PAPERS[theme].ink)
    for update, (axis_title, text), n, axis in (
        (figure.update_xaxes, x, columns, result.config.x),
        (figure.update_yaxes, y, rows, result.config.y),
    ):
        step = max(1, -(-n // 10)) if axis.numeric else 1
        update(
            title_text=axis_title,
            tickvals=list(range(0, n, step)),
            ticktext=text[::step],
            range=[-0.5, n - 0.5],
            showgrid=False,
            ticks="",
        )
    title = _title(result, share, measure, level)
    caption = (
        f"Each cell is {result.config.trials} freshly drawn problems; the greener, the more of "
        f"them succeeded ({MEASURES[measure].format(level=level)})."
    )
    if boundary is not None:
        caption += f" {_agreement(share, boundary, boundary_level, measure)}"
    return Chart(figure, title, caption, f"{title}. {caption}")


def _axis(axis: Axis) -> tuple[str, list[str]]:
    """Name an axis and write its values."""
    return AXIS_TITLES[axis.name][0], axis.texts


def _add_shares(figure: Figure, share: np.ndarray, theme: ThemeName) -> None:
    paper, found = PAPERS[theme], role_style("recovered", theme).color
    figure.add_heatmap(
        z=share.astype(np.float32),
        zmin=0,
        zmax=1,
        xgap=1,
        ygap=1,
        colorscale=[[0, paper.surface], [0.5, mixed(paper.surface, found, 0.45)], [1, found]],
        colorbar={
            "title": {"text": "trials", "font": {"size": 12.5, "color": paper.ink}},
            "tickformat": ".0%",
            "tickfont": {"size": 12, "color": paper.muted},
            "thickness": 12,
            "len": 0.6,
            "outlinewidth": 0,
        },
        hoverinfo="skip",
    )


def _add_boundary(figure: Figure, boundary: np.ndarray, at: float, ink: str) -> None:
    """Add the contour that theory predicts, and its line in the legend."""
    line = {"color": ink, "width": 2.5, "dash": "dash"}
    figure.add_contour(
        z=boundary,
        contours={"coloring": "none", "start": at, "end": at, "size": 1, "showlabels": False},
        line=line,
        showscale=False,
        hoverinfo="skip",
        name="predicted boundary",
        showlegend=False,
    )
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="lines",
        name="boundary predicted without simulation",
        line=line,
    )


def _add_marks(
    figure: Figure,
    result: SweepResult,
    share: np.ndarray,
    axes: tuple[tuple[str, list[str]], tuple[str, list[str]]],
    ink: str,
) -> None:
    """Add a mark in every cell that can be pointed at and clicked."""
    (x_title, x_text), (y_title, y_text) = axes
    columns = len(x_text)
    cells = np.arange(columns * len(y_text))
    words = [
        f"{x_title}: {x_text[c % columns]}<br>{y_title}: {y_text[c // columns]}<br>"
        + _cell_words(result, share, int(c))
        for c in cells
    ]
    figure.add_scatter(
        x=cells % columns,
        y=cells // columns,
        mode="markers",
        marker={"symbol": "square", "size": 16, "opacity": 0, "color": ink},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        customdata=cells,
        text=words,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def agreement(share: np.ndarray, predicted_success: np.ndarray) -> tuple[int, int]:
    """Count the cells on the predicted side of one half, and the cells that have a result.

    Parameters
    ----------
    share : ndarray
        Measured share of successes, NaN where there is none.
    predicted_success : ndarray of bool of the same shape
    """
    known = ~np.isnan(share)
    same = (share >= 0.5) == predicted_success
    return int((same & known).sum()), int(known.sum())


def _agreement(share: np.ndarray, boundary: np.ndarray, level: float, measure: str) -> str:
    predicted = boundary <= level if measure == "error" else boundary >= level
    same, known = agreement(share, predicted)
    return (
        f"The dashed line is computed from formulas alone; {same} of {known} cells fall on the "
        "side it predicts."
    )


def _title(result: SweepResult, share: np.ndarray, measure: str, level: float) -> str:
    known = int((~np.isnan(share)).sum())
    if known == 0:
        return "No cell has a result yet"
    good = int((share >= 0.9).sum())
    words = MEASURES[measure].format(level=level)
    return f"Success in nearly every trial in {good} of {known} cells ({words})"


def _cell_words(result: SweepResult, share: np.ndarray, cell: int) -> str:
    row, column = divmod(cell, result.config.shape[1])
    if not result.done[row, column]:
        return "not computed yet"
    if np.isnan(share[row, column]):
        return "no such problem"
    trials = result.config.trials
    exact = int(result.exact[row, column].sum())
    return (
        f"{round(share[row, column] * trials)} of {trials} trials succeeded<br>"
        f"exact set in {exact}, mean F1 {result.f1[row, column].mean():.2f}, "
        f"mean subspace error {result.error[row, column].mean():.3f}<br>click to open in the lab"
    )
