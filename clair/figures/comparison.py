"""One panel for every task: how the benign clients fare under each method, client by client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clair.federated.sharing import CANDIDATES, Choice
from clair.federated.task_result import TaskResult
from clair.figures.base import Chart, band, level, new_figure
from clair.figures.drawing import Figure
from clair.figures.palette import PAPERS, ThemeName, method_style, with_alpha
from clair.methods import METHODS
from clair.sentences import ROUNDING
from clair.simulation.scenario import ScenarioResult

_ROW = 31  # pixels of a method

CAPTION = (
    "Each dot is one honest client, the bar and the number are the mean over them. Below the "
    "dashed line stand oracles: they are told who is poisoned, which nobody is in practice."
)

#: What "level" means, said where the word is used.
LEVEL_WORDS = (
    " Two methods are level if their mean difference is at most twice its standard error over "
    "these clients."
)


@dataclass(frozen=True)
class Measure:
    """What is compared.

    Attributes
    ----------
    title : str
        Axis title.
    share : bool
        Whether values are shares in [0, 1], shown in percent.
    more_is_better : bool
        False for errors.
    """

    title: str
    share: bool = True
    more_is_better: bool = True

    def text(self, value: float) -> str:
        """Write a value as it stands beside its row."""
        if self.share:
            return f"{value:.0%}"
        return "0" if abs(value) < ROUNDING else f"{value:.3g}"


#: The matrix model's measure of an honest client: how far it ends up from its true update.
DISTANCE = Measure("distance to the true update", share=False, more_is_better=False)


def method_comparison(
    values: Mapping[str, np.ndarray], measure: Measure, theme: ThemeName
) -> Chart:
    """Draw a row for each method: a dot per benign client, a bar at the mean, oracles apart.

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
    rows = method_rows(values)
    paper = PAPERS[theme]
    figure = new_figure(theme, _ROW * len(rows) + 64, margin={"l": 8, "r": 52, "t": 8, "b": 48})
    everything = np.concatenate([np.asarray(values[key], dtype=float) for key in rows])
    low, high = (0.0, 1.0) if measure.share else (0.0, float(everything.max()) * 1.04)
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for row, key in enumerate(rows):
        points, style = np.asarray(values[key], dtype=float), method_style(key, theme)
        own = METHODS[key].family == "clair"
        if own:
            shapes.append(band(-row - 0.5, -row + 0.5, with_alpha(style.color, 0.08)))
        _add_row(figure, key, -row, points, (measure, high - low), theme)
        mean = measure.text(float(points.mean()))
        notes.append(
            {
                "x": 1.0,
                "xref": "paper",
                "xanchor": "left",
                "xshift": 8,
                "y": -row,
                "text": f"<b>{mean}</b>" if own else mean,
                "showarrow": False,
                "font": {"size": 13, "color": style.color if own else paper.ink},
            }
        )
    first_oracle = next((i for i, key in enumerate(rows) if METHODS[key].oracle), None)
    if first_oracle:
        shapes.append(level(0.5 - first_oracle, color=paper.muted, width=1, dash="dash"))
    figure.update_layout(shapes=shapes, annotations=notes)
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
        title_text=measure.title,
        showgrid=True,
    )
    means = {key: float(np.mean(values[key])) for key in rows}
    words = ", ".join(f"{METHODS[key].label} {measure.text(mean)}" for key, mean in means.items())
    title = _title(values, measure)
    caption = CAPTION + LEVEL_WORDS * ("level here" in title)
    return Chart(figure, title, caption, f"{measure.title}, means: {words}")


def method_rows(values: Iterable[str]) -> list[str]:
    """List methods from the uppermost row to the lowest: as everywhere, oracles last."""
    known = [key for key in METHODS if key in set(values)]
    return sorted(known, key=lambda key: METHODS[key].oracle)


def _add_row(
    figure: Figure,
    key: str,
    at: int,
    points: np.ndarray,
    scale: tuple[Measure, float],
    theme: ThemeName,
) -> None:
    """Add a method's dots, one a client, and its mean."""
    (measure, width), method = scale, METHODS[key]
    color, mean = method_style(key, theme).color, float(points.mean())
    number = ":.0%" if measure.share else ":.3g"
    spread = measure.text(float(points.std(ddof=1)) if points.size > 1 else 0.0)
    figure.add_scatter(
        x=points,
        y=at + _spread(points, width),
        mode="markers",
        name=method.label,
        marker={
            "symbol": "circle" if not method.oracle else "circle-open",
            "size": 7,
            "color": with_alpha(color, 0.55),
            "line": {"color": color, "width": 1 if method.oracle else 0},
        },
        hovertemplate=f"{method.label}: %{{x{number}}}<extra>one honest client</extra>",
        showlegend=False,
    )
    figure.add_scatter(
        x=[mean, mean],
        y=[at - 0.36, at + 0.36],
        mode="lines",
        name=f"{method.label}, mean",
        line={"color": color, "width": 3.5, "dash": "dot" if method.oracle else "solid"},
        hovertemplate=f"mean {measure.text(mean)} ± {spread}<extra></extra>",
        showlegend=False,
    )


def scenario_comparison(result: ScenarioResult, theme: ThemeName) -> Chart:
    """Draw every method's distance of the honest clients to their true updates."""
    values = {entry.method: entry.per_client for entry in result.errors}
    return method_comparison(values, DISTANCE, theme)


def task_comparison(
    run: TaskResult,
    name: str,
    measure: Measure,
    theme: ThemeName,
    *,
    methods: Sequence[str] | None = None,
) -> Chart:
    """Draw a measure of a trained task, one of the fields of its scores, by method or by some."""
    scores = scores_of(run, name)
    shown = scores if methods is None else {key: scores[key] for key in methods if key in scores}
    return method_comparison(shown, measure, theme)


def scores_of(run: TaskResult, name: str) -> dict[str, np.ndarray]:
    """Collect one measure of the honest clients by method."""
    return {key: getattr(value, name) for key, value in run.accuracy.items()}


def _title(values: Mapping[str, np.ndarray], measure: Measure) -> str:
    """Say who is best among the methods usable in practice, or that it is a tie."""
    usable = {key: float(np.mean(v)) for key, v in values.items() if not METHODS[key].oracle}
    choose = max if measure.more_is_better else min
    published = usable.pop("clair_published", None) if len(usable) > 1 else None
    ours = [key for key in usable if METHODS[key].family == "clair"]
    if published is not None and ours:
        own = choose(ours, key=usable.__getitem__)
        level = _level(np.asarray(values["clair_published"]), np.asarray(values[own]))
        if choose(published, usable[own]) == published and not level:
            return (
                f"The verdict as published serves the honest clients better here: "
                f"{measure.text(published)} against {measure.text(usable[own])}"
            )
    others = [key for key in usable if key not in ours]
    best = choose(usable, key=usable.__getitem__)
    if ours and others:
        own, rival = (choose(keys, key=usable.__getitem__) for keys in (ours, others))
        if _level(np.asarray(values[own]), np.asarray(values[rival])):
            first, second = measure.text(usable[own]), measure.text(usable[rival])
            numbers = f"both {first}" if first == second else f"{first} and {second}"
            return f"{METHODS[own].label} and {METHODS[rival].label} are level here: {numbers}"
    if best in ours or not ours:
        return f"{METHODS[best].label} serves the honest clients best: {measure.text(usable[best])}"
    first, second = measure.text(usable[best]), measure.text(usable[own])
    if first == second:
        return f"{METHODS[best].label} is ahead of {METHODS[own].label} by a hair: both {first}"
    return f"{METHODS[best].label} is ahead here: {first} against {second} for {METHODS[own].label}"


def which_to_use(values: Mapping[str, np.ndarray], measure: Measure, choice: Choice | None) -> str:
    """Say who wins, and what a client can choose without these numbers, as markdown.

    Parameters
    ----------
    values : mapping of method to ndarray of shape (n_benign,)
    measure : Measure
    choice : Choice or None
        What the clients' own tests favour.
    """
    means = {key: float(np.mean(v)) for key, v in values.items() if not METHODS[key].oracle}
    best = (max if measure.more_is_better else min)(means, key=means.__getitem__)
    level = [
        METHODS[key].label
        for key in means
        if key != best and _level(np.asarray(values[key]), np.asarray(values[best]))
    ]
    told = f"**Who wins here:** {METHODS[best].label}, {measure.text(means[best])}"
    if len(level) > _NAMED:
        told += f"; {len(level)} others cannot be told from it"
    elif level:
        told += f"; {' and '.join(level)} cannot be told from it"
    if choice is None or "clair_safe" not in means:
        return f"{told}."
    safe, alone = measure.text(means["clair_safe"]), measure.text(means["local"])
    return (
        f"{told}. **Which to use:** nobody sees these numbers beforehand, and nothing wins "
        f"everywhere. *{METHODS['clair_safe'].label}* takes what the clients' own tests favour "
        f"and stays with training alone where nothing clearly pays; here it takes "
        f"{CANDIDATES[choice.chosen]} and gets {safe}, against {alone} alone. *CLAIR* is the "
        f"paper's refinement with our verdict; *{METHODS['clair_published'].label}* has the "
        "paper's. The other rows of CLAIR are ours."
    )


_NAMED = 3  # methods


def _level(first: np.ndarray, second: np.ndarray) -> bool:
    """Tell whether two methods differ by at most two standard errors of the paired difference."""
    gap = first - second
    error = float(gap.std(ddof=1)) / np.sqrt(gap.size) if gap.size > 1 else 0.0
    return abs(float(gap.mean())) <= max(2 * error, ROUNDING)


def _label(key: str) -> str:
    name = METHODS[key].label
    if METHODS[key].family == "clair":
        return f"<b>{name}</b>"
    return f"<i>{name} (oracle)</i>" if METHODS[key].oracle else name


def _spread(points: np.ndarray, width: float) -> np.ndarray:
    """Move dots that would hide each other up and down, the same way every time."""
    shifts = np.zeros(points.size)
    placed: list[tuple[float, float]] = []
    values = points.tolist()  # a loop over plain numbers is a dozen times as fast
    for i in np.argsort(points, kind="stable").tolist():
        near = [shift for x, shift in placed[-8:] if abs(values[i] - x) <= 0.012 * width]
        for step in range(2 * points.size + 1):
            shift = 0.13 * ((step + 1) // 2) * (1 if step % 2 else -1)
            if abs(shift) > 0.36 or all(abs(shift - y) > 0.1 for y in near):
                break
        shifts[i] = min(max(shift, -0.36), 0.36)
        placed.append((values[i], float(shifts[i])))
    return shifts
