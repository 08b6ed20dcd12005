"""Several rounds of a federation: how the methods fare, and the verdict on every client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clair.federated.results import RoundOutcome
from clair.figures.base import Chart, marker, new_figure
from clair.figures.comparison import Measure
from clair.figures.drawing import Figure
from clair.figures.palette import PAPERS, Style, ThemeName, method_style, role_style
from clair.figures.training import moved_apart
from clair.method.detection import FLAGGED, NOT_COMPARABLE, SUSPECT
from clair.methods import METHODS
from clair.sentences import count, listing

#: Methods whose lines carry their name; the others are thin.
NAMED = (
    "local", "fedavg", "fedavg_finetuned", "kept_finetuned", "median", "krum", "clair",
    "clair_eb", "clair_finetuned", "clair_safe",
)  # fmt: skip
#: Degree of a client whose reply could not be judged, as in `clair.flower`.
SET_ASIDE = "set aside"
_EACH = "Mean over the clients that are honest in all rounds, after each round."
_THIN = (
    " Each method has a federation of its own: its clients train on from what it handed out. Thin "
    "lines have no name here; the table lists them all."
)
_MARKS = (
    "A mark above a client is the verdict of that round: a full triangle for flagged, a hollow one "
    "for suspect, a square for set aside. Who is flagged is left out of that round's average and "
    "judged again in the next."
)
_GAP = 0.055  # share of the height between two names
_ROW = 62  # pixels of a round


def accuracy_by_round(
    rounds: Sequence[RoundOutcome],
    name: str,
    measure: Measure,
    theme: ThemeName,
    *,
    labels: Mapping[str, str] | None = None,
) -> Chart:
    """Draw the honest clients' mean under each method against the round.

    Parameters
    ----------
    rounds : sequence of RoundOutcome
        At least one.
    name : str
        Field of the scores.
    measure : Measure
    theme : {"light", "dark"}
    labels : mapping of method to str, optional
        Other names than those of `clair.methods.METHODS`.
    """
    means = means_by_round(rounds, name)
    means.pop("base", None)  # it takes part in nothing
    called = {key: _short(METHODS[key].label) for key in means} | dict(labels or {})
    told = [key for key in METHODS if key in means and (key in NAMED or labels)]
    room = 30 + 7 * max(len(called[key]) for key in told)
    numbers = [one.number for one in rounds]
    figure = new_figure(theme, 430, margin={"l": 8, "r": room, "t": 28, "b": 44})
    number = ":.0%" if measure.share else ":.3g"
    for key in [key for key in METHODS if key in means]:
        style, loud = method_style(key, theme), key in told
        figure.add_scatter(
            x=numbers,
            y=means[key].tolist(),
            mode="lines+markers",
            name=called[key],
            line={"color": style.color, "width": 2.2 if loud else 0.9, "dash": style.dash},
            marker=marker(style, theme, 9 if loud else 5),
            opacity=1.0 if loud else 0.45,
            hovertemplate=f"{called[key]}, round %{{x}}: %{{y{number}}}<extra></extra>",
            showlegend=False,
        )
    everything = np.concatenate(list(means.values()))
    low, high = _limits(everything, measure)
    end = numbers[-1] + 0.04 * max(numbers[-1] - numbers[0], 1)
    _name_lines(figure, means, told, called, (low, high), (numbers[-1], end), theme)
    _mark_poison(figure, rounds, theme)
    figure.update_xaxes(title_text="round", tickvals=numbers, range=[numbers[0] - 0.1, end])
    figure.update_yaxes(
        title_text=measure.title, range=[low, high], tickformat=".0%" if measure.share else "~g"
    )
    words = "; ".join(
        f"{called[key]} {', '.join(measure.text(v) for v in values)}"
        for key, values in means.items()
    )
    title, caption = _progress(means, called, measure), _EACH + _THIN * (len(told) < len(means))
    return Chart(figure, title, caption, f"{measure.title} by round: {words}")


def _short(label: str) -> str:
    """Shorten a method's name for the end of a line."""
    return label.replace(", then fine-tuned", ", tuned").removesuffix(" (ours)")


def _mark_poison(figure: Figure, rounds: Sequence[RoundOutcome], theme: ThemeName) -> None:
    """Draw from which round on clients are poisoned, where that is not the first."""
    since = next((one.number for one in rounds if one.poisoned.any()), None)
    if since is not None and since > rounds[0].number:
        color = role_style("contaminated", theme).color
        figure.add_vline(x=since - 0.5, line={"color": color, "width": 1.5, "dash": "dash"})
        figure.add_annotation(
            x=since - 0.5, y=1.0, yref="paper", yanchor="bottom", xanchor="left",
            text="poisoned from here on", showarrow=False, font={"size": 12, "color": color},
        )  # fmt: skip


def means_by_round(rounds: Sequence[RoundOutcome], name: str) -> dict[str, np.ndarray]:
    """Average a measure over the honest clients: by method, one value a round."""
    return {
        key: np.array([float(getattr(one.accuracy[key], name).mean()) for one in rounds])
        for key in rounds[0].accuracy
    }


def _progress(means: Mapping[str, np.ndarray], called: Mapping[str, str], measure: Measure) -> str:
    """Say where CLAIR and the plain average go from the first to the last round."""
    told = [
        f"{called[key]} goes from {measure.text(values[0])} to {measure.text(values[-1])}"
        for key in ("clair", "fedavg")
        if (values := means.get(key)) is not None
    ]
    return ", ".join(told) or "How the methods fare"


def _limits(values: np.ndarray, measure: Measure) -> tuple[float, float]:
    """Choose an axis that shows differences: shares from the last ten percent below all values."""
    if not measure.share:
        return 0.0, float(values.max()) * 1.05
    return float(np.floor(10 * max(values.min() - 0.02, 0)) / 10) - 0.01, 1.02


def _name_lines(
    figure: Figure,
    means: Mapping[str, np.ndarray],
    told: Sequence[str],
    called: Mapping[str, str],
    limits: tuple[float, float],
    ends: tuple[float, float],
    theme: ThemeName,
) -> None:
    """Write methods' names beside the ends of their lines, moved apart where they overlap."""
    low, high = limits
    order = sorted(told, key=lambda key: means[key][-1])
    last = np.array([means[key][-1] for key in order])
    places = low + moved_apart((last - low) / (high - low), _GAP) * (high - low)
    x, y = [], []
    for value, place in zip(last.tolist(), places.tolist(), strict=True):
        x += [*ends, None]
        y += [value, place, None]
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        name="leader",
        line={"color": PAPERS[theme].muted, "width": 0.6},
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )
    figure.add_scatter(
        x=[ends[1]] * len(order),
        y=places,
        text=[f" {called[key]}" for key in order],
        mode="text",
        textposition="middle right",
        textfont={"size": 12.5, "color": [method_style(key, theme).color for key in order]},
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )


def verdict_by_round(
    rounds: Sequence[RoundOutcome],
    theme: ThemeName,
    *,
    reveal: bool = True,
    names: Sequence[str] | None = None,
) -> Chart:
    """Draw a row of clients for every round: marker and colour the truth, marks the verdict.

    Parameters
    ----------
    rounds : sequence of RoundOutcome
    theme : {"light", "dark"}
    reveal : bool
        Whether the truth is shown.
    names : sequence of str, optional
        Of the clients; their numbers by default.
    """
    n_clients = len(rounds[0].degrees)
    called = list(names or map(str, range(1, n_clients + 1)))
    figure = new_figure(theme, _ROW * len(rounds) + 120, margin={"t": 40})
    for label, role, symbol in (("honest", "benign", "circle"), ("poisoned", "contaminated", "x")):
        bad = role == "contaminated"
        at = [
            (k, one)
            for one in rounds
            for k in range(n_clients)
            if bool(one.poisoned[k]) is bad or (not reveal and not bad)
        ]
        if not at or (bad and not reveal):
            continue
        style = role_style(role if reveal else "observed", theme)
        figure.add_scatter(
            x=[k + 1 for k, _ in at],
            y=[one.number for _, one in at],
            mode="markers",
            name=label if reveal else "client",
            marker=marker(Style(style.color, symbol), theme, 11),
            customdata=[_said(one, k, called) for k, one in at],
            hovertemplate="%{customdata}<extra></extra>",
            showlegend=reveal,
        )
    _add_marks(figure, rounds, theme)
    figure.update_xaxes(
        title_text="client",
        range=[0.3, n_clients + 0.7],
        tickvals=list(range(1, n_clients + 1, 1 if n_clients <= 32 else 4)),
        ticktext=called[:: 1 if n_clients <= 32 else 4],
        showgrid=False,
    )
    figure.update_yaxes(
        tickvals=[one.number for one in rounds],
        ticktext=[f"round {one.number}" for one in rounds],
        range=[rounds[-1].number + 0.45, rounds[0].number - 0.6],
    )
    return Chart(figure, _found(rounds, called, reveal), _MARKS, _words(rounds, called))


def _add_marks(figure: Figure, rounds: Sequence[RoundOutcome], theme: ThemeName) -> None:
    paper = PAPERS[theme]
    marks = (
        (FLAGGED, paper.ink, "triangle-down"),
        (SUSPECT, role_style("suspect", theme).color, "triangle-down-open"),
        (SET_ASIDE, paper.muted, "square-open"),
        (NOT_COMPARABLE, paper.muted, "circle-open"),
    )
    for degree, color, symbol in marks:
        at = [
            (k + 1, one.number)
            for one in rounds
            for k, given in enumerate(one.degrees)
            if given == degree
        ]
        if not at:
            continue
        figure.add_scatter(
            x=[k for k, _ in at],
            y=[number - 0.27 for _, number in at],
            mode="markers",
            name=degree,
            marker={
                "color": color,
                "symbol": symbol,
                "size": 9,
                "line": {"color": color, "width": 2},
            },
            hoverinfo="skip",
        )


def _said(one: RoundOutcome, k: int, called: Sequence[str]) -> str:
    why = f"<br>{one.reasons[k]}" if one.reasons[k] else ""
    return f"client {called[k]}, round {one.number}: {one.degrees[k]}{why}"


def _found(rounds: Sequence[RoundOutcome], called: Sequence[str], reveal: bool) -> str:
    """Say who is flagged, and against the truth how often that was right."""
    flagged = np.array([[degree == FLAGGED for degree in one.degrees] for one in rounds])
    if not reveal:
        who = [name for name, out in zip(called, flagged[-1], strict=True) if out]
        return f"Flagged in the last round: {listing(who) if who else 'nobody'}"
    truth = np.array([one.poisoned for one in rounds])
    falsely = int((flagged & ~truth).sum())
    wrong = f"honest ones {count(falsely, 'time')}" if falsely else "never an honest one"
    if not truth.any():
        return f"Nobody is poisoned; {wrong} flagged in {count(len(rounds), 'round')}"
    right = int((flagged & truth).sum())
    return f"Poisoned clients were flagged {right} of {int(truth.sum())} times, {wrong}"


def _words(rounds: Sequence[RoundOutcome], called: Sequence[str]) -> str:
    told = []
    for one in rounds:
        by_degree: dict[str, list[Any]] = {}
        for name, degree in zip(called, one.degrees, strict=True):
            by_degree.setdefault(degree, []).append(name)
        parts = [
            f"{degree} {listing(who)}" for degree, who in by_degree.items() if degree != "kept"
        ]
        told.append(f"round {one.number}: {'; '.join(parts) or 'all kept'}")
    return ". ".join(told)
