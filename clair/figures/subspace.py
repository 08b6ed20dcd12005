"""The recovered subspace: spectrum, angles to the truth, and the clients relative to it."""

from __future__ import annotations

import numpy as np

from clair.figures.base import Chart, band, level, marker, new_figure
from clair.figures.palette import PAPERS, ThemeName, role_style, with_alpha
from clair.sentences import ROUNDING, amount
from clair.simulation.scenario import ScenarioResult

_SHOWN = 16
_APART = 1.15  # a height this many times larger looks as if it stands apart


def scree(result: ScenarioResult, theme: ThemeName, height: int = 300) -> Chart:
    """Draw the singular values of everything received (M) and of its shared part (L)."""
    stacked = _singular_values(result.problem.updates)
    shared = _singular_values(result.fit.low_rank)
    rank, n = result.fit.rank, min(_SHOWN, len(stacked))
    figure = new_figure(theme, height)
    shade = band(0, 1, with_alpha(role_style("recovered", theme).color, 0.1))
    figure.add_shape(shade | {"xref": "x", "yref": "y domain", "x0": 0.5, "x1": rank + 0.5})
    for name, values, role in (
        ("M, all that was received", stacked, "observed"),
        ("L, the shared part", shared, "recovered"),
    ):
        style = role_style(role, theme)
        figure.add_scatter(
            x=np.arange(1, n + 1),
            y=values[:n],
            mode="lines+markers",
            name=name,
            line={"color": style.color, "dash": style.dash, "width": 1.5},
            marker=marker(style, theme, 8),
            hovertemplate="direction %{x}: %{y:.3g}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title_text="direction")
    figure.update_yaxes(title_text="singular value")
    figure.update_xaxes(dtick=1 if n <= 10 else 2, range=[0.5, n + 0.5], showgrid=False)
    figure.update_yaxes(rangemode="tozero")
    left = float(np.sum(shared[rank:] ** 2) / max(np.sum(shared**2), 1e-300))
    if shared[0] < 1e-9 * max(stacked[0], 1e-300):
        title = "Nothing is left in L: the solver put everything into S"
    else:
        first = f"first {rank} directions of L hold" if rank > 1 else "first direction of L holds"
        title = f"The {first} {_percent(1 - left)} of its energy"
    caption = (
        "A singular value says how much the clients' updates reach into one direction. Noise "
        "reaches into all, and attacks into some of their own, so M may go on where L should end: "
        f"after the rank CLAIR uses ({rank}, shaded)."
    )
    return Chart(figure, title, caption, f"{title}. M's values fall from {amount(stacked[0])}.")


def angles(result: ScenarioResult, theme: ThemeName, height: int = 300) -> Chart:
    """Draw the principal angles between recovered and true subspace, in degrees.

    Raises
    ------
    ValueError
        If the result has no angles (``side="input"``).
    """
    if result.angles is None:
        raise ValueError("angles need a true subspace: side must be 'output', got 'input'")
    found, style = result.angles, role_style("recovered", theme)
    figure = new_figure(theme, height)
    figure.add_bar(
        x=np.arange(1, len(found) + 1),
        y=found,
        width=0.5,
        marker={"color": style.color},
        text=[f"{amount(v)}°" for v in found],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="angle %{x}: %{y:.2f}°<extra></extra>",
    )
    top = max(float(found.max()) * 1.25, 5.0)
    figure.update_xaxes(title_text="principal angle, in order")
    figure.update_yaxes(title_text="degrees (°)")
    figure.update_xaxes(dtick=1, range=[0.4, len(found) + 0.6], showgrid=False)
    figure.update_yaxes(range=[0, min(top, 100.0)])
    worst, true_rank = float(found[-1]), result.problem.spec.rank
    title = f"Every shared direction is found to within {amount(worst)}°"
    if result.fit.rank < true_rank:
        title = f"CLAIR uses rank {result.fit.rank}; {true_rank} directions are shared in truth"
    elif worst > 45:
        title = f"At least one shared direction is lost: {amount(worst)}° from the truth"
    elif worst > 15:
        title = f"The shared directions are found only roughly: up to {amount(worst)}° off"
    caption = (
        "Principal angles compare two subspaces direction by direction: 0° is the same direction, "
        "90° a wholly different one. Here: recovered against true."
    )
    if result.fit.rank != true_rank:
        caption += " With unequal ranks the smaller space is compared with its best match."
    return Chart(figure, title, caption, f"{title}. Angles: {', '.join(map(amount, found))}.")


def plane(result: ScenarioResult, theme: ThemeName, height: int = 380) -> Chart:
    """Draw every client by how far its update runs along the subspace and how far off it.

    Filled marks are relative to the recovered subspace, hollow marks are the same client relative
    to the true one. The sign tells whether a client points with the kept majority.
    """
    recovered = client_plane(result)
    true = client_plane(result, true=True) if result.scenario.side == "output" else None
    contaminated = result.problem.contaminated
    figure = new_figure(theme, height)
    figure.update_layout(
        shapes=[level(0, color=role_style("recovered", theme).color, width=3)],
        xaxis={"zeroline": True, "zerolinecolor": PAPERS[theme].grid},
    )
    if true is not None:
        figure.add_scatter(
            x=_pairs(recovered[:, 0], true[:, 0]),
            y=_pairs(recovered[:, 1], true[:, 1]),
            mode="lines",
            line={"color": PAPERS[theme].muted, "width": 1},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=true[:, 0],
            y=true[:, 1],
            mode="markers",
            name="relative to the true subspace",
            marker={"symbol": "circle-open", "size": 12, "color": PAPERS[theme].muted},
            hoverinfo="skip",
        )
    for name, role, mask in (
        ("honest", "benign", ~contaminated),
        ("poisoned", "contaminated", contaminated),
    ):
        style, clients = role_style(role, theme), np.flatnonzero(mask)
        figure.add_scatter(
            x=recovered[mask, 0],
            y=recovered[mask, 1],
            mode="markers",
            name=name,
            marker=marker(style, theme, 9),
            customdata=clients + 1,
            hovertemplate="client %{customdata}<br>along %{x:.2f}, off %{y:.2f}"
            f"<extra>{name}</extra>",
        )
    reach = 1.1 * float(np.abs(recovered[:, 0]).max())
    low = 1.15 * min(0.0, float(recovered[:, 0].min()))
    figure.update_xaxes(title_text="along the subspace (left: against the others)")
    figure.update_yaxes(title_text="off the subspace")
    figure.update_xaxes(range=[low if low < 0 else -0.06 * reach, reach], showgrid=False)
    figure.update_yaxes(range=[-0.05 * _top(recovered), 1.12 * _top(recovered)])
    title = _plane_title(recovered, result)
    caption = (
        "The green line is the recovered subspace seen from its edge. Noise, and what a client "
        "has of its own, lifts an update off it; the place along it is each client's own affair. "
        "An attack that stays on the line cannot be seen by its height, whatever the method."
    )
    if result.scenario.side == "input":
        caption += " CLAIR was told to look at the input side, where these clients share nothing."
    return Chart(figure, title, caption, f"{title}.")


def client_plane(result: ScenarioResult, *, true: bool = False) -> np.ndarray:
    """Compute signed size inside and size outside the subspace, shape (n_clients, 2)."""
    blocks, kept = result.problem.updates, result.fit.benign
    if result.scenario.side == "input":
        blocks = blocks.transpose(0, 2, 1)
    basis = result.problem.subspace if true else result.fit.subspace
    inside = basis.T @ blocks
    outside = blocks - basis @ inside
    centre = inside[kept].mean(axis=0) if kept.any() else inside.mean(axis=0)
    sign = np.where(np.einsum("kij,ij->k", inside, centre) < 0, -1.0, 1.0)
    return np.column_stack([sign * _norms(inside), _norms(outside)])


def _plane_title(points: np.ndarray, result: ScenarioResult) -> str:
    truth = result.problem.contaminated
    # with enough noise, an honest update has more off the subspace than along it
    drowned = bool(np.median(points[~truth, 1]) > np.median(np.abs(points[~truth, 0])))
    if not truth.any():
        if drowned:
            return "All clients are honest, and noise lifts every one of them off the subspace"
        return "All clients are honest: they differ along the subspace, not off it"
    rounding = ROUNDING * max(float(np.abs(points).max()), 1e-300)
    gap = max(points[truth, 1].min(), rounding) / max(points[~truth, 1].max(), rounding)
    if gap > 100:
        return "Every attacker is far off the subspace, every honest client on it"
    if gap >= _APART:
        return f"Even the mildest attacker is {gap:.1f}× as far off as the farthest honest client"
    if points[truth, 1].max() <= _APART * max(points[~truth, 1].max(), rounding):
        if drowned:
            return "Noise lifts everybody off the subspace: the attackers' height says nothing"
        return "The attackers lie on the subspace like honest clients: their height says nothing"
    return "Some attackers are no farther off the subspace than honest clients"


def _singular_values(blocks: np.ndarray) -> np.ndarray:
    gram = np.einsum("kij,klj->il", blocks, blocks)
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))


def _norms(blocks: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("kij,kij->k", blocks, blocks))


def _top(points: np.ndarray) -> float:
    """Choose the height of the chart's contents; heights of rounding size stay on the line."""
    return max(float(points[:, 1].max()), 1e-3 * float(np.abs(points[:, 0]).max()), 1e-12)


def _pairs(first: np.ndarray, second: np.ndarray) -> list[float | None]:
    path: list[float | None] = []
    for a, b in zip(first, second, strict=True):
        path += [float(a), float(b), None]
    return path


def _percent(share: float) -> str:
    return "all" if share > 0.9995 else f"{100 * share:.1f} %"
