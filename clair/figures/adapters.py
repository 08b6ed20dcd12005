"""An audit of adapters as charts: who stands out, where, and what each module shares."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from clair.adapters.result import FLAGGED, KEPT, SUSPECT, Audit
from clair.figures.base import Chart, marker, new_figure
from clair.figures.drawing import Figure
from clair.figures.palette import PAPERS, Style, ThemeName, role_style, with_alpha

#: Verdicts in the order in which they are drawn, with their role in the palette.
ROLES = ((KEPT, "benign"), (SUSPECT, "suspect"), (FLAGGED, "contaminated"))
CEILING = 1000.0
_LONGEST = 28


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else "…" + name[-(_LONGEST - 1) :]


def label(name: str) -> str:
    """Shorten a name for a chart, with nothing that Plotly would read as markup."""
    return html.escape(_short(name), quote=False)


def _unique_labels(names: list[str]) -> list[str]:
    """Keep the labels of distinct names distinct: equal labels would share a row of a chart."""
    labels = [label(name) for name in names]
    return [
        text if labels.count(text) == 1 else f"{text} ({i + 1})" for i, text in enumerate(labels)
    ]


def client_scores(audit: Audit, theme: ThemeName) -> Chart:
    """Draw the suspicion of every judged client, largest on top, and the line."""
    clients = sorted(audit.judged_clients, key=lambda client: client.score)
    labels = _unique_labels([client.name for client in clients])
    scores = np.array([client.score for client in clients])
    degrees = np.array([client.verdict for client in clients])
    figure = new_figure(theme, 110 + 24 * len(clients))
    if np.isfinite(audit.threshold):
        line = role_style("threshold", theme)
        top = float(scores.max()) * 1.1
        figure.add_vrect(
            x0=audit.threshold,
            x1=max(top, audit.threshold),
            fillcolor=with_alpha(role_style("contaminated", theme).color, 0.07),
            line_width=0,
            layer="below",
        )
        figure.add_vline(
            x=audit.threshold, line={"color": line.color, "width": 1.5, "dash": line.dash}
        )
    for name, role in ROLES:
        style, at = role_style(role, theme), np.flatnonzero(degrees == name)
        if not len(at):
            continue
        x = np.repeat(scores[at], 3).astype(object)
        y = np.repeat(np.array(labels, dtype=object)[at], 3)
        x[0::3], x[2::3] = 0.0, None
        figure.add_scatter(
            x=x.tolist(),
            y=y.tolist(),
            mode="lines",
            line={"color": with_alpha(style.color, 0.6), "width": 2, "dash": style.dash},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=scores[at],
            y=[labels[k] for k in at],
            mode="markers",
            name=name,
            marker=marker(Style(style.color, style.symbol), theme, 10),
            hovertemplate="%{y}: %{x:.3f}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title_text="residual score", rangemode="tozero")
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=labels, showgrid=False, ticks=""
    )
    n, doubt = len(audit.named(FLAGGED)), len(audit.named(SUSPECT))
    title = f"{n} of {len(clients)} adapters flagged" if n else "Nobody is flagged"
    title += f", {doubt} suspect" if doubt else ""
    caption = (
        "How much of a client's update lies outside the directions that the *other* clients share, "
        "over all modules and measured against a typical update. The line, if there is one, lies "
        "in a gap that is wide for how far the scores below it spread. Below each gap found the "
        "search goes on; the line lies in the last."
    )
    words = ", ".join(f"{c.name} {c.score:.2f} {c.verdict}" for c in reversed(clients))
    return Chart(figure, title, caption, f"By client: {words}")


def deviation_map(audit: Audit, theme: ThemeName) -> Chart:
    """Draw how far each client is off what the others share, in every module."""
    clients = list(audit.judged_clients)
    order = sorted(range(len(clients)), key=lambda k: (clients[k].score, k))
    values = np.array([module.deviation for module in audit.modules]).T[order]
    names = [module.name for module in audit.modules]
    figure = new_figure(theme, 150 + 20 * len(clients))
    figure.add_heatmap(
        **_heat(
            values,
            x=list(range(1, len(names) + 1)),
            y=_unique_labels([clients[k].name for k in order]),
            theme=theme,
            text=[[html.escape(name) for name in names]] * len(order),
            hover="%{y}<br>%{text}: %{customdata:.1f} times typical<extra></extra>",
        )
    )
    _module_axis(figure, len(names))
    figure.update_yaxes(type="category", showgrid=False, ticks="")
    flagged = [k for k, client in enumerate(clients) if client.verdict == FLAGGED]
    title = "All clients deviate about alike in every module"
    if flagged:
        rows = np.array([module.deviation[flagged] for module in audit.modules])
        share = float(np.nanmean(rows > 2))
        title = (
            f"Flagged clients deviate over twice as much as usual in {share:.0%} of their modules"
        )
    caption = (
        "Each cell: what the other clients' directions leave unexplained of this client's update "
        "of one module, relative to a typical kept client (1 is usual; colour is logarithmic). "
        "Empty cells: the client does not change that module."
    )
    return Chart(figure, title, caption, f"{title}.")


def _module_axis(figure: Figure, n: int) -> None:
    figure.update_xaxes(
        title_text="module, in the order of the model",
        showgrid=False,
        tickmode="linear",
        tick0=1,
        dtick=max(1, round(n / 12)),
        range=[0.5, n + 0.5],
    )


def layer_map(audit: Audit, client: int, theme: ThemeName) -> Chart:
    """Draw one client's deviation by layer and kind of module.

    Parameters
    ----------
    audit : Audit
    client : int
        Position among the judged clients.
    theme : {"light", "dark"}
    """
    report = audit.judged_clients[client]
    grid, layers, kinds = layer_grid(audit, client)
    figure = new_figure(theme, max(220, 130 + 16 * len(layers)))
    figure.add_heatmap(
        **_heat(
            grid,
            x=_unique_labels(kinds),
            y=layers,
            theme=theme,
            text=None,
            hover="layer %{y}, %{x}: %{customdata:.1f} times typical<extra></extra>",
        )
    )
    figure.update_xaxes(type="category", showgrid=False, tickangle=0 if len(kinds) < 5 else -30)
    figure.update_yaxes(type="category", title_text="layer", showgrid=False, autorange="reversed")
    where, times = report.where[0] if report.where else ("no module", 0.0)
    title = (
        f"{_short(report.name)} deviates most in {_short(where)}: "
        f"{min(times, CEILING):.1f} times a typical kept client"
    )
    caption = "Where a client was changed: rows are layers, columns the adapted modules of a layer."
    return Chart(figure, title, caption, f"{title}.")


def layer_grid(audit: Audit, client: int) -> tuple[np.ndarray, list[str], list[str]]:
    """Arrange one client's deviation by layer and kind, NaN where there is no such module.

    Returns the grid (layers, kinds) and the names of its rows and columns.
    """
    numbers = sorted({m.layer for m in audit.modules if m.layer is not None})
    layers = [str(n) for n in numbers]
    if any(m.layer is None for m in audit.modules):
        layers.append("–")
    kinds = list(dict.fromkeys(m.kind for m in audit.modules))
    grid = np.full((len(layers), len(kinds)), np.nan)
    for module in audit.modules:
        row = layers.index("–" if module.layer is None else str(module.layer))
        grid[row, kinds.index(module.kind)] = module.deviation[client]
    return grid, layers, kinds


def _heat(
    values: np.ndarray,
    *,
    x: list[int] | list[str],
    y: list[str],
    theme: ThemeName,
    text: list[list[str]] | None,
    hover: str,
) -> dict[str, Any]:
    paper, style = PAPERS[theme], role_style("contaminated", theme)
    shown = np.log10(np.clip(values, 0.1, CEILING))
    top = max(1.0, float(np.nanmax(shown, initial=0.0)))
    ticks = [t for t in (-0.30103, 0.0, 0.30103, 0.69897, 1.0, 2.0, 3.0) if t <= top + 1e-9]
    return {
        "z": shown.astype(np.float32),
        "x": x,
        "y": y,
        "text": text,
        "customdata": np.minimum(values, CEILING).astype(np.float32),
        "hovertemplate": hover,
        "hoverongaps": False,
        "zmin": -0.30103,
        "zmax": top,
        "colorscale": [[0.0, paper.surface], [0.3 / (top + 0.3), paper.grid], [1.0, style.color]],
        "colorbar": {
            "title": {"text": "× typical", "side": "right", "font": {"color": paper.ink}},
            "tickvals": ticks,
            "ticktext": [f"{10**t:.2g}" for t in ticks],
            "tickfont": {"color": paper.muted},
            "thickness": 12,
            "outlinewidth": 0,
        },
        "xgap": 1,
        "ygap": 1,
    }


def shared_energy(audit: Audit, theme: ThemeName) -> Chart:
    """Draw what share of a kept client's update the others share, by module, on both sides."""
    figure = new_figure(theme, 300)
    x = list(range(1, len(audit.modules) + 1))
    for key, role, words in (
        ("output", "recovered", "output side (columns, LoRA's B)"),
        ("input", "observed", "input side (rows, LoRA's A)"),
    ):
        style = role_style(role, theme)
        figure.add_scatter(
            x=x,
            y=[module.shared_energy[key] for module in audit.modules],
            mode="lines+markers",
            name=words,
            line={"color": style.color, "dash": style.dash, "width": 1.3},
            marker=marker(style, theme, 6),
            text=[html.escape(module.name) for module in audit.modules],
            customdata=[module.suggested_rank[key] for module in audit.modules],
            hovertemplate="%{text}: %{y:.0%} shared, rank %{customdata} suggested<extra></extra>",
        )
    figure.update_yaxes(title_text="shared energy", tickformat=".0%", range=[0, 1.04])
    _module_axis(figure, len(x))
    values = {key: side.shared_energy for key, side in audit.sides.items()}
    more = max(values, key=values.__getitem__)
    other = min(values, key=values.__getitem__)
    title = (
        f"The {more} side is shared more: {values[more]:.0%} of a kept update against "
        f"{values[other]:.0%}"
    )
    if values[more] - values[other] < 0.015:
        title = f"Both sides are shared alike: {values[more]:.0%} of a kept update"
    caption = (
        "Share of a kept client's update that lies in the directions of the *other* kept clients, "
        "module by module. Hover for the rank each module suggests."
    )
    return Chart(figure, title, caption, f"{title}.")


def sides_compared(audit: Audit, theme: ThemeName) -> Chart:
    """Draw the score of every client on both sides."""
    clients = audit.judged_clients
    degrees = np.array([client.verdict for client in clients])
    x, y = audit.sides["output"].scores, audit.sides["input"].scores
    labels = np.array([label(client.name) for client in clients])
    figure = new_figure(theme, 320)
    line = role_style("threshold", theme)
    look = {"color": line.color, "width": 1.2, "dash": line.dash}
    if np.isfinite(audit.sides["output"].threshold):
        figure.add_vline(x=audit.sides["output"].threshold, line=look)
    if np.isfinite(audit.sides["input"].threshold):
        figure.add_hline(y=audit.sides["input"].threshold, line=look)
    for name, role in ROLES:
        chosen = degrees == name
        if chosen.any():
            figure.add_scatter(
                x=x[chosen],
                y=y[chosen],
                mode="markers",
                name=name,
                marker=marker(role_style(role, theme), theme, 10),
                text=labels[chosen],
                hovertemplate="%{text}: output %{x:.2f}, input %{y:.2f}<extra></extra>",
            )
    figure.update_xaxes(title_text="score on the output side", rangemode="tozero")
    figure.update_yaxes(title_text="score on the input side", rangemode="tozero")
    same = audit.sides["output"].flagged.tolist() == audit.sides["input"].flagged.tolist()
    n = {key: int(side.flagged.sum()) for key, side in audit.sides.items()}
    title = (
        "Both sides come to the same verdict"
        if same
        else f"The output side would flag {n['output']}, the input side {n['input']}"
    )
    caption = (
        f"Dashed: the line each side draws, where it draws one. The {audit.side} side decides."
    )
    return Chart(figure, title, caption, f"{title}.")
