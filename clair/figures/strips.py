"""The emblem: M = L + S as strips of client tiles."""

from __future__ import annotations

import numpy as np

from clair.figures.base import Chart, marker, new_figure
from clair.figures.pixels import data_uri, strip, thin
from clair.narrative import clients_list
from clair.palette import PAPERS, ThemeName, role_style, with_alpha
from clair.scenario import ScenarioResult

# Rows from bottom to top of the picture, in units of one strip's height.
_TOP = {"M": 3.0, "L": 1.8, "S": 0.6}
_SIGNS = {
    "light": {
        "M": ("#1d2329", "#8c7f66"),
        "L": ("#0072b2", "#4aa88f"),
        "S": ("#c24e00", "#7c3a8f"),
    },
    "dark": {
        "M": ("#e9e6df", "#9c8f78"),
        "L": ("#56aee6", "#46c39f"),
        "S": ("#f5894a", "#c48bdc"),
    },
}
_NAMES = {
    "M": "M  what the server receives",
    "L": "= L  what all clients share",
    "S": "+ S  what only some add",
}


def split_strips(result: ScenarioResult, theme: ThemeName, height: int = 380) -> Chart:
    """Draw the updates of all clients and their two parts, a tile for each client.

    Marks under M tell the truth, marks under S the verdict.
    """
    paper, fitted = PAPERS[theme], result.fit
    parts = {
        "M": thin(result.problem.updates),
        "L": thin(fitted.low_rank),
        "S": thin(fitted.contamination),
    }
    n_clients = len(parts["M"])
    limit = 3 * float(np.median(np.abs(parts["M"]))) or 1.0
    figure = new_figure(
        theme,
        height,
        margin={"l": 8, "r": 8, "t": 8, "b": 30},
        showlegend=True,
        legend={"y": -0.02, "yanchor": "top"},
    )
    for name, top in _TOP.items():
        positive, negative = _SIGNS[theme][name]
        figure.add_layout_image(
            source=data_uri(strip(parts[name], limit, positive, negative)),
            xref="x",
            yref="y",
            x=0,
            y=top,
            sizex=n_clients,
            sizey=0.72,
            sizing="stretch",
            layer="above",
        )
        figure.add_annotation(
            text=_NAMES[name],
            x=0,
            y=top + 0.02,
            xref="x",
            yref="y",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 14, "color": paper.ink},
        )
    truth, flagged = result.problem.contaminated, fitted.flagged
    _marks(figure, "honest", "benign", ~truth, _TOP["M"] - 0.84, result, theme)
    _marks(figure, "poisoned", "contaminated", truth, _TOP["M"] - 0.84, result, theme)
    _flags(figure, flagged, truth, _TOP["S"] - 0.84, theme)
    figure.update_xaxes(visible=False, range=[0, n_clients], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.4, 3.35], fixedrange=True)
    return Chart(figure, _title(flagged, truth), _caption(result), _alt(flagged, truth))


def _marks(figure, name, role, mask, y, result, theme) -> None:  # type: ignore[no-untyped-def]
    clients = np.flatnonzero(mask)
    norms = result.fit.contamination_norms[clients]
    figure.add_scatter(
        x=clients + 0.47,
        y=np.full(len(clients), y),
        mode="markers",
        name=name,
        marker=marker(role_style(role, theme), theme, 8),
        customdata=np.column_stack([clients + 1, norms]),
        hovertemplate=f"client %{{customdata[0]}}, {name}<br>contamination norm "
        "%{customdata[1]:.2f}<extra></extra>",
    )


def _flags(figure, flagged, truth, y, theme) -> None:  # type: ignore[no-untyped-def]
    clients = np.flatnonzero(flagged)
    paper = PAPERS[theme]
    figure.add_scatter(
        x=clients + 0.47,
        y=np.full(len(clients), y),
        mode="markers",
        name="flagged by CLAIR",
        marker={
            "symbol": "triangle-up",
            "size": 11,
            "color": with_alpha(paper.ink, 0.9),
        },
        customdata=np.column_stack([clients + 1, np.where(truth[clients], 1, 0)]),
        hovertemplate="client %{customdata[0]} flagged<extra></extra>",
    )


def _title(flagged: np.ndarray, truth: np.ndarray) -> str:
    if not flagged.any():
        return "S holds nobody's tile clearly above the others: nobody is flagged"
    if np.array_equal(flagged, truth):
        return "The tiles that stand out in S are the poisoned clients"
    return "The tiles that stand out in S are not exactly the poisoned clients"


def _caption(result: ScenarioResult) -> str:
    shape = result.problem.updates.shape[1:]
    thinned = " (thinned to 16 rows and columns)" if max(shape) > 16 else ""
    return (
        f"One tile is one client's update, a matrix of {shape[0]} × {shape[1]} numbers{thinned}. "
        "Stronger ink is a larger entry, the two hues are its sign. Each tile of M is the sum of "
        "the tiles below it."
    )


def _alt(flagged: np.ndarray, truth: np.ndarray) -> str:
    return (
        f"Updates of {len(truth)} clients split into a shared and a client-wise part. "
        f"Poisoned: {clients_list(truth)}. Flagged: {clients_list(flagged)}."
    )
