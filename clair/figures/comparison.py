"""One panel for every task: how the benign clients fare under each method, client by client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from clair.figures.frame import framed
from clair.palette import METHOD_ORDER, PAPERS, ThemeName, method_style, with_alpha

#: Names of the methods as a reader meets them.
METHOD_NAMES: dict[str, str] = {
    "base": "Base model, untrained",
    "local": "Each client alone",
    "fedavg": "FedAvg (plain average)",
    "fedavg_finetuned": "FedAvg, then fine-tuned alone",
    "median": "Median",
    "trimmed_mean": "Trimmed mean",
    "geometric_median": "Geometric median",
    "krum": "Krum",
    "multi_krum": "Multi-Krum",
    "pca": "PCA subspace",
    "clair": "CLAIR",
    "clair_eb": "CLAIR with pooling",
    "fedavg_benign": "FedAvg of the honest",
    "clair_oracle": "CLAIR told who is poisoned",
}
ORACLES: frozenset[str] = frozenset({"fedavg_benign", "clair_oracle"})
_ROW = 31  # pixels of a method


@dataclass(frozen=True)
class Measure:
    """What is compared.

    Attributes
    ----------
    title : str
        Axis title.
    share : bool
        Whether values are shares in [0, 1], shown in percent.
    """

    title: str
    share: bool = True

    def text(self, value: float) -> str:
        """A value as it is written beside its row."""
        return f"{value:.0%}" if self.share else f"{value:.3g}"


def method_comparison(
    values: Mapping[str, np.ndarray], measure: Measure, theme: ThemeName
) -> go.Figure:
    """A row a method: a dot a benign client, the mean as a bar across, oracles apart.

    Parameters
    ----------
    values : mapping of method to ndarray of shape (n_benign,)
        One value for each truly benign client.
    measure : Measure
        What the values are.
    theme : {"light", "dark"}
        Which paper.

    Raises
    ------
    ValueError
        If there is no method.
    """
    if not values:
        raise ValueError("values must hold at least one method, got none")
    rows = [key for key in METHOD_ORDER if key in values and key not in ORACLES]
    rows += [key for key in METHOD_ORDER if key in values and key in ORACLES]
    paper = PAPERS[theme]
    figure = go.Figure()
    everything = np.concatenate([np.asarray(values[key], dtype=float) for key in rows])
    low, high = (0.0, 1.0) if measure.share else (0.0, float(everything.max()) * 1.04)
    number = ":.0%" if measure.share else ":.3g"
    for row, key in enumerate(rows):
        at = -row
        points = np.asarray(values[key], dtype=float)
        style = method_style(key, theme)
        mean = float(points.mean())
        own = key in ("clair", "clair_eb")
        if own:
            figure.add_hrect(
                y0=at - 0.5, y1=at + 0.5, fillcolor=with_alpha(style.color, 0.08), line_width=0
            )
        figure.add_scatter(
            x=points,
            y=at + _spread(points, high - low),
            mode="markers",
            name=METHOD_NAMES.get(key, key),
            marker={
                "symbol": "circle" if key not in ORACLES else "circle-open",
                "size": 7,
                "color": with_alpha(style.color, 0.55),
                "line": {"color": style.color, "width": 1 if key in ORACLES else 0},
            },
            hovertemplate=f"{METHOD_NAMES.get(key, key)}: %{{x{number}}}"
            "<extra>one honest client</extra>",
            showlegend=False,
        )
        figure.add_scatter(
            x=[mean, mean],
            y=[at - 0.36, at + 0.36],
            mode="lines",
            line={
                "color": style.color,
                "width": 3.5,
                "dash": "dot" if key in ORACLES else "solid",
            },
            hovertemplate=f"mean {measure.text(mean)} ± "
            f"{measure.text(float(points.std(ddof=1)) if points.size > 1 else 0.0)}<extra></extra>",
            showlegend=False,
        )
        figure.add_annotation(
            x=1.0,
            xref="paper",
            xanchor="left",
            xshift=8,
            y=at,
            text=f"<b>{measure.text(mean)}</b>" if own else measure.text(mean),
            showarrow=False,
            font={"size": 13, "color": style.color if own else paper.ink},
        )
    first_oracle = next((i for i, key in enumerate(rows) if key in ORACLES), None)
    if first_oracle:
        figure.add_hline(
            y=0.5 - first_oracle, line={"color": paper.muted, "width": 1, "dash": "dash"}
        )
    framed(
        figure,
        theme,
        height=_ROW * len(rows) + 64,
        x_title=measure.title,
        margin={"l": 8, "r": 52, "t": 8, "b": 8},
        hovermode="closest",
    )
    figure.update_yaxes(
        tickvals=[-i for i in range(len(rows))],
        ticktext=[_label(key) for key in rows],
        range=[-len(rows) + 0.45, 0.55],
        showgrid=False,
        tickfont={"color": paper.ink, "size": 13},
    )
    figure.update_xaxes(
        range=[low - 0.015 * (high - low), high + 0.015 * (high - low)],
        tickformat=".0%" if measure.share else "~g",
    )
    return figure


def _label(key: str) -> str:
    name = METHOD_NAMES.get(key, key)
    if key in ("clair", "clair_eb"):
        return f"<b>{name}</b>"
    return f"<i>{name} (oracle)</i>" if key in ORACLES else name


def _spread(points: np.ndarray, width: float) -> np.ndarray:
    """Move dots that would hide each other up and down, the same way every time."""
    shifts = np.zeros(points.size)
    placed: list[tuple[float, float]] = []
    for i in np.argsort(points, kind="stable"):
        for step in range(2 * points.size + 1):
            shift = 0.13 * ((step + 1) // 2) * (1 if step % 2 else -1)
            free = all(
                abs(points[i] - x) > 0.012 * width or abs(shift - y) > 0.1 for x, y in placed
            )
            if free or abs(shift) > 0.36:
                break
        shifts[i] = np.clip(shift, -0.36, 0.36)
        placed.append((float(points[i]), float(shifts[i])))
    return shifts
