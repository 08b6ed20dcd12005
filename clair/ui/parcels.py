"""What each page has to take away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from clair.figures.comparison import Measure
from clair.reports.document import Screen
from clair.reports.lab import lab_report
from clair.reports.scenario import (
    client_table,
    error_table,
    method_table,
    scenario_json,
    scenario_recipe,
)
from clair.reports.tasks import (
    Finished,
    TaskStory,
    clients,
    methods,
    scores,
    task_json,
    task_recipe,
    task_report,
)
from clair.scenario import ScenarioResult
from clair.ui import lab
from clair.ui.takeaway import TakeAway, screen_of

LAB_GROUPS = {
    "people": "Clients and attackers",
    "data": "How alike they are",
    "shape": "Size and draw",
    "clair": "CLAIR's settings",
}


def of_lab(result: ScenarioResult, values: Mapping[str, Any]) -> TakeAway:
    """A scenario of the Subspace lab."""
    screen = screen_of("lab", lab.CONTROLS, values, LAB_GROUPS)
    return TakeAway(
        name=f"clair-lab-seed-{result.scenario.spec.seed}",
        recipe=scenario_recipe(result.scenario),
        report=partial(lab_report, result, screen),
        tables={
            "Clients": partial(client_table, result),
            "Methods": partial(method_table, result),
            "Errors": partial(error_table, result),
        },
        numbers=partial(scenario_json, result),
    )


def of_task(
    command: str,
    run: str,
    config: Any,
    result: Finished,
    measures: Mapping[str, Measure],
    story: Callable[[], TaskStory],
    screen: Screen,
    numbers: Callable[[], Mapping[str, Any]],
) -> TakeAway:
    """A run of a task.

    Parameters
    ----------
    command, run : str
        Name of its command; "module:function" that runs it.
    config : dataclass
    result : Finished
    measures : mapping of str to Measure
    story : callable
        Makes what only the page knows.
    screen : Screen
    numbers : callable
        The task's own JSON.
    """
    recipe = task_recipe(command, config, run, next(iter(measures)))
    return TakeAway(
        name=f"clair-{command}-seed-{config.seed}",
        recipe=recipe,
        report=lambda: task_report(result, story(), recipe, screen),
        tables={
            "Clients": partial(clients, result),
            "Methods": partial(methods, result, measures),
            "Scores": partial(scores, result, measures),
        },
        numbers=lambda: task_json(command, numbers()),
    )
