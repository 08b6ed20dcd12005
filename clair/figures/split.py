"""The emblem: M = L + S as strips of client tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.figures.base import Chart, marker, new_figure
from clair.figures.drawing import Figure
from clair.figures.palette import PAPERS, ThemeName, role_style
from clair.figures.pixels import MAX_CELLS, data_uri, strip, thin
from clair.method.detection import FLAGGED, SUSPECT
from clair.sentences import clients_list
from clair.simulation.scenario import ScenarioResult

# Part -> top edge of its strip, name, and the hues of positive and negative entries by theme.
_PARTS: dict[str, tuple[float, str, dict[ThemeName, tuple[str, str]]]] = {
    "M": (
        3.2,
        "<b>M</b>  what the server receives",
        {"light": ("#12171c", "#8c7f66"), "dark": ("#e9e6df", "#9c8f78")},
    ),
    "L": (
        1.85,
        "=  <b>L</b>  what the clients share",
        {"light": ("#0072b2", "#3f9f86"), "dark": ("#56aee6", "#46c39f")},
    ),
    "S": (
        0.8,
        "+  <b>S</b>  what single clients add",
        {"light": ("#c24e00", "#8a4a9c"), "dark": ("#f5894a", "#c48bdc")},
    ),
}
_HEIGHT = 0.72  # of a strip, in the units of the vertical axis
_APART = 1.15  # a norm this many times larger looks as if it stands out
_CENTRE = 0.475  # of a tile; below one half, because the gap takes the tile's right end


def ink_limit(result: ScenarioResult) -> float:
    """Compute the size of a number that is drawn in full ink."""
    return 3 * float(np.median(np.abs(result.problem.updates))) or 1.0


def split_strips(
    result: ScenarioResult, theme: ThemeName, height: int = 400, *, limit: float | None = None
) -> Chart:
    """Draw the updates of all clients and their two parts, a tile for each client.

    Marks under M tell the truth, marks under S the verdict.

    Parameters
    ----------
    result : ScenarioResult
    theme : {"light", "dark"}
    height : int
        Pixels.
    limit : float, optional
        Size of a number in full ink; `ink_limit` of the result by default.
    """
    fitted, truth = result.fit, result.problem.contaminated
    order = _row_order(fitted.low_rank)
    blocks = {
        "M": thin(result.problem.updates[:, order]),
        "L": thin(fitted.low_rank[:, order]),
        "S": thin(fitted.contamination[:, order]),
    }
    limit = limit or ink_limit(result)
    figure = new_figure(theme, height)
    figure.update_layout(
        images=[
            {
                "source": data_uri(strip(blocks[key], limit, *hues[theme])),
                "xref": "x",
                "yref": "y",
                "x": 0,
                "y": top,
                "sizex": len(truth),
                "sizey": _HEIGHT,
                "sizing": "stretch",
                "layer": "above",
            }
            for key, (top, _, hues) in _PARTS.items()
        ],
        annotations=[
            {
                "text": name,
                "x": 0,
                "y": top + 0.01,
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 14, "color": PAPERS[theme].ink},
            }
            for top, name, _ in _PARTS.values()
        ],
    )
    _truth_marks(figure, result, theme)
    _verdict_marks(figure, fitted.degrees, theme)
    figure.update_layout(
        margin={"l": 4, "r": 4, "t": 4, "b": 8}, legend={"y": -0.02, "yanchor": "top"}
    )
    figure.update_xaxes(visible=False, range=[0, len(truth)], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.2, 3.45], fixedrange=True)
    return Chart(figure, _title(result), _caption(result), _alt(result))


def _row_order(low_rank: np.ndarray) -> np.ndarray:
    """Order rows by weight in the strongest shared direction, the same for every tile.

    The rows of an update have no natural order. This one lets the eye see what tiles share.
    """
    vectors = np.linalg.eigh(np.einsum("kij,klj->il", low_rank, low_rank))[1]
    return np.argsort(vectors[:, -1])


def _truth_marks(figure: Figure, result: ScenarioResult, theme: ThemeName) -> None:
    truth, norms = result.problem.contaminated, result.fit.contamination_norms
    for name, role, mask in (
        ("honest client", "benign", ~truth),
        ("poisoned client", "contaminated", truth),
    ):
        clients, style = np.flatnonzero(mask), role_style(role, theme)
        figure.add_scatter(
            x=clients + _CENTRE,
            y=np.full(len(clients), _PARTS["M"][0] - _HEIGHT - 0.12),
            mode="markers",
            name=name,
            marker=marker(style, theme, 8),
            customdata=np.column_stack([clients + 1, norms[clients]]),
            hovertemplate="client %{customdata[0]}<br>contamination norm "
            "%{customdata[1]:.2f}<extra>" + name + "</extra>",
        )


def _verdict_marks(figure: Figure, degrees: Sequence[str], theme: ThemeName) -> None:
    for degree, name, color, symbol in (
        (FLAGGED, "flagged by CLAIR", PAPERS[theme].ink, "triangle-up"),
        (SUSPECT, "suspect", role_style("suspect", theme).color, "triangle-up-open"),
    ):
        clients = np.flatnonzero([given == degree for given in degrees])
        if degree == SUSPECT and not clients.size:
            continue
        figure.add_scatter(
            x=clients + _CENTRE,
            y=np.full(len(clients), _PARTS["S"][0] - _HEIGHT - 0.12),
            mode="markers",
            name=name,
            marker={"color": color, "symbol": symbol, "size": 11, "line": {"width": 2}},
            customdata=clients + 1,
            hovertemplate=f"client %{{customdata}} is {degree}<extra></extra>",
        )


def _title(result: ScenarioResult) -> str:
    fitted, truth = result.fit, result.problem.contaminated
    flagged = fitted.flagged
    norms = result.fit.contamination_norms
    if flagged.all():
        return "Every client is flagged, so there is nobody left to trust"
    if not flagged.any():
        shown = truth.any() and norms[truth].min() > _APART * norms[~truth].max()
        if shown and fitted.suspect[truth].all():
            return "The tiles that stand out in S are suspect, but nobody is flagged"
        return f"Nobody is flagged{', though the poisoned tiles stand out in S' * bool(shown)}"
    if norms[flagged].min() <= norms[~flagged].max():
        return "The flagged clients do not stand out in S: something else gave them away"
    if np.array_equal(flagged, truth):
        return "The tiles that stand out in S are the poisoned clients"
    return "The flagged clients are not exactly the poisoned ones"


def _caption(result: ScenarioResult) -> str:
    rows, columns = result.problem.updates.shape[1:]
    thinned = (
        f", {MAX_CELLS} rows and columns of it shown" if max(rows, columns) > MAX_CELLS else ""
    )
    return (
        f"Each tile is one client's update: a table of {rows} × {columns} numbers{thinned}. "
        "Stronger ink is a larger number, the two hues are plus and minus. "
        "A tile of M is the sum of the two tiles below it."
    )


def _alt(result: ScenarioResult) -> str:
    fitted, truth = result.fit, result.problem.contaminated
    return (
        f"Updates of {len(truth)} clients split into a shared and a client-wise part. "
        f"Poisoned: {clients_list(truth)}. Flagged: {clients_list(fitted.flagged)}. "
        f"Suspect: {clients_list(fitted.suspect)}."
    )
