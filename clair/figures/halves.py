"""How much of its own each client keeps along each direction, estimated from two half updates."""

from __future__ import annotations

import numpy as np

from clair.figures.base import Chart, marker, new_figure
from clair.figures.palette import PAPERS, ThemeName, method_style, role_style, with_alpha
from clair.simulation.scenario import ScenarioResult


def direction_weights(result: ScenarioResult, theme: ThemeName, height: int = 360) -> Chart:
    """Draw the weights by direction, beside those that the truth would ask for.

    Parameters
    ----------
    result : ScenarioResult
        Of a scenario with pooling "halves".
    theme : {"light", "dark"}
    height : int
        Pixels.

    Raises
    ------
    ValueError
        If the clients sent no halves.
    """
    found, rank = result.fit.direction_weights, result.fit.rank
    if found is None:
        raise ValueError('weights by direction need pooling "halves"')
    n, best = len(found.weights), best_weights(result)
    at, own = np.arange(1, n + 1), method_style("clair_halves", theme)
    figure, paper = new_figure(theme, height, barmode="stack", bargap=0.15), PAPERS[theme]
    figure.add_vrect(
        0.5,
        rank + 0.5,
        fillcolor=with_alpha(role_style("recovered", theme).color, 0.14),
        line={"width": 0},
        layer="below",
    )
    figure.add_bar(
        x=at,
        y=found.weights,
        name="kept of the client's own",
        marker={"color": own.color},
        customdata=np.column_stack([found.between, found.noise]),
        hovertemplate="direction %{x}: %{y:.0%} kept<br>between clients %{customdata[0]:.3g}, "
        "of it error %{customdata[1]:.3g}<extra></extra>",
    )
    figure.add_bar(
        x=at,
        y=1 - found.weights,
        name="taken from the mean",
        marker={"color": with_alpha(paper.muted, 0.35)},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=at,
        y=best,
        mode="markers",
        name="best, by the truth",
        marker=marker(role_style("truth", theme), theme, 7),
        hovertemplate="direction %{x}: best %{y:.0%}<extra></extra>",
    )
    figure.update_xaxes(title_text="direction (shaded: the subspace)", showgrid=False)
    figure.update_xaxes(range=[0.4, n + 0.6])
    figure.update_yaxes(title_text="share of an update", range=[0, 1.04], tickformat=".0%")
    title = _title(found.weights, rank)
    caption = (
        "Along each direction a client's difference from the mean is partly real and partly "
        "estimation error. The distance between its two halves, trained on half of its data each, "
        "shows the error; what is left of the difference is kept."
    )
    return Chart(figure, title, caption, f"{title}.")


def best_weights(result: ScenarioResult) -> np.ndarray:
    """Compute the weight of least error along each direction, shape (n,); it needs the truth."""
    fitted, problem = result.fit, result.problem
    sent, wanted = problem.updates, problem.true_updates
    if result.scenario.side == "input":
        sent, wanted = sent.transpose(0, 2, 1), wanted.transpose(0, 2, 1)
    mean = np.average(sent, axis=0, weights=np.maximum(fitted.influence, 1e-300))
    honest = fitted.benign & ~problem.contaminated
    turn = fitted.direction_weights.directions.T
    own, true = turn @ (sent - mean)[honest], turn @ (wanted - mean)[honest]
    energy = np.sum(own**2, axis=(0, 2))
    best: np.ndarray = np.clip(
        np.sum(own * true, axis=(0, 2)) / np.maximum(energy, np.finfo(float).tiny), 0, 1
    )
    return best


def _title(weights: np.ndarray, rank: int) -> str:
    inside = f"Clients keep {weights[:rank].mean():.0%} of their own inside the subspace"
    if rank == len(weights):
        return inside
    return f"{inside} and {weights[rank:].mean():.0%} outside it"
