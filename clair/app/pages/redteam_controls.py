"""Controls of the Red team page, and the plan that they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

from clair.app.kit.content import content, presets
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
_FIRST = ("own", "size", "directions", "agree", "alike", "noise")
_OPENING: dict[str, float] = {"size": 3.0}


def _tactic_controls(prefix: str, opening: Mapping[str, float]) -> tuple[Control, ...]:
    """Build a control for each field of a tactic that the page offers."""
    usual = {item.name: item.default for item in fields(Tactic)}
    controls = []
    for name, one in content("redteam")["tactic"].items():
        values = one["values"]
        cast: type = int if name == "directions" else float
        group = "second" if prefix == "rt2" else "send" if name in _FIRST else "more"
        default = cast(opening.get(name, usual[name]))
        make = partial(
            Control,
            f"{prefix}_{name}",
            one["label"],
            help=one["help"].replace("\n", " "),
            group=group,
            default=default,
        )
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
