"""How suspicious each client looks, where the line is drawn, and who it truly is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.figures.base import Chart, band, level, marker, new_figure
from clair.figures.drawing import Figure
from clair.figures.palette import PAPERS, Style, ThemeName, role_style, with_alpha
from clair.method.detection import FLAGGED, KEPT, NOT_COMPARABLE, SUSPECT
from clair.sentences import listing

#: A threshold this many times the highest value is not drawn.
OUT_OF_SIGHT = 3.0
_NOTHING = 1e-5  # a score below is the solver's tolerance


def client_verdict(
    values: np.ndarray,
    theme: ThemeName,
    *,
    degrees: Sequence[str],
    axis_title: str,
    caption: str,
    reasons: Sequence[str] | None = None,
    threshold: float | None = None,
    contaminated: np.ndarray | None = None,
    height: int = 330,
) -> Chart:
    """Draw a stem for every client.

    Marker and colour tell the truth, the mark above them tells the verdict.

    Flagged clients carry a full triangle, suspect ones a hollow one in another colour.

    Parameters
    ----------
    values : ndarray of shape (n_clients,)
        Suspicion, e.g. residual scores or contamination norms; non-negative.
    theme : {"light", "dark"}
        Which paper.
    degrees : sequence of str
        CLAIR's verdict, one of `clair.method.detection.DEGREES` for each client.
    axis_title, caption : str
        What `values` are, in short and in words.
    reasons : sequence of str, optional
        Of the verdict, shown under the pointer; empty for kept clients.
    threshold : float, optional
        Where the line is drawn, if these values decided.
    contaminated : ndarray of shape (n_clients,) of bool, optional
        The truth; without it all clients are drawn alike.
    """
    values = np.asarray(values, dtype=float)
    highest = float(values.max())
    title = _title(values, threshold, degrees, contaminated)
    said = _under_pointer(degrees, reasons)
    if threshold is not None and threshold > OUT_OF_SIGHT * highest > 0:
        # drawing this line would squeeze all clients together at the bottom
        caption = f"{caption} The line, at {threshold:.3g}, lies above the chart."
        threshold = None
    top = max(highest, threshold or 0.0) or 1.0
    figure = new_figure(theme, height)
    if threshold is not None:
        _add_threshold(figure, threshold, top, theme)
    _add_stems(figure, values, said, contaminated, theme)
    _add_degrees(figure, values + 0.075 * top, degrees, theme)
    figure.update_yaxes(title_text=axis_title, range=[0, top * 1.18])
    figure.update_xaxes(
        title_text="client",
        range=[0.3, values.size + 0.7],
        showgrid=False,
        tickmode="linear",
        tick0=1,
        dtick=1 if values.size <= 16 else (2 if values.size <= 32 else 4),
    )
    return Chart(figure, title, caption, _words(values, degrees))


def _add_threshold(figure: Figure, threshold: float, top: float, theme: ThemeName) -> None:
    """Add the line, and shade what is above it."""
    line = role_style("threshold", theme)
    shade = with_alpha(role_style("contaminated", theme).color, 0.07)
    figure.update_layout(
        shapes=[
            band(threshold, top * 1.18, shade),
            level(threshold, color=line.color, width=1.5, dash=line.dash),
        ]
    )
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="lines",
        name="threshold",
        line={"color": line.color, "width": 1.5, "dash": line.dash},
    )


def _add_stems(
    figure: Figure,
    values: np.ndarray,
    said: np.ndarray,
    contaminated: np.ndarray | None,
    theme: ThemeName,
) -> None:
    clients = np.arange(1, values.size + 1)
    for name, chosen, color, symbol, dash in _groups(values.size, contaminated, theme):
        at = np.flatnonzero(chosen)
        x = np.repeat(clients[at], 3).astype(object)
        y = np.repeat(values[at], 3).astype(object)
        y[0::3], x[2::3], y[2::3] = 0.0, None, None
        figure.add_scatter(
            x=x.tolist(),
            y=y.tolist(),
            mode="lines",
            line={"color": with_alpha(color, 0.6), "width": 2, "dash": dash},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=clients[at],
            y=values[at],
            mode="markers",
            name=name,
            marker=marker(Style(color, symbol), theme, 11),
            customdata=said[at],
            hovertemplate=f"client %{{x}} ({name}): %{{y:.3f}}, %{{customdata}}<extra></extra>",
            showlegend=contaminated is not None,
        )


def _add_degrees(
    figure: Figure, heights: np.ndarray, degrees: Sequence[str], theme: ThemeName
) -> None:
    """Mark who is not kept; a mark is above its own client, words would run into the next one."""
    paper = PAPERS[theme]
    for degree, color, symbol in (
        (FLAGGED, paper.ink, "triangle-down"),
        (SUSPECT, role_style("suspect", theme).color, "triangle-down-open"),
        (NOT_COMPARABLE, paper.muted, "circle-open"),
    ):
        chosen = np.array([given == degree for given in degrees], dtype=bool)
        if not chosen.any():
            continue
        figure.add_scatter(
            x=np.flatnonzero(chosen) + 1,
            y=heights[chosen],
            mode="markers",
            name=degree,
            marker={"color": color, "symbol": symbol, "size": 9, "line": {"width": 2}},
            hoverinfo="skip",
        )


def _under_pointer(degrees: Sequence[str], reasons: Sequence[str] | None) -> np.ndarray:
    """Write the verdict and reason of each client, to be shown under the pointer."""
    why = reasons or [""] * len(degrees)
    return np.array(
        [
            f"{degree}<br>{text}" if text else degree
            for degree, text in zip(degrees, why, strict=True)
        ]
    )


def listed(degrees: Sequence[str], degree: str) -> str:
    """Name the clients of a degree, or say how many if they are many; empty if there are none.

    Examples
    --------
    >>> listed(["flagged", "kept", "flagged"], "flagged"), listed(["kept"], "flagged")
    ('clients 1 and 3', '')
    """
    names = [str(k + 1) for k, given in enumerate(degrees) if given == degree]
    if len(names) > 8:
        return f"{len(names)} clients"
    return f"client{'s' * (len(names) > 1)} {listing(names)}" if names else ""


def _title(
    values: np.ndarray,
    threshold: float | None,
    degrees: Sequence[str],
    contaminated: np.ndarray | None,
) -> str:
    """Say what the stems show; without the truth, only who was flagged or is suspect."""
    if threshold is not None or contaminated is None:
        flagged, suspect = listed(degrees, FLAGGED), listed(degrees, SUSPECT)
        told = f"Flagged: {flagged}" if flagged else "Nobody was flagged"
        return f"{told}; suspect: {suspect}" if suspect else told
    if not contaminated.any():
        if values.max() < _NOTHING:
            return "Nobody is poisoned, and nothing is left over"
        return "Nobody is poisoned: what is left over is ordinary difference"
    if values[contaminated].min() > values[~contaminated].max():
        return "Every poisoned client stands above every honest one"
    return "This alone does not separate poisoned from honest here"


def _words(values: np.ndarray, degrees: Sequence[str]) -> str:
    each = ", ".join(
        f"client {k + 1} {value:.2f}{'' if degree == KEPT else f' {degree}'}"
        for k, (value, degree) in enumerate(zip(values, degrees, strict=True))
    )
    return f"By client: {each}"


def _groups(
    n_clients: int, contaminated: np.ndarray | None, theme: ThemeName
) -> list[tuple[str, np.ndarray, str, str, str]]:
    if contaminated is None:
        style = role_style("observed", theme)
        return [("client", np.ones(n_clients, dtype=bool), style.color, "circle", "solid")]
    groups = []
    for name, role, chosen in (
        ("honest", "benign", ~contaminated),
        ("poisoned", "contaminated", contaminated),
    ):
        style = role_style(role, theme)
        if chosen.any():
            groups.append((name, chosen, style.color, style.symbol, style.dash))
    return groups
