"""The figure of a sweep for a paper, with a caption that holds all settings."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import clair
from clair.figures.paper import curve_svg, heat_map_svg
from clair.report.sweeps import column_title
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.attacks import ATTACKS
from clair.simulation.sweeps.axes import AXIS_TITLES
from clair.simulation.sweeps.grid import SweepConfig, SweepResult
from clair.theory.boundary import predicted

#: What is drawn where a level decides what counts as success.
_SUCCESS = {
    "exact": "exactly the poisoned clients flagged",
    "error": "subspace error at most {level:g}",
    "f1": "F1 at least {level:g}",
}
_SHARES = ("exact", "f1", "precision", "recall")


def sweep_svg(result: SweepResult, name: str) -> str:
    """Draw the means of a measure, or of a method's errors, along one axis or two.

    Raises
    ------
    ValueError
        If it was not measured, or there are other than one or two axes.
    """
    config, values = result.config, result.of_measure(name)
    title = "trials with the exact set" if name == "exact" else column_title(name)
    what = f"Mean of the {column_title(name)}" if name != "exact" else "Share of problems with "
    what += _SUCCESS["exact"] if name == "exact" else ""
    caption = f"{what}, over {config.trials} problems a cell. {settings_words(config)}"
    if len(config.along) == 1:
        return curve_svg(result, name, title, caption)
    if len(config.along) != 2:
        raise ValueError(f"axes must be one or two for a figure, got {len(config.along)}")
    boundary = predicted(config, "exact") if name == "exact" else None
    return heat_map_svg(
        values.mean(axis=-1),
        (config.x, config.y),
        title,
        caption,
        share=name in _SHARES,
        beyond=None if boundary is None else boundary >= 0.5,
    )


def success_svg(result: SweepResult, measure: str, level: float) -> str:
    """Draw the share of successful trials of a phase diagram, as the Theory page counts them.

    Parameters
    ----------
    result : SweepResult
        Of two axes.
    measure : {"exact", "error", "f1"}
    level : float
        See `SweepResult.success`.
    """
    config = result.config
    boundary = None
    if measure != "f1":
        boundary = predicted(config, "exact" if measure == "exact" else "subspace_error")
    beyond = None
    if boundary is not None:
        beyond = boundary >= 0.5 if measure == "exact" else boundary <= level
    words = _SUCCESS[measure].format(level=level)
    caption = (
        f"Share of problems with {words}, over {config.trials} problems a cell. "
        f"{settings_words(config)}"
    )
    shares = result.success(measure, level)
    return heat_map_svg(shares, (config.x, config.y), "successful trials", caption, beyond=beyond)


def _shown(value: Any) -> str:
    return ATTACKS[value].label.lower() if isinstance(value, str) else f"{value:g}"


def settings_words(config: SweepConfig) -> str:
    """Write all settings of a sweep that are no axis, in sentences for a caption."""
    replaced = ("attack", "second_attack", "second_share") if config.attack is not None else ()
    spec: dict[str, Any] = asdict(config.base)
    if not spec["second_share"] and "second_share" not in config.axes:
        replaced = (*replaced, "second_attack", "second_share")
    parts = [
        f"{AXIS_TITLES[name][0]} {_shown(value)}"
        for name, value in spec.items()
        if name not in config.axes and name not in replaced
    ]
    if isinstance(config.attack, AttackPlan):
        parts.append(f"attack by the plan {config.attack.to_text()}")
    elif config.attack is not None:
        parts.append(f"attack {config.attack.reference} (own code)")
    options = [f"{AXIS_TITLES[name][0]} {value}" for name, value in config.options]
    if config.detector is not None:
        options.append(f"detector {config.detector.reference} (own code)")
    if "use_rank" not in config.axes and not any(name == "use_rank" for name, _ in config.options):
        options.append("told the true rank")
    return f"Settings: {', '.join(parts)}. CLAIR {clair.__version__}: {', '.join(options)}."
