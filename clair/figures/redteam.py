"""Charts of the red team: what an attack costs, and what a search tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clair.baselines import METHODS
from clair.figures.base import Chart, marker, new_figure
from clair.figures.palette import PAPERS, Style, ThemeName, method_style, role_style, with_alpha
from clair.figures.verdict import client_verdict
from clair.redteam import DEFENCES, Attempt
from clair.redteam.strike import ROWS, Strike
from clair.redteam.words import HARMLESS, cost_words, times_words

_ROW = 34  # pixels of a method
#: Styles of defences that no comparison of methods knows.
_STYLES = {
    "clair_screen": "clair_own",
    "clair_norms": "clair_published",
    "clair_former": "clair_finetuned",
}
_FARTHEST = (0.05, 1000.0)  # suspicions beyond are drawn at the edge
#: Names that keep legends and columns narrow.
_SHORT = {
    "clair_screen": "CLAIR + screen",
    "clair_norms": "CLAIR, norms",
    "clair_former": "Former rule",
    "geometric_median": "Geom. median",
    "median": "Coord. median",
    "pca": "PCA",
}
_HIGHEST = 1000.0  # harms beyond are drawn at the edge: a mean can be moved without bound
_LEAST_TOP = 12.0  # where the scale of all frontiers ends
_NARROW = 3.0  # harms that differ by a smaller factor have a linear scale


def defence_style(key: str, theme: ThemeName) -> Style:
    """Return the style of a defence, e.g. "clair_norms" or "krum"."""
    return method_style(_STYLES.get(key, key), theme)


def short_label(key: str) -> str:
    """Name a defence in a few letters."""
    return _SHORT.get(key, DEFENCES[key].label)


def row_label(key: str) -> str:
    """Name a row of `clair.redteam.strike.ROWS`."""
    return DEFENCES[key].label if key in DEFENCES else METHODS[key].label


def prices_chart(found: Strike, theme: ThemeName, rule: str = "today") -> Chart:
    """Draw a row for each defence: what the honest pay with you, and where you stay away.

    Parameters
    ----------
    found : Strike
    theme : {"light", "dark"}
    rule : {"today", "former"}
        The former rule has its own row only where it is looked at.
    """
    paper = PAPERS[theme]
    rows = [key for key in ROWS if key != "clair_former" or rule == "former"]
    figure = new_figure(theme, _ROW * len(rows) + 84, margin={"l": 8, "r": 84, "t": 28, "b": 8})
    _price_marks(figure, found, rows, theme)
    notes = [
        {
            "x": 1.0,
            "xref": "paper",
            "xanchor": "left",
            "xshift": 8,
            "y": -row,
            "text": cost_words(found.prices[key].cost),
            "showarrow": False,
            "font": {"size": 13, "color": paper.ink},
        }
        for row, key in enumerate(rows)
    ]
    figure.update_layout(annotations=notes)
    values = [value for key in rows for value in found.prices[key]]
    _log_axis(figure.update_xaxes, values, "error of the honest, times the oracle's")
    figure.update_yaxes(
        tickvals=[-row for row in range(len(rows))],
        ticktext=[row_label(key) for key in rows],
        range=[-len(rows) + 0.45, 0.55],
        showgrid=False,
        tickfont={"color": paper.ink, "size": 13},
    )
    worst = max(rows, key=lambda key: found.prices[key].cost)
    title = (
        f"{_payer(worst)} pays most: {cost_words(found.prices[worst].cost)}"
        if found.prices[worst].cost >= 0.005
        else "No defence pays for this attack"
    )
    words = ", ".join(f"{row_label(key)} {cost_words(found.prices[key].cost)}" for key in rows)
    return Chart(figure, title, _PRICES, f"What the attack costs, by defence: {words}")


def _payer(key: str) -> str:
    return "The former rule" if key == "clair_former" else row_label(key).split(",")[0]


_PRICES = (
    "From the hollow mark, where you stay away, to the cross, where you attack; the number is what "
    "you add. The dashed line is the oracle, which is told who is honest and the true directions. "
    "Averages stand far from it even without you, because these clients want different things."
)


def _price_marks(figure: Any, found: Strike, rows: Sequence[str], theme: ThemeName) -> None:
    """Draw both marks of every row, what lies between them, and the oracle."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, key in enumerate(rows):
        x += [found.prices[key].alone, found.prices[key].attacked, None]
        y += [-row, -row, None]
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": with_alpha(role_style("contaminated", theme).color, 0.6), "width": 4},
        hoverinfo="skip",
        showlegend=False,
    )
    for name, field, role, size in (
        ("you stay away", "alone", "observed", 10),
        ("you attack", "attacked", "contaminated", 11),
    ):
        figure.add_scatter(
            x=[getattr(found.prices[key], field) for key in rows],
            y=[-row for row in range(len(rows))],
            mode="markers",
            name=name,
            marker=marker(role_style(role, theme), theme, size),
            customdata=[[row_label(key), cost_words(found.prices[key].cost)] for key in rows],
            hovertemplate="%{customdata[0]}, " + name + ": %{x:.2f} times the oracle's error"
            "<br>the attack costs %{customdata[1]}<extra></extra>",
        )
    line = role_style("truth", theme)
    figure.add_scatter(
        x=[1.0, 1.0],
        y=[0.5, 0.5 - len(rows)],
        mode="lines",
        name="oracle",
        line={"color": line.color, "width": 1.5, "dash": line.dash},
        hoverinfo="skip",
    )


def former_chart(found: Strike, theme: ThemeName) -> Chart:
    """Draw the residuals that the former rule judged by, and its one line."""
    line = float(found.former.threshold)
    return client_verdict(
        found.former.scores,
        theme,
        degrees=found.degrees("former"),
        threshold=line if np.isfinite(line) else None,
        contaminated=found.held,
        axis_title="former residual",
        caption="What lies outside the subspace of the half that the one start believed. The "
        "former rule flagged above the widest gap and looked for it once.",
    )


def attempts_chart(
    tried: Sequence[Attempt], defence: str, theme: ThemeName, *, stage: bool = False
) -> Chart:
    """Draw harm against suspicion for one defence, on a scale that fits its attempts.

    Parameters
    ----------
    tried : sequence of Attempt
        At least one; a dot carries its plan as text.
    defence : str
        A key of `DEFENCES`.
    theme : {"light", "dark"}
    stage : bool
        Whether it is for a projector.
    """
    figure = new_figure(theme, 620 if stage else 460)
    _frontier(figure, defence, tried, theme, width=3)
    for name, unseen, role in (("flagged", False, "observed"), ("unflagged", True, "contaminated")):
        dots = [one for one in tried if one.unseen == unseen]
        if not dots:
            continue
        figure.add_scatter(
            x=_suspicions(dots),
            y=[min(one.harm, _HIGHEST) for one in dots],
            mode="markers",
            name=name,
            marker=marker(role_style(role, theme), theme, 8),
            customdata=[one.plan.to_text() for one in dots],
            text=[f"{one.harm:.2f} times the oracle's error" for one in dots],
            hovertemplate="%{text}, suspicion %{x:.2f}" + f"<extra>{name}</extra>",
        )
    harms = [min(one.harm, _HIGHEST) for one in tried]
    low, high = min(harms), max(harms)
    if high < _NARROW * low:
        room = max(0.1 * (high - low), 0.01)
        figure.update_yaxes(title_text=_HARM, range=[low - room, high + room])
    else:
        _log_axis(figure.update_yaxes, harms, _HARM)
    _suspicion_axis(figure, theme)
    label = DEFENCES[defence].label
    title = f"{label}: {_worst_words(tried)}"
    top = f"{high:.2f}" if high < _HIGHEST else f"{_HIGHEST:g} and more"
    caption = (
        "Every mark is an attempt. The line is the frontier: "
        "the most harm that was done at that suspicion or less. Left of the dashed line an honest "
        "client looks worse than all of the attacker's. The scale fits these attempts, which give "
        f"{low:.2f} to {top} times the oracle's error."
    )
    return Chart(figure, title, caption, f"{len(tried)} attempts. {title}.")


def _worst_words(tried: Sequence[Attempt]) -> str:
    worst = max((one.harm for one in tried if one.unseen), default=None)
    if worst is None:
        return "no attempt stayed unflagged"
    if worst < 1 + HARMLESS:
        return f"no unflagged attempt adds even {HARMLESS:.0%} to the oracle's error"
    return f"the worst unflagged attempt gives {times_words(worst)} the oracle's error"


def frontiers_chart(
    attempts: Sequence[tuple[str, Sequence[Attempt]]],
    chosen: str,
    theme: ThemeName,
    *,
    stage: bool = False,
) -> Chart:
    """Draw the frontiers of all defences on one scale.

    Parameters
    ----------
    attempts : sequence of (defence, sequence of Attempt)
        At least one defence with at least one attempt each.
    chosen : str
        The defence whose line is drawn strongly.
    theme : {"light", "dark"}
    stage : bool
        Whether it is for a projector.
    """
    figure = new_figure(theme, 620 if stage else 460)
    # entries of one width stand in columns, two of them on a phone; type is larger on stage
    figure.update_layout(legend={"entrywidth": 150 if stage else 92})
    for key, tried in sorted(attempts, key=lambda pair: pair[0] != chosen):
        _frontier(figure, key, tried, theme, width=3 if key == chosen else 1.5)
    _log_axis(figure.update_yaxes, [0.8, _LEAST_TOP], _HARM)
    _suspicion_axis(figure, theme)
    most = {key: max(one.harm for one in tried) for key, tried in attempts}
    least, worst = min(most, key=lambda k: most[k]), max(most, key=lambda k: most[k])
    title = (
        f"{DEFENCES[least].label} is moved least, to {times_words(most[least])} the oracle's "
        f"error; {DEFENCES[worst].label} most, to {times_words(most[worst])}"
    )
    return Chart(figure, title, _FRONTIERS, f"Frontiers of {len(most)} defences. {title}.")


_HARM = "error of the honest, times the oracle's"
_FRONTIERS = (
    "The same lines for all defences, on one scale, flagged attempts included: the flatter and the "
    "lower, the better. Lines that leave the chart at the top rise beyond it. Defences that flag "
    "nobody are given the suspicion that CLAIR would have."
)


def _suspicion_axis(figure: Any, theme: ThemeName) -> None:
    """Set the axis of suspicions, with a line where an honest client looks as bad."""
    figure.add_vline(1.0, line={"color": PAPERS[theme].muted, "width": 1, "dash": "dash"})
    low, high = _FARTHEST
    figure.update_xaxes(
        type="log",
        range=[np.log10(low) - 0.05, np.log10(high) + 0.05],
        title_text="suspicion: score over the highest honest one",
        tickvals=[0.1, 0.3, 1, 3, 10, 30, 100, 300],
    )


def frontier(attempts: Sequence[Attempt]) -> tuple[list[float], list[float]]:
    """Compute the most harm done at each suspicion or less, as the corners of a rising line.

    Examples
    --------
    >>> from clair.redteam.gallery import GALLERY
    >>> plan = GALLERY["flip"].plan
    >>> tried = [Attempt(plan, harm, seen, True) for harm, seen in ((2, 1), (1, 2), (3, 4))]
    >>> frontier(tried)
    ([1, 4], [2, 3])
    """
    x: list[float] = []
    y: list[float] = []
    for one in sorted(attempts, key=lambda a: (a.suspicion, -a.harm)):
        if not y or one.harm > y[-1]:
            x.append(one.suspicion)
            y.append(one.harm)
    return x, y


def _suspicions(attempts: Sequence[Attempt]) -> list[float]:
    return [float(np.clip(one.suspicion, *_FARTHEST)) for one in attempts]


def _frontier(
    figure: Any, key: str, attempts: Sequence[Attempt], theme: ThemeName, *, width: float
) -> None:
    x, y = frontier(attempts)
    style = defence_style(key, theme)
    low, high = _FARTHEST
    figure.add_scatter(
        x=[*np.clip(x, low, high).tolist(), high],
        y=np.minimum([*y, y[-1]], 10 * _HIGHEST).tolist(),
        mode="lines",
        name=short_label(key),
        line={"color": style.color, "width": width, "dash": style.dash, "shape": "hv"},
        hovertemplate=f"{DEFENCES[key].label}: %{{y:.2f}} at suspicion %{{x:.2f}}<extra></extra>",
    )


def _log_axis(update: Any, values: Sequence[float], title: str) -> None:
    """Set a logarithmic axis around 1 and the values, with few plain ticks."""
    low, high = np.log10(min(*values, 1.0)), np.log10(max(*values, 1.3))
    room = 0.04 * (high - low) + 0.01
    steps = (1, 2, 5) if high - low < 3 else (1,)
    ticks = [m * 10.0**e for e in range(-7, 20) for m in steps]
    update(
        type="log",
        range=[low - room, high + room],
        title_text=title,
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        showgrid=True,
    )
