"""State of the comparison: the lab's controls twice, pairs to see, moves between the sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import streamlit as st

from clair.app.kit.exports import link_to, screen_of
from clair.app.kit.repeats import DRAWS
from clair.app.kit.state import Control, Preset, assign, read, same
from clair.app.pages import lab
from clair.report.document import Screen

Side = Literal["a", "b"]
SIDES: tuple[Side, Side] = ("a", "b")

#: What can differ, under the lab's keys.
PAIRED: tuple[Control, ...] = (*lab.SCENARIO, *lab.OPTIONS)
_OPENING_B: dict[str, Any] = {"poisoned": 0.45}


def _own(side: Side) -> tuple[Control, ...]:
    """Copy the lab's controls under keys of their own, so that the lab's state is left alone."""
    opening = _OPENING_B if side == "b" else {}
    return tuple(
        replace(control, key=f"{side}_{control.key}", default=opening.get(control.key, given))
        for control, given in ((control, control.default) for control in PAIRED)
    )


CONTROLS_OF: dict[Side, tuple[Control, ...]] = {side: _own(side) for side in SIDES}
VIEW = replace(
    lab.VIEW,
    key="pair_view",
    default="errors",
    help="What is drawn for both sides, on the same axes.",
    options=(
        ("errors", "Errors"),
        ("verdict", "Verdict"),
        ("split", "Split"),
        ("subspace", "Subspace"),
    ),
)
CONTROLS: tuple[Control, ...] = (*CONTROLS_OF["a"], *CONTROLS_OF["b"], VIEW, DRAWS)


def _pair(
    key: str,
    name: str,
    look_for: str,
    b: Mapping[str, Any],
    *,
    both: Mapping[str, Any] | None = None,
    view: str = "errors",
) -> Preset:
    """Build a preset: side A as the lab opens, side B with `b`, both with `both`."""
    shared = dict(both or {})
    opening = {control.key: control.default for control in PAIRED}
    values = {f"a_{k}": v for k, v in shared.items()}
    values |= {f"b_{k}": opening[k] for k in _OPENING_B}
    values |= {f"b_{k}": v for k, v in (shared | dict(b)).items()}
    return Preset(key, name, look_for, values | {"pair_view": view})


PRESETS: tuple[Preset, ...] = (
    _pair(
        "fraction",
        "25 % or 45 % poisoned",
        "CLAIR's error, which hardly moves although nearly half of the clients lie.",
        {"poisoned": 0.45},
    ),
    _pair(
        "attack",
        "Random or colluding attackers",
        "plain averaging among clients who want the same: random lies cancel and it beats CLAIR; "
        "lies that agree add up, its error more than doubles, and CLAIR is ahead.",
        {"attack": "colluding"},
        both={"poisoned": 0.45, "attack": "random", "heterogeneity": 0.0},
    ),
    _pair(
        "pooling",
        "Pooling off or on",
        "clients who all want the same: CLAIR behind plain averaging, and ahead once it pools.",
        {"pooling": "eb"},
        both={"heterogeneity": 0.0},
    ),
    _pair(
        "worlds",
        "All noise or all difference",
        "two worlds whose updates scatter outside the subspace by the same amount: in A averaging "
        "it away is right, in B training alone is exact. The server cannot know which it is in.",
        {"noise": 0.0, "off_subspace": 0.7},
        both={"poisoned": 0.0, "noise": 0.04},
    ),
    _pair(
        "score",
        "Residual or norm decides",
        "attackers who stay within the spread of the honest: one score sees them, one does not.",
        {"detector": "norms"},
        both={"poisoned": 0.45, "attack": "alie"},
        view="verdict",
    ),
    _pair(
        "noise",
        "Noise of .03 or .3",
        "a subspace found, and one lost: with ten times the noise nobody can be told apart.",
        {"noise": 0.3},
        view="subspace",
    ),
    _pair(
        "screen",
        "Coefficient screen off or on",
        "sign flips found in B only; whether that lowers the error is another question.",
        {"screen": True},
        both={"attack": "sign_flip"},
    ),
    _pair(
        "draw",
        "The same settings, drawn twice",
        "how much of a difference is mere chance: only the seed differs.",
        {"seed": 1},
    ),
)


@dataclass(frozen=True)
class Setting:
    """One setting of both sides, as text.

    Attributes
    ----------
    control : Control
        The lab's.
    texts : mapping of side to str
    differs : bool
    usual : bool
        Whether both have the value the lab opens with.
    """

    control: Control
    texts: Mapping[Side, str]
    differs: bool
    usual: bool

    @property
    def phrase(self) -> str:
        """The difference in words, for after "In B, "."""
        return f"“{self.control.label}” is {self.texts['b']} instead of {self.texts['a']}"


def values_of(values: Mapping[str, Any], side: Side) -> dict[str, Any]:
    """Pick the values of one side, under the lab's keys."""
    return {control.key: values[f"{side}_{control.key}"] for control in PAIRED}


def settings(values: Mapping[str, Any]) -> tuple[Setting, ...]:
    """List all settings of both sides, in the order of the lab."""
    rows = []
    for control in PAIRED:
        a, b = (values[f"{side}_{control.key}"] for side in SIDES)
        alike = same(a, b)
        texts: dict[Side, str] = {"a": control.words(a), "b": control.words(b)}
        rows.append(Setting(control, texts, not alike, alike and same(a, control.default)))
    return tuple(rows)


def screen(values: Mapping[str, Any]) -> Screen:
    """Describe the settings of both sides in words, with the link that opens them."""
    words = [
        setting
        for side in SIDES
        for setting in screen_of(
            "compare",
            CONTROLS_OF[side],
            values,
            {group: f"{side.upper()}: {title}" for group, title in lab.ALL_GROUPS.items()},
        ).settings
    ]
    return Screen(tuple(words), link_to("compare", CONTROLS, values))


def swap() -> None:
    """Exchange the sides; a callback."""
    _move({"a": "b", "b": "a"})


def copy(source: Side) -> None:
    """Make the other side equal to `source`; a callback."""
    _move({"a": source, "b": source})


def lab_values(values: Mapping[str, Any], side: Side) -> dict[str, Any]:
    """Pick the values that the lab needs to open one side: those that are not its defaults."""
    own = values_of(values, side)
    return {c.key: own[c.key] for c in PAIRED if not same(own[c.key], c.default)}


def _move(sources: Mapping[Side, Side]) -> None:
    values = read(CONTROLS)
    moved = {
        f"{side}_{key}": value
        for side, source in sources.items()
        for key, value in values_of(values, source).items()
    }
    assign(CONTROLS, moved | {VIEW.key: st.session_state.get(VIEW.key, VIEW.default)})
