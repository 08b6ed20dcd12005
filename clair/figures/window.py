"""The window for lambda and the certificate, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from clair.figures.base import Chart, marker, new_figure
from clair.figures.drawing import Figure
from clair.figures.palette import PAPERS, ThemeName, role_style, with_alpha
from clair.method.certificate import Certificate
from clair.method.linalg import hstack_blocks
from clair.method.solvers import Decomposition
from clair.sentences import count
from clair.theory.lam_path import LamPath

_FLOOR = 1e-8


def lam_window_chart(
    path: LamPath,
    windows: Mapping[str, tuple[float, float] | None],
    lams: Mapping[str, float],
    theme: ThemeName,
    height: int = 430,
) -> Chart:
    """Draw recovery error along lambda, and below it the measured and predicted intervals.

    Parameters
    ----------
    path : LamPath
    windows : mapping of str to (float, float) or None
        Predicted windows by name, the sharpest first; None for an empty one, infinite ends allowed.
    lams : mapping of str to float
        Single values to mark, by name.
    theme : {"light", "dark"}
    height : int
    """
    paper, found = PAPERS[theme], role_style("recovered", theme)
    left, right = path.points[0].lam / 1.05, path.points[-1].lam * 1.05
    figure = new_figure(theme, height, margin={"l": 8, "r": 12, "t": 34, "b": 8})
    sharp = next(iter(windows.values()))
    if sharp is not None:
        figure.add_vrect(
            x0=max(sharp[0], left),
            x1=min(sharp[1], right),
            fillcolor=with_alpha(found.color, 0.13),
            line_width=0,
            layer="below",
        )
    _add_errors(figure, path, theme)
    rows: list[tuple[str, tuple[float, float] | None, bool]] = [("measured", path.measured, True)]
    rows += [(name, window, False) for name, window in windows.items()]
    _bars(figure, rows, (left, right), theme)
    for name, value in lams.items():
        figure.add_vline(x=value, line={"color": paper.ink, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=np.log10(value), y=1.0, yref="paper", yanchor="bottom", text=name, showarrow=False
        )
    _set_axes(figure, (left, right), [name for name, _, _ in rows], theme)
    title = _window_title(path, sharp)
    caption = (
        "Above: how far the split is from the true one. Zero means exact; a square means that S "
        "holds exactly the poisoned clients. Too small a λ throws honest clients into S, too "
        "large a one leaves poison in L. Below: where recovery was exact, and where theory says "
        "it should be, from the clients drawn (sharp, two norms) or from γ, r and μ alone (worst "
        "case)."
    )
    return Chart(figure, title, caption, f"{title}.")


def _add_errors(figure: Figure, path: LamPath, theme: ThemeName) -> None:
    """Add the recovery error along lambda; the marks tell whether S holds the right clients."""
    lam = np.array([point.lam for point in path.points])
    error = np.maximum([point.error for point in path.points], _FLOOR)
    figure.add_scatter(
        x=lam,
        y=error,
        mode="lines",
        line={"color": PAPERS[theme].muted, "width": 1.2},
        hoverinfo="skip",
        showlegend=False,
    )
    right_set = np.array([point.right_set for point in path.points])
    for name, role, mask in (
        ("exactly the poisoned clients in S", "recovered", right_set),
        ("another set in S", "contaminated", ~right_set),
    ):
        figure.add_scatter(
            x=lam[mask],
            y=error[mask],
            mode="markers",
            name=name,
            marker=marker(role_style(role, theme), theme, 9),
            customdata=[int(point.flagged.sum()) for point in np.array(path.points)[mask]],
            hovertemplate="λ = %{x:.3f}<br>error %{y:.1e}<br>%{customdata} clients in S"
            "<extra></extra>",
        )


def _set_axes(
    figure: Figure, span: tuple[float, float], rows: Sequence[str], theme: ThemeName
) -> None:
    left, right = span
    figure.update_layout(
        xaxis={
            "type": "log",
            "range": [np.log10(left), np.log10(right)],
            "title": {"text": "λ, weight of the contamination"},
            "tickvals": _ticks(left, right),
            "ticktext": [f"{t:g}" for t in _ticks(left, right)],
            "anchor": "y2",
            "showgrid": False,
        },
        yaxis={
            "type": "log",
            "domain": [0.42, 1],
            "title": {"text": "recovery error"},
            "tickvals": [1e-8, 1e-6, 1e-4, 1e-2, 1],
            "ticktext": ["0", "10⁻⁶", "10⁻⁴", "0.01", "1"],
            "range": [-8.4, 0.3],
        },
        yaxis2={
            "domain": [0, 0.34],
            "tickvals": [-i for i in range(len(rows))],
            "ticktext": list(rows),
            "range": [0.6 - len(rows), 0.6],
            "showgrid": False,
            "tickfont": {"color": PAPERS[theme].ink},
        },
        legend={"y": 1.07},
    )


def _bars(
    figure: Figure,
    rows: list[tuple[str, tuple[float, float] | None, bool]],
    span: tuple[float, float],
    theme: ThemeName,
) -> None:
    """Draw horizontal intervals on the second y axis."""
    for at, (name, window, measured) in enumerate(rows):
        style = role_style("recovered" if measured else "truth", theme)
        if window is None or window[0] >= window[1]:
            figure.add_annotation(
                x=np.log10(span[0] * span[1]) / 2,
                y=-at,
                yref="y2",
                text="empty: no λ recovers exactly" if measured else "empty",
                showarrow=False,
                font={"color": PAPERS[theme].muted, "size": 12},
            )
            continue
        ends = [max(window[0], span[0]), min(window[1], span[1])]
        figure.add_scatter(
            x=ends,
            y=[-at, -at],
            yaxis="y2",
            mode="lines+markers",
            line={"color": style.color, "width": 5 if measured else 2},
            marker={"symbol": "line-ns", "size": 11, "line": {"color": style.color, "width": 2}},
            hovertemplate=f"{name}: {window[0]:.3f} to {_finite(window[1])}<extra></extra>",
            showlegend=False,
        )


def _window_title(path: LamPath, sharp: tuple[float, float] | None) -> str:
    measured = path.measured
    if measured is None and sharp is None:
        return "No λ recovers this problem exactly, as predicted"
    if measured is None:
        return "No λ recovers this problem exactly, although the noiseless window is open"
    words = f"Exact from λ = {measured[0]:.2f} to {_finite(measured[1])}"
    if sharp is None:
        return f"{words}, though none was predicted"
    return f"{words}; predicted {sharp[0]:.2f} to {_finite(sharp[1])}"


def _finite(value: float) -> str:
    return "any size" if np.isinf(value) else f"{value:.2f}"


def _ticks(left: float, right: float) -> list[float]:
    steps = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.2, 1.5, 2, 2.5, 3, 4, 6, 8]
    inside = [step for step in steps if left <= step <= right]
    return inside[:: max(1, round(len(inside) / 6))]


def dual_blocks(
    proof: Certificate, flagged: np.ndarray, contaminated: np.ndarray, theme: ThemeName
) -> Chart:
    """Draw the size of every client's block of the dual variable, relative to lambda."""
    figure = new_figure(theme, 320)
    figure.add_hline(y=1, line={"color": PAPERS[theme].ink, "width": 1.5, "dash": "dash"})
    ratios = proof.client_ratios
    for name, role, mask in (
        ("honest", "benign", ~contaminated),
        ("poisoned", "contaminated", contaminated),
    ):
        if not mask.any():
            continue
        style, clients = role_style(role, theme), np.flatnonzero(mask)
        stems_x = [x for k in clients for x in (k + 1, k + 1, None)]
        stems_y = [y for k in clients for y in (0, float(ratios[k]), None)]
        figure.add_scatter(
            x=stems_x,
            y=stems_y,
            mode="lines",
            line={"color": with_alpha(style.color, 0.45), "width": 2},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=clients + 1,
            y=ratios[mask],
            mode="markers",
            name=name,
            marker=marker(style, theme, 9),
            customdata=np.where(flagged[mask], "flagged", "kept"),
            hovertemplate="client %{x}, %{customdata}: %{y:.3f}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title_text="client", showgrid=False, range=[0.3, len(ratios) + 0.7])
    figure.update_yaxes(title_text="‖Q<sub>k</sub>‖ / λ", range=[0, 1.15])
    free = int((~flagged).sum())
    if free == 0:
        title = "Every client is flagged: nobody is left to bear witness"
    elif proof.dual_feasibility < 1 - 1e-4:
        title = f"All {free} clients that CLAIR keeps stay below the limit: at most {_short(proof)}"
    else:
        title = f"A client that CLAIR keeps reaches the limit ({_short(proof)})"
    caption = (
        "Think of Q as pressure: pushing a client's part from L into S costs λ and relieves "
        "pressure ‖Q<sub>k</sub>‖. Clients in S press exactly at the limit (dashed). If everybody "
        "else presses strictly less, moving them into S can only cost more."
    )
    return Chart(figure, title, caption.replace("<sub>k</sub>", "ₖ"), f"{title}.")


def _short(proof: Certificate) -> str:
    return f"{proof.dual_feasibility:.2f}"


def _spectral_marker(role: str, theme: ThemeName, *, hollow: bool) -> dict[str, object]:
    style = role_style(role, theme)
    symbol = "circle-open" if hollow and role == "recovered" else style.symbol
    return marker(replace(style, symbol=symbol), theme, 9)


def dual_spectrum(split: Decomposition, proof: Certificate, rank: int, theme: ThemeName) -> Chart:
    """Draw the singular values of Q: one for U V', below one for W if the proof holds."""
    assert split.dual is not None
    matrix = hstack_blocks(split.dual[0])
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(matrix @ matrix.T)[::-1], 0.0))
    shown = min(len(values), max(16, rank + 4))
    index = np.arange(1, shown + 1)
    fine = proof.spectral_norm < 1 - 1e-4
    figure = new_figure(theme, 320)
    figure.add_hline(y=1, line={"color": PAPERS[theme].ink, "width": 1.5, "dash": "dash"})
    shared, rest = index <= rank, index > rank
    for name, role, mask in (
        ("directions of L (UVᵀ)", "recovered", shared),
        ("everything else (W)", "recovered" if fine else "contaminated", rest),
    ):
        if mask.any():
            figure.add_scatter(
                x=index[mask],
                y=values[:shown][mask],
                mode="markers",
                name=name,
                marker=_spectral_marker(role, theme, hollow=name.startswith("every")),
                hovertemplate="singular value %{x}: %{y:.3f}<extra></extra>",
            )
    figure.update_xaxes(
        title_text="singular value of Q, in order", showgrid=False, range=[0.3, shown + 0.7]
    )
    figure.update_yaxes(title_text="size", range=[0, 1.15])
    kept = count(rank, "direction")
    title = f"L keeps {kept}; the next singular value of Q is {proof.spectral_norm:.2f}"
    if rank == 0:
        title = "L is zero: no direction is kept"
    caption = (
        "A direction belongs to L where Q's singular value is exactly one. If the largest of the "
        "others, ‖W‖₂, is strictly below one, no further direction could pay its way into L."
    )
    return Chart(figure, title, caption, f"{title}.")
