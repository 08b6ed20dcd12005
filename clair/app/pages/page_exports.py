"""The downloads of each page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from clair.app.kit.exports import Export, link_to, screen_of
from clair.app.pages import board, compare, lab
from clair.board import Story
from clair.federated.task_result import task_json
from clair.figures.comparison import Measure
from clair.report.board import board_report
from clair.report.document import Screen
from clair.report.lab import lab_report
from clair.report.pair import pair_json, pair_recipe, pair_report, pair_table
from clair.report.scenario import (
    client_table,
    error_table,
    method_table,
    scenario_json,
    scenario_recipe,
)
from clair.report.story import board_json, board_recipe, hospital_table, run_table
from clair.report.story import method_table as board_methods
from clair.report.tasks import (
    Finished,
    TaskStory,
    clients,
    methods,
    scores,
    task_recipe,
    task_report,
)
from clair.simulation.scenario import ScenarioResult

LAB_GROUPS = lab.GROUPS | {"clair": "CLAIR's settings"}


def of_lab(result: ScenarioResult, values: Mapping[str, Any]) -> Export:
    """Build the downloads of a scenario of the Subspace lab."""
    screen = screen_of("lab", lab.CONTROLS, values, LAB_GROUPS)
    return Export(
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


def of_pair(
    a: ScenarioResult, b: ScenarioResult, changes: Sequence[str], values: Mapping[str, Any]
) -> Export:
    """Build the downloads of a comparison; `changes` names what differs, in words."""
    settings = [
        setting
        for side in compare.SIDES
        for setting in screen_of(
            "compare",
            compare.CONTROLS_OF[side],
            values,
            {group: f"{side.upper()}: {title}" for group, title in LAB_GROUPS.items()},
        ).settings
    ]
    screen = Screen(tuple(settings), link_to("compare", compare.CONTROLS, values))
    makers = {"Clients": client_table, "Methods": method_table, "Errors": error_table}
    return Export(
        name="clair-compare",
        recipe=pair_recipe(a, b),
        report=partial(pair_report, a, b, changes, screen),
        tables={title: partial(pair_table, a, b, make) for title, make in makers.items()},
        numbers=partial(pair_json, a, b, changes),
    )


def of_story(story: Story) -> Export:
    """Build the downloads of a draw of the board story."""
    screen = screen_of("board", (board.DRAW,), {board.DRAW.key: story.seed})
    return Export(
        name=f"clair-board-draw-{story.seed}",
        recipe=board_recipe(story),
        report=partial(board_report, story, screen),
        tables={
            "Hospitals": partial(hospital_table, story),
            "Methods": partial(board_methods, story),
            "Runs": partial(run_table, story),
        },
        numbers=partial(board_json, story),
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
) -> Export:
    """Build the downloads of a run of a task.

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
    return Export(
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
