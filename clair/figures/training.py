"""Loss curves of clients that are being trained, with or without telling who is poisoned."""

from __future__ import annotations

import numpy as np

from clair.figures.base import Chart, new_figure
from clair.figures.drawing import Figure
from clair.figures.palette import PAPERS, ThemeName, role_style

MAX_POINTS = 60  # of a curve: it is sent twice a second, so it should stay small
LABELLED_CLIENTS = 16  # more end labels than this cannot be told apart
_LABEL_GAP = 0.05  # share of the height that stays free between two end labels
_LEADER = 0.05  # share of the time axis from a curve's end to its label

CAPTION = (
    "The loss says how badly a client's own model fits the client's own training data: lower is "
    "better."
)


def loss_curves(
    losses: np.ndarray,
    theme: ThemeName,
    *,
    total_steps: int,
    steps: np.ndarray | None = None,
    contaminated: np.ndarray | None = None,
    height: int = 330,
) -> Chart:
    """Draw the training loss of every client against the step, on a logarithmic axis.

    Parameters
    ----------
    losses : ndarray of shape (n_reports, n_clients)
        Positive losses.
    theme : {"light", "dark"}
        Which paper.
    total_steps : int
        Where the time axis ends, so that a running chart shows what is still to come.
    steps : ndarray of shape (n_reports,), optional
        Step of each row; 1, 2, ... by default.
    contaminated : ndarray of shape (n_clients,) of bool, optional
        The truth. Without it all curves look alike and only their numbers tell them apart.

    Raises
    ------
    ValueError
        If `losses` has not two dimensions or `steps` does not match it.
    """
    losses = np.asarray(losses, dtype=float)
    if losses.ndim != 2:
        raise ValueError(f"losses must have shape (n_reports, n_clients), got {losses.shape}")
    steps = np.arange(1, len(losses) + 1) if steps is None else np.asarray(steps)
    if steps.shape != (len(losses),):
        raise ValueError(f"steps must have shape ({len(losses)},), got {steps.shape}")
    if len(losses) > MAX_POINTS:
        kept = np.unique(np.linspace(0, len(losses) - 1, MAX_POINTS).round().astype(int))
        losses, steps = losses[kept], steps[kept]
    losses = np.maximum(losses, 1e-6)

    figure = new_figure(theme, height, margin={"t": 12 if contaminated is None else 36})
    for name, clients, color, dash in _groups(losses.shape[1], contaminated, theme):
        # one trace a group: curves are separated by gaps, which is far cheaper than a trace each
        x, y, who = [], [], []
        for k in clients:
            x += [*steps.tolist(), None]
            y += [*losses[:, k].tolist(), None]
            who += [int(k) + 1] * (len(steps) + 1)
        figure.add_scatter(
            x=x,
            y=y,
            customdata=who,
            name=name,
            mode="lines",
            line={"color": color, "width": 1.7, "dash": dash},
            opacity=0.9,
            hovertemplate="client %{customdata}, step %{x}: loss %{y:.3f}<extra></extra>",
            showlegend=contaminated is not None,
        )
    low, high = float(losses.min()) / 1.25, float(losses.max()) * 1.25
    labelled = losses.shape[1] <= LABELLED_CLIENTS
    if labelled:
        ends = (float(steps[-1]), float(steps[-1]) + _LEADER * total_steps)
        _label_ends(figure, losses[-1], ends, (low, high), theme, contaminated)
    figure.update_xaxes(
        title_text="training step", range=[0, total_steps * (1.05 + _LEADER * labelled)]
    )
    figure.update_yaxes(
        title_text="training loss (log scale)",
        type="log",
        range=[np.log10(low), np.log10(high)],
        tickvals=_ticks(low, high),
        tickformat="~g",
    )
    caption = f"One curve a client{', its number at the end' * labelled}. {CAPTION}"
    return Chart(figure, _title(losses, contaminated), caption, _words(losses, steps))


def _groups(
    n_clients: int, contaminated: np.ndarray | None, theme: ThemeName
) -> list[tuple[str, np.ndarray, str, str]]:
    if contaminated is None:
        return [("client", np.arange(n_clients), PAPERS[theme].muted, "solid")]
    groups = []
    for name, role, chosen in (
        ("honest", "benign", ~contaminated),
        ("poisoned", "contaminated", contaminated),
    ):
        style = role_style(role, theme)
        if chosen.any():
            groups.append((name, np.flatnonzero(chosen), style.color, style.dash))
    return groups


def _label_ends(
    figure: Figure,
    last: np.ndarray,
    ends: tuple[float, float],
    limits: tuple[float, float],
    theme: ThemeName,
    contaminated: np.ndarray | None,
) -> None:
    """Write each client's number at the end of its curve, moved apart where they would overlap."""
    low, high = np.log10(limits)
    order = np.argsort(last, kind="stable")
    heights = moved_apart((np.log10(last[order]) - low) / (high - low), _LABEL_GAP)
    colors = [PAPERS[theme].muted] * last.size
    if contaminated is not None:
        roles = ["contaminated" if bad else "benign" for bad in contaminated]
        colors = [role_style(role, theme).color for role in roles]
    places = 10 ** (low + heights * (high - low))
    x, y = [], []
    for end, place in zip(last[order].tolist(), places.tolist(), strict=True):
        x += [*ends, None]
        y += [end, place, None]
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        name="leader",
        line={"color": PAPERS[theme].muted, "width": 0.6},
        hoverinfo="skip",
        showlegend=False,
    )
    # one trace of text: far cheaper to build and to send than an annotation each
    figure.add_scatter(
        x=[ends[1]] * last.size,
        y=places,
        text=[f" {k + 1}" for k in order],
        mode="text",
        textposition="middle right",
        textfont={"size": 11, "color": [colors[k] for k in order]},
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )


def moved_apart(heights: np.ndarray, gap: float) -> np.ndarray:
    """Move sorted heights in [0, 1] apart to at least `gap`, each cluster about its own centre.

    With z_i = y_i - i gap this is isotonic regression: neighbours out of order are pooled.
    """
    steps = gap * np.arange(heights.size)
    pools: list[tuple[float, int]] = []
    for value in heights - steps:
        mean, size = float(value), 1
        while pools and pools[-1][0] > mean:
            other, n = pools.pop()
            mean, size = (mean * size + other * n) / (size + n), size + n
        pools.append((mean, size))
    spread = np.concatenate([np.full(size, mean) for mean, size in pools]) + steps
    spread -= max(0.0, spread[-1] - 0.99)
    return spread + max(0.0, 0.01 - spread[0])


def _ticks(low: float, high: float) -> list[float]:
    """List 1, 2 and 5 times powers of ten inside the limits."""
    exponents = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values = [m * 10.0**e for e in exponents for m in (1, 2, 5)]
    return [v for v in values if low <= v <= high]


def _title(losses: np.ndarray, contaminated: np.ndarray | None) -> str:
    """Say whether the loss curves give the poisoned clients away."""
    if contaminated is None:
        return "Can you tell from the loss who is poisoned?"
    if not contaminated.any():
        return "Nobody is poisoned, and no two clients learn alike"
    last, bad = losses[-1], contaminated
    lowest_bad, highest_bad = last[bad].min(), last[bad].max()
    if lowest_bad > last[~bad].max():
        return "The poisoned clients fit their data worst, but only they see their loss"
    if highest_bad < last[~bad].min():
        return "The poisoned clients fit their data best: a low loss proves nothing"
    return "The loss does not give the poisoned clients away"


def _words(losses: np.ndarray, steps: np.ndarray) -> str:
    latest = ", ".join(f"client {k + 1} {v:.2f}" for k, v in enumerate(losses[-1]))
    return f"Training loss at step {int(steps[-1])}: {latest}"
