"""State of the Theory page: sections, controls, presets, and the problem they describe.

Keys differ from the lab's, because a click in a phase diagram sets the lab's state from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clair.app.kit.content import presets
from clair.app.kit.state import Control
from clair.app.pages import lab
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.sweeps.grid import AXIS_TITLES

SECTION = Control(
    "section",
    "Section",
    "segment",
    "window",
    "What is looked at.",
    options=(
        ("window", "The window for λ"),
        ("certificate", "Certificate"),
        ("phase", "Phase diagrams"),
        ("stable", "Stable recovery"),
        ("sets", "The right set"),
        ("gain", "Gain"),
        ("blind", "Blind spots"),
    ),
)

_LAB = {control.key: control for control in lab.SCENARIO}


def _own(key: str, **changes: Any) -> Control:
    return replace(_LAB[key], key=f"th_{key}", **changes)


#: Field of a problem that may be an axis of a phase diagram, to the lab's key.
SWEPT: dict[str, str] = {
    "poisoned_fraction": "poisoned",
    "rank": "rank",
    "n_clients": "clients",
    "noise": "noise",
    "off_subspace": "off_subspace",
    "attack_scale": "scale",
    "heterogeneity": "heterogeneity",
    "unevenness": "uneven",
    "data_spread": "data_spread",
    "attack": "attack",
    "second_attack": "second_attack",
    "second_share": "second_share",
}
#: The same for options of CLAIR, which this page has no controls for.
SWEPT_OPTIONS: dict[str, str] = {
    "detector": "detector",
    "threshold": "threshold",
    "screen_coefficients": "screen",
}
#: Settings that only phase diagrams use, under the lab's keys; their predictions do not know them.
FURTHER: tuple[str, ...] = ("uneven", "data_spread", "second_attack", "second_share")
#: Lab settings this page has too, under its own keys.
SHARED: tuple[str, ...] = (
    "clients",
    "poisoned",
    "attack",
    "scale",
    "rank",
    "heterogeneity",
    "off_subspace",
    "noise",
    "d_out",
    "d_in",
    "seed",
)

UNEVEN = Control(
    "th_uneven",
    "Unevenness of the clients",
    "float",
    0.0,
    "Spread of the clients' sizes (standard deviation of their logarithm). Uneven clients raise "
    "the incoherence μ: a few of them carry much of a direction.",
    low=0.0,
    high=1.0,
    step=0.1,
    format="%.1f",
)
EXACT_NOISE = Control(
    "th_exact_noise",
    "Noise",
    "float",
    0.0,
    "Exact recovery is a statement about clean updates; a little noise shows how it ends.",
    low=0.0,
    high=0.05,
    step=0.005,
    format="%.3f",
)
LAM_TIMES = Control(
    "th_lam",
    "λ, relative to the middle of the window",
    "float",
    1.0,
    "1 is the middle (on a logarithmic scale) of the window estimated from the two norms.",
    low=0.4,
    high=2.5,
    step=0.05,
    format="%.2f×",
)
SCENARIO: tuple[Control, ...] = (
    *(_own(key) for key in SHARED),
    UNEVEN,
    *(_own(key) for key in FURTHER if key != "uneven"),
    EXACT_NOISE,
)

# What may be an axis of a phase diagram here; the command ``sweep`` has more.
_AXES = tuple(
    (name, AXIS_TITLES[name][0]) for name in AXIS_TITLES if name in SWEPT or name in SWEPT_OPTIONS
)
PHASE: tuple[Control, ...] = (
    Control(
        "th_x",
        "Across",
        "choice",
        "noise",
        "Setting along the horizontal axis; its slider is then ignored.",
        options=_AXES,
    ),
    Control(
        "th_y",
        "Upwards",
        "choice",
        "attack_scale",
        "Setting along the vertical axis; its slider is then ignored.",
        options=_AXES,
    ),
    Control(
        "th_method",
        "Method",
        "choice",
        "residual",
        "CLAIR as it runs by default, or the convex program alone: flags by contamination norms, "
        "no polish. Both are told the true rank.",
        options=(("residual", "CLAIR (detector, polished)"), ("norms", "Convex program alone")),
    ),
    Control(
        "th_grid",
        "Resolution",
        "segment",
        "fine",
        "Coarse: about 10 × 10 cells of 5 problems. Fine: up to 25 × 20 cells of 10.",
        options=(("coarse", "Coarse"), ("fine", "Fine")),
    ),
    Control(
        "th_measure",
        "Success means",
        "choice",
        "exact",
        "What a trial must achieve to count.",
        options=(
            ("exact", "exactly the poisoned clients flagged"),
            ("error", "subspace error at most the level"),
            ("f1", "F1 at least the level"),
        ),
    ),
    Control(
        "th_level",
        "Level",
        "float",
        0.1,
        "Largest subspace error (sine of the largest angle), or least F1, that counts.",
        low=0.02,
        high=1.0,
        step=0.02,
        format="%.2f",
    ),
)
SET_AXIS = Control(
    "th_set_axis",
    "Along",
    "segment",
    "noise",
    "Setting that is varied; the others stay as they are.",
    options=(("noise", "Noise"), ("attack_scale", "Attack strength")),
)
GAIN_AXIS = Control(
    "th_gain_axis",
    "Along",
    "segment",
    "off_subspace",
    "Setting that is varied; the others stay as they are.",
    options=(
        ("off_subspace", "Off-subspace heterogeneity"),
        ("noise", "Noise"),
        ("n_clients", "Clients"),
    ),
)
BLIND = Control(
    "th_blind",
    "Blind spot",
    "segment",
    "sign_flip",
    "Each sets the attack, and where needed the strength, fraction or noise, that shows it.",
    options=(
        ("sign_flip", "Sign flip"),
        ("scaled", "Scaled copies"),
        ("random", "Dense noise"),
        ("noise", "Noise above signal"),
    ),
)
CONTROLS: tuple[Control, ...] = (
    SECTION,
    *SCENARIO,
    LAM_TIMES,
    *PHASE,
    SET_AXIS,
    GAIN_AXIS,
    BLIND,
)

#: Controls of a section beside those of the problem.
OWN: dict[str, tuple[Control, ...]] = {
    "certificate": (LAM_TIMES,),
    "phase": PHASE,
    "sets": (SET_AXIS,),
    "gain": (GAIN_AXIS,),
    "blind": (BLIND,),
}

_ALWAYS = ("clients", "poisoned", "attack", "scale", "rank", "heterogeneity")
_EXACT = (*_ALWAYS, "uneven", "exact_noise")
_NOISY = (*_ALWAYS, "off_subspace", "noise")
SIZE = ("d_out", "d_in", "seed")
#: Settings each section uses, beside size and seed.
USED: dict[str, tuple[str, ...]] = {
    "window": _EXACT,
    "certificate": _EXACT,
    "phase": (*_NOISY, *FURTHER),
    "stable": (*_ALWAYS, "off_subspace"),
    "sets": _NOISY,
    "gain": _NOISY,
    "blind": ("clients", "poisoned", "rank", "heterogeneity", "noise"),
}

PRESETS = presets("theory")


def used_controls(values: Mapping[str, Any]) -> list[Control]:
    """List the controls that the section uses."""
    section = values[SECTION.key]
    keys = {*USED[section], *SIZE}
    if section == "phase":  # an axis takes the place of its slider
        keys -= {SWEPT.get(values["th_x"]), SWEPT.get(values["th_y"])}
    problem = [c for c in SCENARIO if c.key.removeprefix("th_") in keys]
    return [*problem, *OWN.get(section, ())]


def obstacle(values: Mapping[str, Any]) -> str | None:
    """Explain why these values have no result; None if they have one."""
    as_lab = {key: values[f"th_{key}"] for key in SHARED}
    reason = lab.obstacle({**as_lab, "use_rank": "auto"})
    if reason is not None:
        return reason
    if values["th_rank"] >= values["th_d_out"]:
        return (
            f"A subspace of {values['th_rank']} dimensions fills all {values['th_d_out']} rows of "
            "an update: nothing lies outside it, so nobody can be told apart. Lower the rank or "
            "add rows."
        )
    return None


def spec_of(
    values: Mapping[str, Any], *, exact: bool = False, further: bool = False
) -> ProblemSpec:
    """Build the problem that the controls describe.

    Parameters
    ----------
    values : mapping
    exact : bool
        Whether the section is about exact recovery: then the noise and the unevenness are its own,
        and honest clients have nothing off the subspace.
    further : bool
        Whether the section uses the settings in `FURTHER`.
    """
    used = (*SHARED, *FURTHER * further)
    spec = lab.spec_of({key: values[f"th_{key}"] for key in used})
    if not exact:
        return spec
    return replace(
        spec,
        noise=values["th_exact_noise"],
        unevenness=values["th_uneven"],
        off_subspace=0.0,
    )
