"""Controls of the Red team page, and the plan that they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

from clair.app.kit.content import presets
from clair.app.kit.state import Control, Kind
from clair.app.pages import lab
from clair.redteam import DEFENCES
from clair.simulation.attack_plan import AttackPlan, Tactic

#: Groups of the controls in order, and their titles.
GROUPS: dict[str, str] = {
    "you": "You",
    "send": "What your clients send",
    "more": "More tricks",
    "second": "A second group of yours",
    "world": "The federation",
}

HELD = Control(
    "rt_held",
    "Clients you hold",
    "int",
    8,
    "How many of the clients are yours. You know everything: the shared directions, the honest "
    "updates, and how every defence works.",
    low=1,
    high=30,
    step=1,
    group="you",
)
SECOND = Control(
    "rt_second",
    "Clients in the second group",
    "int",
    0,
    "How many of your clients do something else, such as a loud decoy. 0: all do the same.",
    low=0,
    high=30,
    step=1,
    group="second",
)
#: Sizes and factors that can be chosen: finer where they are small.
_SIZES = (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 30, 40, 70, 100)
_FACTORS = (-10, -5, -3, -2, -1, -0.5, -0.3, 0, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)
#: Fields of a tactic that the page offers: label and help, then a range with its step, or values.
_FIELDS: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "own": (
        "Honest update",
        "What becomes of the update they would honestly send: 1 keeps it, 0 drops it, -1 reverses "
        "it, 10 sends it ten times too large. It lies inside the shared subspace.",
        _FACTORS,
    ),
    "size": (
        "Size of the false part",
        "Size of what they add, relative to a typical honest update.",
        _SIZES,
    ),
    "directions": (
        "Directions of the false part",
        "How many directions the false part has; 0: dense, all directions at once, like noise.",
        (0, 16, 1),
    ),
    "agree": (
        "Agree on the directions",
        "0: each has false directions of its own. 1: all have the same.",
        (0, 1, 0.1),
    ),
    "alike": (
        "Agree on the coefficients",
        "0: each goes its own way along the directions. 1: all the same way.",
        (0, 1, 0.1),
    ),
    "noise": (
        "Noise",
        "Factor of their estimation error. Without it (0) they look cleaner than the honest.",
        (0, 2, 0.1),
    ),
    "inside": (
        "Inside the subspace",
        "Share of the false part that lies inside the directions that the honest share.",
        (0, 1, 0.1),
    ),
    "spike": (
        "Shape of the entries",
        "1: spread like honest ones. More: a few large entries. 0: all of one size.",
        (0, 4, 0.1),
    ),
    "tilt": (
        "Turn the shared directions",
        "Sine of the angle by which they turn the shared directions, all in the same way.",
        (0, 1, 0.05),
    ),
    "ladder": (
        "Ladder",
        "Ratio by which what lies outside grows from one of your clients to the next, so that no "
        "gap opens between them.",
        (1, 1.5, 0.01),
    ),
    "copy": (
        "Copy a victim's update",
        "Adds so many times the update of the honest client that stands out most.",
        (-2, 2, 0.1),
    ),
    "echo": (
        "Copy a victim's residual",
        "Adds so many times what that client sends outside the shared subspace.",
        (-3, 3, 0.1),
    ),
    "mean": (
        "Add the honest mean",
        "Adds so many times the mean of the honest clients.",
        (-3, 3, 0.1),
    ),
    "deviation": (
        "Add the honest spread",
        "Adds so many standard deviations of every entry over the honest clients.",
        (-3, 3, 0.1),
    ),
}
_FIRST = ("own", "size", "directions", "agree", "alike", "noise")
_OPENING: dict[str, float] = {"size": 3.0}


def _tactic_controls(prefix: str, opening: Mapping[str, float]) -> tuple[Control, ...]:
    """Build a control for each field of a tactic that the page offers."""
    usual = {item.name: item.default for item in fields(Tactic)}
    controls = []
    for name, (label, about, values) in _FIELDS.items():
        cast: type = int if name == "directions" else float
        group = "second" if prefix == "rt2" else "send" if name in _FIRST else "more"
        default = cast(opening.get(name, usual[name]))
        make = partial(Control, f"{prefix}_{name}", label, help=about, group=group, default=default)
        if len(values) > 3:
            options = tuple((cast(value), f"{value:g}") for value in values)
            controls.append(make(kind="scale", options=options))
            continue
        low, high, step = map(cast, values)
        text = "%d" if cast is int else "%.2f" if step < 0.1 else "%.1f"
        kind: Kind = "int" if cast is int else "float"
        controls.append(make(kind=kind, low=low, high=high, step=step, format=text))
    return tuple(controls)


FIRST_GROUP = _tactic_controls("rt1", _OPENING)
SECOND_GROUP = _tactic_controls("rt2", {})
#: Found by the search; takes the place of both groups.
PLAN = replace(
    lab.PLAN,
    key="rt_plan",
    group="send",
    help="A plan that a search found. It takes the place of the settings below; empty it to have "
    "them back.",
)
_LAB = {control.key: control for control in (*lab.SCENARIO, *lab.OPTIONS)}
#: The lab's controls that this page has too, under keys of its own.
SHARED = ("heterogeneity", "off_subspace", "noise", "rank", "d_out", "d_in", "seed", "use_rank")
CLIENTS = replace(
    _LAB["clients"],
    key="rt_clients",
    label="Clients in all",
    low=5,
    high=40,
    group="you",
    help="Yours and the honest ones.",
)
WORLD = tuple(replace(_LAB[key], key=f"rt_{key}", group="world") for key in SHARED)

VIEW = Control(
    "rt_view",
    "View",
    "segment",
    "attack",
    "What is looked at.",
    options=(
        ("attack", "Your attack"),
        ("search", "Let the computer try"),
        ("table", "What defeats what"),
        ("lessons", "What it teaches"),
    ),
    group="view",
)
RULE = Control(
    "rt_rule",
    "Judged by",
    "segment",
    "today",
    "Today's rule is CLAIR as it is. The former one started from one subspace, counted every "
    "client by its size, and looked for the widest gap once.",
    options=(("today", "Today's rule"), ("former", "The former rule")),
    group="view",
)
DEFENCE = Control(
    "rt_defence",
    "Search against",
    "choice",
    "clair",
    "The defence that the computer attacks.",
    options=tuple((key, defence.label) for key, defence in DEFENCES.items()),
    group="view",
)
BUDGET = Control(
    "rt_budget",
    "Runs of the defence",
    "segment",
    300,
    "How often the computer may run the defence. More finds worse attacks, and takes longer.",
    options=((120, "120"), (300, "300"), (600, "600")),
    group="view",
)
CONTROLS: tuple[Control, ...] = (
    HELD,
    CLIENTS,
    PLAN,
    *FIRST_GROUP,
    SECOND,
    *SECOND_GROUP,
    *WORLD,
    VIEW,
    RULE,
    DEFENCE,
    BUDGET,
)


PRESETS = presets("redteam")


def plan_of(values: Mapping[str, Any]) -> AttackPlan:
    """Build the plan that the controls describe."""
    if values[PLAN.key]:
        return AttackPlan.from_text(values[PLAN.key])
    held, second = values[HELD.key], min(values[SECOND.key], values[HELD.key])
    groups = []
    for share, prefix, controls in (
        (second, "rt2", SECOND_GROUP),
        (held - second, "rt1", FIRST_GROUP),
    ):
        if share:
            sent = {c.key.removeprefix(f"{prefix}_"): values[c.key] for c in controls}
            groups.append(Tactic(share=share / held, **sent))
    return AttackPlan(tuple(groups))
