"""The chart that a step of a lesson is about: one, where a page has several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clair.figures.base import Chart
from clair.figures.comparison import Measure, method_comparison, scenario_comparison
from clair.figures.palette import ThemeName
from clair.figures.solver import certificate
from clair.figures.subspace import plane
from clair.figures.verdicts import scenario_verdicts, task_verdicts
from clair.simulation.scenario import ScenarioResult

_LAB: dict[str, Callable[[ScenarioResult, ThemeName], Chart]] = {
    "errors": scenario_comparison,
    "verdict": lambda result, theme: scenario_verdicts(result, theme)[0][1],
    "subspace": lambda result, theme: plane(result, theme, 460),
    "solver": lambda result, theme: certificate(result, theme),
}


def step_chart(
    view: str, found: Any, theme: ThemeName, measure: tuple[str, Measure] | None = None
) -> Chart:
    """Draw the chart that the line "look for" of a step speaks of.

    Parameters
    ----------
    view : str
        The step's view.
    found : ScenarioResult or a finished run
        What the step is about.
    theme : {"light", "dark"}
    measure : tuple of str and Measure, optional
        Of a run: the name of what is compared, and what it is called.

    Raises
    ------
    ValueError
        If there is no such view.
    """
    if isinstance(found, ScenarioResult):
        if view not in _LAB:
            raise ValueError(f"view must be one of {', '.join(_LAB)}, got {view!r}")
        return _LAB[view](found, theme)
    if view == "verdict":
        return task_verdicts(found, theme)[0]
    if view != "comparison" or measure is None:
        raise ValueError(f"view must be verdict, or comparison of a measure, got {view!r}")
    name, what = measure
    values = {key: getattr(value, name) for key, value in found.accuracy.items()}
    return method_comparison(values, what, theme)
