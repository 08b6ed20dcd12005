"""Phase diagrams: where a method succeeds, with theory's boundary on top."""

from __future__ import annotations

import numpy as np

from clair.figures.base import Chart, new_figure
from clair.figures.palette import PAPERS, ThemeName, rgb, role_style
from clair.simulation.sweeps.grid import AXIS_TITLES, SweepResult

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
    config, paper = result.config, PAPERS[theme]
    share = result.success(measure, level)
    rows, columns = config.shape
    (x_title, x_format), (y_title, y_format) = (AXIS_TITLES[a.name] for a in (config.x, config.y))
    x_text = [format(v, x_format) for v in config.x.values]
    y_text = [format(v, y_format) for v in config.y.values]
    figure = new_figure(theme, height, margin={"l": 8, "r": 8, "t": 28, "b": 8})
    figure.add_heatmap(
        z=share.astype(np.float32),
        zmin=0,
        zmax=1,
        xgap=1,
        ygap=1,
        colorscale=[
            [0, paper.surface],
            [0.5, _mix(paper.surface, role_style("recovered", theme).color, 0.45)],
            [1, role_style("recovered", theme).color],
        ],
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
    if boundary is not None:
        figure.add_contour(
            z=boundary,
            contours={
                "coloring": "none",
                "start": boundary_level,
                "end": boundary_level,
                "size": 1,
                "showlabels": False,
            },
            line={"color": paper.ink, "width": 2.5, "dash": "dash"},
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
            line={"color": paper.ink, "width": 2.5, "dash": "dash"},
        )
    cells = np.arange(rows * columns)
    words = [
        f"{x_title}: {x_text[c % columns]}<br>{y_title}: {y_text[c // columns]}<br>"
        + _cell_words(result, share, int(c))
        for c in cells
    ]
    figure.add_scatter(
        x=cells % columns,
        y=cells // columns,
        mode="markers",
        marker={"symbol": "square", "size": 16, "opacity": 0, "color": paper.ink},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        customdata=cells,
        text=words,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    for update, title, text, n in (
        (figure.update_xaxes, x_title, x_text, columns),
        (figure.update_yaxes, y_title, y_text, rows),
    ):
        step = max(1, -(-n // 10))
        update(
            title_text=title,
            tickvals=list(range(0, n, step)),
            ticktext=text[::step],
            range=[-0.5, n - 0.5],
            showgrid=False,
            ticks="",
        )
    title = _title(result, share, measure, level)
    caption = (
        f"Each cell is {config.trials} freshly drawn problems; the greener, the more of them "
        f"succeeded ({MEASURES[measure].format(level=level)})."
    )
    if boundary is not None:
        caption += f" {_agreement(share, boundary, boundary_level, measure)}"
    return Chart(figure, title, caption, f"{title}. {caption}")


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


def _mix(first: str, second: str, share: float) -> str:
    parts = (
        round((1 - share) * a + share * b) for a, b in zip(rgb(first), rgb(second), strict=True)
    )
    return "#" + "".join(f"{part:02x}" for part in parts)
