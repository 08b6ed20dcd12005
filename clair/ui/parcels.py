"""What each page has to take away."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from clair.reports.lab import lab_report
from clair.reports.scenario import (
    client_table,
    error_table,
    method_table,
    scenario_json,
    scenario_recipe,
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
