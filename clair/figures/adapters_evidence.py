"""The kinds of evidence of an audit side by side: where every client stands, and the lines."""

from __future__ import annotations

import numpy as np

from clair.adapters.result import KEPT, Audit
from clair.figures.adapters import CEILING, ROLES, label
from clair.figures.base import Chart, marker, new_figure
from clair.figures.palette import ThemeName, role_style
from clair.method.detection import usual_score
from clair.method.evidence import Evidence
from clair.method.words import KINDS
from clair.sentences import listing


def evidence_compared(audit: Audit, theme: ThemeName) -> Chart:
    """Draw a row for each kind of evidence, with every client's score and the kind's line."""
    degrees = np.array([client.verdict for client in audit.judged_clients])
    names = [label(client.name) for client in audit.judged_clients]
    # The coefficient screen says yes or no and has no scores to draw; its answer is in the table.
    kinds = [kind for kind in audit.evidence if kind.kind != "inside"]
    titles = [KINDS[kind.kind].name for kind in kinds]
    relative = [times_typical(kind, degrees) for kind in kinds]
    figure = new_figure(theme, 130 + 52 * len(kinds))
    for name, role in ROLES:
        at = np.flatnonzero(degrees == name)
        if len(at):
            figure.add_scatter(
                x=np.concatenate([np.clip(scores[at], 0.1, CEILING) for scores, _ in relative]),
                y=[title for title in titles for _ in at],
                mode="markers",
                name=name,
                marker=marker(role_style(role, theme), theme, 10),
                text=[names[k] for _ in titles for k in at],
                hovertemplate="%{text}, %{y}: %{x:.2f} times typical<extra></extra>",
            )
    look = role_style("threshold", theme)
    for row, (_, line) in enumerate(relative):
        if np.isfinite(line):
            figure.add_shape(
                type="line",
                x0=min(line, CEILING),
                x1=min(line, CEILING),
                y0=row - 0.4,
                y1=row + 0.4,
                line={"color": look.color, "width": 1.5, "dash": look.dash},
            )
    figure.update_xaxes(title_text="times a typical kept client", type="log")
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=titles, autorange="reversed", ticks=""
    )
    apart = [t for t, kind in zip(titles, kinds, strict=True) if kind.flagged.any()]
    title = "No kind of evidence sets anybody apart"
    if apart:
        rest = [t for t in titles if t not in apart]
        title = f"Set apart by {listing(apart)}" + (f", not by {listing(rest)}" if rest else "")
    caption = "A mark is a client, a dashed line the gap found in that row. " + " ".join(
        f"*{KINDS[kind.kind].name.capitalize()}*: {KINDS[kind.kind].about}." for kind in kinds
    )
    return Chart(figure, title, caption, f"{title}.")


def times_typical(kind: Evidence, degrees: np.ndarray) -> tuple[np.ndarray, float]:
    """Divide the scores of a kind, and its line, by the median of the kept clients.

    Parameters
    ----------
    kind : Evidence
    degrees : ndarray of str, shape (n_clients,)
        The verdicts on them.
    """
    usual = usual_score(kind.scores, degrees == KEPT)
    return kind.scores / usual, kind.threshold / usual
