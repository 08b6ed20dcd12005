"""A grid of problems as tables, numbers and the command that computes it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import clair
from clair.methods import METHODS
from clair.report.recipe import Recipe, call, command, differing, literal
from clair.report.scenario import CLAIR_OPTIONS, PLAN, PROBLEM_OPTIONS
from clair.report.tables import Table, table
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.own_code import OwnCode
from clair.simulation.sweeps.axes import AXIS_TITLES, OPTION_AXES, Axis
from clair.simulation.sweeps.grid import (
    DEFAULT_MEASURES,
    MEASURES,
    SweepConfig,
    SweepResult,
    cell_spec,
    cell_values,
    obstacle,
)
from clair.simulation.sweeps.summary import LEVEL, mean_interval

FORMAT = 1
#: Option of ``python -m clair sweep`` by option of `clair.fit`.
FIT_OPTIONS: dict[str, str] = {
    name: CLAIR_OPTIONS.get("rank" if name == "use_rank" else name, f"--{name.replace('_', '-')}")
    for name in OPTION_AXES
}


def column_title(name: str) -> str:
    """Name a measure, or the method whose error it is."""
    return MEASURES[name] if name in MEASURES else f"error of {METHODS[name].label}"


def sweep_table(result: SweepResult) -> Table:
    """List the cells, a row each: settings, problems drawn, and of everything mean and interval."""
    config = result.config
    rows = []
    flat = result.values.reshape(config.n_cells, config.trials, len(config.columns))
    for cell in range(config.n_cells):
        chosen = [_cell(value) for value in cell_values(config, cell).values()]
        drawn = int((~np.isnan(flat[cell]).all(axis=1)).sum())
        found = [mean_interval(flat[cell, :, i], name) for i, name in enumerate(config.columns)]
        rows.append((*chosen, drawn, *(number for one in found for number in one)))
    titles = [(axis.name, AXIS_TITLES[axis.name][0]) for axis in config.along]
    for name in config.columns:
        title = column_title(name)
        titles += [(name, title), (f"{name}_low", f"{title}, from"), (f"{name}_high", "to")]
    titles.insert(len(config.along), ("trials", "problems"))
    return table(
        "sweep",
        "Every cell",
        titles,
        rows,
        f"Means over the problems of a cell, with intervals that hold the mean in {LEVEL:.0%} of "
        "all repetitions (Student's t; Wilson's for shares). With one problem there is none.",
    )


def _cell(value: Any) -> Any:
    return "/".join(f"{one:g}" for one in value) if isinstance(value, tuple) else value


def sweep_json(result: SweepResult) -> dict[str, Any]:
    """Collect everything of a sweep as JSON values: the settings, and of each cell every trial.

    The same settings give the same bytes: neither times nor places are in it.
    """
    config = result.config
    flat = result.values.reshape(config.n_cells, config.trials, len(config.columns))
    means = sweep_table(result)
    return {
        "format": FORMAT,
        "kind": "sweep",
        "version": clair.__version__,
        "config": config.to_json(),
        "columns": list(config.columns),
        "rows": [dict(zip(means.columns, row, strict=True)) for row in means.rows],
        "cells": [_cell_json(config, cell, flat[cell]) for cell in range(config.n_cells)],
    }


def _cell_json(config: SweepConfig, cell: int, values: np.ndarray) -> dict[str, Any]:
    at: dict[str, Any] = {"at": {k: _cell(v) for k, v in cell_values(config, cell).items()}}
    reason = obstacle(config, cell)
    if reason is not None:
        return {**at, "obstacle": reason}
    return {
        **at,
        "seeds": [cell_spec(config, cell, trial).seed for trial in range(config.trials)],
        "trials": [[None if np.isnan(v) else float(v) for v in row] for row in values],
    }


def sweep_command(config: SweepConfig) -> str:
    """Write the command that computes a sweep."""
    axes = [part for a in config.along for part in ("--axis", f"{a.name}={_listed(a)}")]
    problem = differing(config.base, ProblemSpec())
    options = {PROBLEM_OPTIONS[name]: value for name, value in problem.items()}
    options |= {FIT_OPTIONS[name]: _cell(value) for name, value in config.options}
    if isinstance(config.attack, AttackPlan):
        options[PLAN] = config.attack.to_text()
    elif config.attack is not None:
        options["--attack"] = config.attack.reference
    if isinstance(config.detector, OwnCode):
        options["--detector"] = config.detector.reference
    if config.trials != SweepConfig.trials:
        options["--trials"] = config.trials
    if config.measures != DEFAULT_MEASURES:
        options["--measures"] = ",".join(config.measures) or "none"
    if config.methods:
        options["--methods"] = ",".join(config.methods)
    return command("python", "-m", "clair", "sweep", *axes, options=options)


def _listed(axis: Axis) -> str:
    """Write the values of an axis as `clair.simulation.sweeps.axes.parse_axis` reads them."""
    words = (("on" if v else "off") if isinstance(v, bool) else _cell(v) for v in axis.values)
    return ",".join(w if isinstance(w, str) else repr(w).removesuffix(".0") for w in words)


def sweep_recipe(config: SweepConfig, note: str) -> Recipe:
    """Write Python and shell for a sweep without code of the reader's own."""
    axes = [f"Axis({literal(axis.name)}, {literal(axis.values)})" for axis in config.along]
    along = f"({', '.join(axes)}{',' * (len(axes) == 1)})"
    chosen: Mapping[str, Any] = {
        name: dict(value) if name == "options" else value
        for name, value in differing(config, SweepConfig()).items()
        if name in ("trials", "options", "measures", "methods")
    }
    plan = config.attack if isinstance(config.attack, AttackPlan) else None
    more = [f"attack=AttackPlan.from_text({literal(plan.to_text())})"] if plan else []
    lines = [
        "import clair",
        *["from clair.simulation.attack_plan import AttackPlan"] * (plan is not None),
        "from clair.simulation.sweeps.grid import Axis, SweepConfig",
        "from clair.simulation.sweeps.run import run_sweep",
        "",
        call("spec = clair.ProblemSpec", **differing(config.base, ProblemSpec())),
        call("config = SweepConfig", "spec", along, *more, **chosen),
        "result = run_sweep(config)",
        *[f"print(result.of_measure({literal(config.columns[0])}).mean(axis=-1))"],
    ]
    return Recipe("\n".join(lines), sweep_command(config), note)
