"""What the Overview says: entry points, limits and words, kept as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import streamlit as st

from clair.app.kit.exports import Export, screen_of
from clair.app.kit.state import Control, Preset
from clair.app.pages import lab
from clair.report.document import Screen
from clair.report.overview import overview_report
from clair.report.scenario import (
    client_table,
    error_table,
    method_table,
    scenario_json,
    scenario_recipe,
)
from clair.simulation.scenario import ScenarioResult

_PREFIX = "demo_"

#: Where the picture opens: the poison visibly harms an average and a subspace fitted to everybody
#: (`benchmarks/opening.py`), so that it shows what a verdict is worth.
OPENING: dict[str, Any] = {
    "clients": 20,
    "poisoned": 0.3,
    "attack": "colluding",
    "scale": 2.0,
    "heterogeneity": 0.3,
}
#: Controls of the opening picture: some of the lab's, under keys of their own, because a preset
#: opened from here sets the lab's.
CONTROLS: tuple[Control, ...] = tuple(
    replace(control, key=_PREFIX + control.key, default=OPENING[control.key])
    for control in lab.SCENARIO
    if control.key in OPENING
)


def lab_values(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Set the lab's values to what is chosen here, everything else to its default."""
    values = {control.key: control.default for control in lab.CONTROLS}
    return values | {key.removeprefix(_PREFIX): value for key, value in chosen.items()}


#: Methods of the second picture, and an explanation for somebody who knows none of them.
METHODS: tuple[str, ...] = ("local", "fedavg", "median", "pca", "clair", "fedavg_benign")
ERRORS = """
Each honest client has an update that would be right for it; little data makes what it learns miss
that update. The distance is its **error**: 0 would be perfect. *Local only* is what it reaches
alone. *FedAvg* gives everybody the plain average, *coordinate median* the middle value of every
number, which a few liars cannot drag far. *PCA* refines as CLAIR does but believes everybody. The
last row averages the honest clients only, as if somebody had told the server who they are: what it
still lacks is due to clients that truly differ.
"""


# On a phone tiles stay wide enough to be told apart. Many of them scroll sideways, and a line says
# so. The drawing ignores the finger, because plotly.js would catch it and stop the scrolling.
_PHONE_CSS = """
@media (max-width: 640px) {
  .st-key-overview_split { overflow-x: auto; scrollbar-width: thin; }
  .st-key-overview_split .clair-chart { min-width: WIDTHrem; }
  .st-key-overview_split .nsewdrag { pointer-events: none !important; }
  .st-key-overview_split::before { content: "HINT"; position: sticky; left: 0;
    font-size: 0.875rem; }
}
.st-key-overview_board button, .st-key-overview_board button p { text-align: left; }
"""
_TILE = 2.2  # rem


def phone_css(n_clients: int) -> str:
    """Write the CSS of the opening picture and the board story's link on a narrow screen."""
    hint = "The strips go on to the right." if n_clients > 10 else ""
    return _PHONE_CSS.replace("WIDTH", f"{_TILE * n_clients:g}").replace("HINT", hint)


@dataclass(frozen=True)
class Limit:
    """Something CLAIR cannot do, and the preset of the lab that shows it."""

    title: str
    text: str
    preset: str


ENTRIES: tuple[str, ...] = ("opening", "colluders", "exact", "clean", "screened")

LIMITS: tuple[Limit, ...] = (
    Limit(
        "It cannot see a lie told in the common language.",
        "An attacker who stays inside the shared directions, such as one who sends its honest "
        "update with the sign reversed, leaves no trace in S. A second check, the coefficient "
        "screen, closes most of this gap; it is off by default because it goes beyond the method "
        "as published.",
        "blind",
    ),
    Limit(
        "It does not convict noise.",
        "A client that sends dense noise looks like an honest one with few data. Up to ten times a "
        "typical residual such a client is suspect, not flagged: it is refined, and the others "
        "learn nothing from it.",
        "dense",
    ),
    Limit(
        "It needs a few clients to compare.",
        "With three clients nobody is judged, and with four to seven only wide gaps count. In a "
        "model of many layers, a layer that only three clients changed is not compared: poison "
        "there goes unseen.",
        "few",
    ),
    # Copies: 3 of the lab's seeds 0 to 399, and 1 of the 20 in benchmarks/results/verdict.md.
    # Growing steps ("ladder in one direction" there): 6 of seeds 0 to 99, and 1 of 20.
    Limit(
        "Rarely, attackers who agree take its gain away.",
        "Three of eight clients who copy one honest update can hide a shared direction from the "
        "automatic choice of the rank: in about one draw of a hundred CLAIR is then no better than "
        "training alone. Twenty of fifty who all push one way, each a little harder than the last, "
        "cost part of the gain, or all of it, in about one draw of twenty.",
        "copied",
    ),
    Limit(
        "It costs where clients share little.",
        "Whatever an honest client holds outside the shared directions is averaged away. If that "
        "is more than the noise, training alone is better, and one update per client cannot tell. "
        "Two more, each from half of a client's data, can: refinement with halves (ours) then "
        "shares only where it pays.",
        "partial",
    ),
    Limit(
        "It is not the best choice when everybody wants the same.",
        "With no attackers and no differences a plain average has less error. Pooling, an "
        "extension of ours, wins that back.",
        "same",
    ),
    Limit(
        "It drowns in noise.",
        "When the noise of one client is larger than what it has learned, the shared directions "
        "are found only roughly and nobody can be told apart.",
        "drowned",
    ),
)
MAJORITY = (
    "**It needs an honest majority.** With half of the clients or more poisoned, no method can "
    "tell which group is the honest one. Below that the verdict holds against people who know it: "
    "attackers who agree, decoys a hundred times as loud that would hide the others, whispers the "
    "size of one honest update, copies of an honest client. We tried 31 attacks by two clients in "
    "five, on small and large groups and twenty draws each. The honest clients' error was on "
    "average at most 2 % above what it is if the server knows who lies, except in three cases with "
    "5 to 9 %, each owing to a single draw in which CLAIR gained the honest next to nothing. "
    "What remains is below.\n\n"
    "**Not all of it has been attacked.** Our search for worse attacks plays one layer and one "
    "update per client. So it never meets the shape of an update, our evidence against quiet "
    "backdoors in language models, which an attacker who knows of it can train away; nor the "
    "refinement with halves."
)


def preset(key: str) -> Preset:
    """Find a preset of the lab by its key.

    Raises
    ------
    KeyError
        If there is none.
    """
    return {entry.key: entry for entry in lab.PRESETS}[key]


def take_of(result: ScenarioResult, chosen: Mapping[str, Any]) -> Export:
    """Build the downloads of the opening picture."""
    return Export(
        name="clair-overview",
        recipe=scenario_recipe(result.scenario),
        report=partial(overview_report, result, METHODS, ERRORS.strip(), _screen(chosen)),
        tables={
            "Clients": partial(client_table, result),
            "Methods": partial(method_table, result),
            "Errors": partial(error_table, result),
        },
        numbers=partial(scenario_json, result),
    )


def _screen(chosen: Mapping[str, Any]) -> Screen:
    """Describe the settings, with a link that has its host even at the app's root."""
    screen = screen_of("overview", CONTROLS, chosen)
    root = (st.context.url or "").split("?")[0].rstrip("/")
    known = screen.link.startswith("http")
    return screen if known else replace(screen, link=f"{root}{screen.link}")
