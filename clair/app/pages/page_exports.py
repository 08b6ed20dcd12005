"""The downloads of each page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from clair.app.kit.exports import Export, link_to, screen_of
from clair.app.pages import board, compare, lab
from clair.app.pages.redteam_controls import CONTROLS as RED_TEAM
from clair.app.pages.redteam_controls import GROUPS as RED_TEAM_GROUPS
from clair.app.pages.redteam_search import Searched
from clair.board import Story
from clair.federated.task_result import task_json
from clair.figures.comparison import Measure
from clair.redteam import Attempt
from clair.redteam.record import Record
from clair.redteam.strike import Strike
from clair.report.board import board_report
from clair.report.document import Screen
from clair.report.lab import lab_report
from clair.report.pair import pair_json, pair_recipe, pair_report, pair_table
from clair.report.redteam import (
    attempt_table,
    caught_table,
    price_table,
    record_json,
    record_recipe,
    record_report,
    record_table,
    search_json,
    search_recipe,
    search_report,
    strike_json,
    strike_recipe,
    strike_report,
)
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


def of_strike(found: Strike, rule: str, values: Mapping[str, Any]) -> Export:
    """Build the downloads of an attack on the Red team page."""
    return Export(
        name=f"clair-red-team-seed-{found.result.scenario.spec.seed}",
        recipe=strike_recipe(found),
        report=partial(strike_report, found, rule, _red_team_screen(values)),
        tables={
            "Clients": partial(client_table, found.result),
            "Defences": partial(price_table, found),
        },
        numbers=partial(strike_json, found),
    )


def of_search(
    own: Searched, attempts: Mapping[str, tuple[Attempt, ...]], values: Mapping[str, Any]
) -> Export:
    """Build the downloads of a search; `attempts` on every defence are drawn beside its own."""
    config, found = own.config, own.found
    return Export(
        name=f"clair-red-team-search-{config.defence}",
        recipe=search_recipe(config),
        report=partial(search_report, config, found, dict(attempts), _red_team_screen(values)),
        tables={"Attempts": partial(attempt_table, own.attempts)},
        numbers=partial(search_json, config, found, own.attempts),
    )


def of_record(record: Record, sentence: str, values: Mapping[str, Any]) -> Export:
    """Build the downloads of the table of what defeats which defence."""
    return Export(
        name="clair-red-team-table",
        recipe=record_recipe(record),
        report=partial(record_report, record, sentence, _red_team_screen(values)),
        tables={
            "Attacks": partial(record_table, record),
            "Caught": partial(caught_table, record),
        },
        numbers=partial(record_json, record),
    )


def _red_team_screen(values: Mapping[str, Any]) -> Screen:
    return screen_of("redteam", RED_TEAM, values, RED_TEAM_GROUPS)
