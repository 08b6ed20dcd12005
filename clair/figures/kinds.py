"""Every kind of evidence beside the others: each client's score and each kind's line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.figures.base import Chart, marker, new_figure
from clair.figures.palette import PAPERS, ThemeName, role_style
from clair.figures.verdict import listed
from clair.method.detection import FLAGGED, SUSPECT, usual_score
from clair.method.evidence import Evidence
from clair.method.words import KINDS

_ROW = 46  # pixels of a kind
_LOWEST, _HIGHEST = 0.1, 100.0  # limits of what is drawn, relative to the typical score
_GOLDEN = 0.6180339887  # spreads clients up and down without patterns


def evidence_kinds(
    evidence: Sequence[Evidence],
    theme: ThemeName,
    *,
    degrees: Sequence[str],
    contaminated: np.ndarray | None = None,
) -> Chart:
    """Draw a row for each kind of evidence, a dot per client, and the kind's line if there is one.

    Parameters
    ----------
    evidence : sequence of Evidence
        The kinds in order, see `clair.method.kinds.all_evidence`.
    theme : {"light", "dark"}
    degrees : sequence of str
        The verdict of all kinds of ours together.
    contaminated : ndarray of shape (n_clients,) of bool, optional
        The truth; without it all clients are drawn alike.
    """
    paper, rows = PAPERS[theme], len(evidence)
    figure = new_figure(theme, _ROW * rows + 84)
    kept = np.array([degree not in (FLAGGED, SUSPECT) for degree in degrees], dtype=bool)
    scaled = [_relative(kind, kept) for kind in evidence]
    n_clients = len(degrees)
    shift = 0.5 * (np.arange(n_clients) * _GOLDEN % 1.0 - 0.5)
    for name, role, chosen in _groups(n_clients, contaminated):
        clients = np.flatnonzero(chosen).tolist()
        style = role_style(role, theme)
        figure.add_scatter(
            x=np.concatenate([values[clients] for values, _ in scaled]),
            y=np.concatenate([shift[clients] - row for row in range(rows)]),
            mode="markers",
            name=name,
            marker=marker(style, theme, 8),
            customdata=[[k + 1, _said(kind, k), degrees[k]] for kind in evidence for k in clients],
            hovertemplate="client %{customdata[0]}: %{customdata[1]}<br>%{customdata[2]} in all"
            f"<extra>{name}</extra>",
            showlegend=contaminated is not None,
        )
    line = role_style("threshold", theme)
    x: list[float | None] = []
    y: list[float | None] = []
    for row, (_, at) in enumerate(scaled):
        if at is not None:
            x += [at, at, None]
            y += [-row - 0.42, -row + 0.42, None]
    figure.add_scatter(
        x=x or [None],
        y=y or [None],
        mode="lines",
        name="the line of a kind",
        line={"color": line.color, "width": 2, "dash": line.dash},
        hoverinfo="skip",
    )
    low = min(float(values.min()) for values, _ in scaled)
    high = max(max(float(values.max()), at or 0.0) for values, at in scaled)
    figure.update_xaxes(
        type="log",
        range=[np.log10(low) - 0.06, np.log10(max(high, 2.0)) + 0.06],
        title_text="times a typical client's score",
        tickvals=[0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100],
        ticktext=["0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "50", "100+"],
    )
    figure.update_yaxes(
        tickvals=[-row for row in range(rows)],
        ticktext=[_label(kind) for kind in evidence],
        range=[-rows + 0.45, 0.55],
        showgrid=False,
        tickfont={"color": paper.ink, "size": 13},
    )
    return Chart(figure, _title(evidence, degrees), _caption(evidence), _alt(evidence))


def _relative(kind: Evidence, kept: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Compute a kind's scores and line relative to the typical kept client, cut to the axis."""
    if kind.kind == "inside":  # yes or no
        return np.where(kind.flagged, 2.0, 1.0), float(np.sqrt(2.0))
    usual = usual_score(kind.scores, kept)
    drawn = 0 < kind.threshold < float("inf")
    values = np.clip(kind.scores / usual, _LOWEST, _HIGHEST)
    return values, float(np.clip(kind.threshold / usual, _LOWEST, _HIGHEST)) if drawn else None


def _said(kind: Evidence, client: int) -> str:
    if kind.kind == "inside":
        return "against the majority" if kind.flagged[client] else "with the majority"
    return f"{kind.scores[client]:.3g}{', above the line' if kind.flagged[client] else ''}"


def _groups(
    n_clients: int, contaminated: np.ndarray | None
) -> tuple[tuple[str, str, np.ndarray], ...]:
    if contaminated is None:
        return (("client", "observed", np.ones(n_clients, dtype=bool)),)
    groups = (
        ("honest", "benign", ~contaminated),
        ("poisoned", "contaminated", contaminated),
    )
    return tuple(group for group in groups if group[2].any())


def _label(kind: Evidence) -> str:
    about = KINDS[kind.kind]
    return f"{about.name}<br><i>{'the paper’s' if about.paper else 'ours'}</i>"


def _title(evidence: Sequence[Evidence], degrees: Sequence[str]) -> str:
    """Say what the published rule would have flagged beside what all our kinds together flag."""
    flagged = np.array([degree == FLAGGED for degree in degrees], dtype=bool)
    ours = listed(degrees, FLAGGED) or "nobody"
    norms = next((kind for kind in evidence if kind.kind == "norms"), None)
    if norms is None or len(evidence) == 1:
        return f"Flagged: {ours}"
    if np.array_equal(norms.flagged, flagged):
        return f"Flagged: {ours}; the rule as published says the same"
    published = listed([FLAGGED if f else "" for f in norms.flagged], FLAGGED) or "nobody"
    return f"Flagged: {ours}; the rule as published would flag {published}"


def _caption(evidence: Sequence[Evidence]) -> str:
    parts = [f"**{KINDS[kind.kind].name}**: {KINDS[kind.kind].about}" for kind in evidence]
    return (
        "A dot is a client, farther right is more suspicious; a kind without a dashed line flags "
        f"nobody. {'; '.join(parts)}. Only the contamination norm is the paper's, all other kinds "
        "are ours. Clients above a line that look like noise alone are suspect, not flagged."
    )


def _alt(evidence: Sequence[Evidence]) -> str:
    parts = []
    for kind in evidence:
        above = ", ".join(str(k + 1) for k in np.flatnonzero(kind.flagged)) or "nobody"
        parts.append(f"{KINDS[kind.kind].name}: {above}")
    return f"Above the line, by kind of evidence: {'; '.join(parts)}."
