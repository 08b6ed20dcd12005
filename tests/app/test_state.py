"""Declarations of controls and presets, and what the presets promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clair.app.kit.state import Control, Preset, active_preset
from clair.app.pages import lab, overview
from clair.simulation.scenario import ScenarioResult, run_scenario


def control(**changes: Any) -> Control:
    """Make an integer control, with `changes` to its fields."""
    fields: dict[str, Any] = {"key": "k", "label": "K", "kind": "int", "default": 2, "help": ""}
    return Control(**(fields | {"low": 0, "high": 4} | changes))


@pytest.mark.parametrize(
    ("changes", "good", "bad"),
    [
        ({}, [0, 4, 3.0], [-1, 5, 2.5, "2", None, True, float("nan"), float("inf")]),
        ({"kind": "float", "default": 0.5}, [0.5, 4, 4.0], [4.1, "x", None, False]),
        ({"kind": "flag", "default": True}, [True, False], [1, "true", None]),
        ({"kind": "optional_float", "default": None}, [None, 1.5], [9.0, "", float("nan")]),
        (
            {"kind": "choice", "default": "a", "options": (("a", "An A"), ("b", "A B"))},
            ["a", "b"],
            ["An A", "c", None, 0],
        ),
    ],
)
def test_values_are_checked(changes: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    one = control(**changes)
    assert [value for value in good if not one.valid(value)] == []
    assert [value for value in bad if one.valid(value)] == []


def test_a_default_must_keep_its_own_rule() -> None:
    with pytest.raises(ValueError, match="default of control 'k'"):
        control(default=9)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, "a whole number from 0 to 4"),
        ({"kind": "float", "high": None}, "a number of at least 0"),
        ({"kind": "flag", "default": True}, "true or false"),
        ({"kind": "segment", "options": ((2, "Two"), ("b", "A B"))}, "one of Two, A B"),
        ({"kind": "choice", "options": tuple((i, "x") for i in range(5))}, "one of the 5 options"),
    ],
)
def test_rules_are_said_in_words(changes: dict[str, Any], rule: str) -> None:
    assert control(**changes).rule == rule


def test_addresses_use_labels_and_plain_numbers() -> None:
    choice = control(kind="choice", default="a", options=(("a", "An A"),))
    assert choice.to_url("a") == "An A"
    assert control(kind="flag", default=True).to_url(False) == "false"
    assert control(kind="float", default=0.25).to_url(0.25) == "0.25"


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, {"3": "3", "9": None, "nan": None, "inf": None, "three": None, "": None, "2.5": None}),
        ({"kind": "float", "default": 0.5}, {"0.5": "0.5", "-1": None, "1e400": None}),
        ({"kind": "flag", "default": True}, {"false": "false", "maybe": None, "": None}),
        (
            {"kind": "choice", "default": "a", "options": (("a", "An A"), (2, "Two"))},
            {"a": "An A", "AN A": "An A", "2": "Two", "c": None, "": None},
        ),
    ],
)
def test_addresses_are_read_strictly(changes: dict[str, Any], texts: dict[str, str | None]) -> None:
    one = control(**changes)
    assert {raw: one.from_url(raw) for raw in texts} == texts


def test_keys_are_unique_and_documented() -> None:
    everything = lab.CONTROLS + overview.CONTROLS
    keys = [c.key for c in everything]
    assert len(set(keys)) == len(keys)
    assert all(c.help and c.label for c in everything)


@pytest.mark.parametrize("preset", lab.PRESETS, ids=lambda p: p.key)
def test_presets_hold_valid_values_that_differ_from_the_defaults(preset: Preset) -> None:
    known = {c.key: c for c in lab.CONTROLS}
    for key, value in preset.values.items():
        assert known[key].valid(value)
        assert value != known[key].default
    values = {c.key: c.default for c in lab.CONTROLS} | dict(preset.values)
    assert lab.obstacle(values) is None
    assert active_preset(lab.PRESETS, lab.CONTROLS, values) is preset
    assert active_preset(lab.PRESETS, lab.CONTROLS, values | {"seed": 1}) is None


def outcome(key: str) -> ScenarioResult:
    """Compute the result of a preset."""
    values = {c.key: c.default for c in lab.CONTROLS} | dict(overview.preset(key).values)
    return run_scenario(lab.scenario_of(values))


def test_presets_keep_their_promises() -> None:
    for key in ("opening", "colluders", "exact", "clean", "screened", "same", "partial"):
        assert outcome(key).detection.exact, key
    assert not outcome("blind").fit.flagged.any()
    exact = outcome("exact")
    assert exact.fit.certificate is not None
    assert exact.fit.certificate.holds
    assert exact.error_of("clair").mean < 1e-6
    clean = outcome("clean")
    assert clean.error_of("clair").mean < 0.5 * clean.error_of("local").mean
    same = outcome("same")
    assert same.error_of("fedavg").mean < 0.8 * same.error_of("clair").mean
    assert same.error_of("clair_eb").mean < same.error_of("fedavg").mean
    partial = outcome("partial")
    assert partial.error_of("clair").mean > partial.error_of("local").mean
    drowned = outcome("drowned")
    assert not drowned.fit.flagged.any()
    assert drowned.angles is not None
    assert drowned.angles[-1] > 20


def test_limits_and_entries_point_at_presets() -> None:
    for key in [*overview.ENTRIES, *(limit.preset for limit in overview.LIMITS)]:
        assert overview.preset(key).key == key


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rank": 8, "d_out": 4}, "the true rank cannot be 8"),
        ({"use_rank": 8, "d_in": 4}, "the rank CLAIR uses cannot be 8"),
        ({"clients": 3, "poisoned": 0.4}, "Only 2 honest clients"),
    ],
)
def test_impossible_combinations_are_explained(changes: dict[str, Any], words: str) -> None:
    values = {c.key: c.default for c in lab.CONTROLS} | changes
    assert words in (lab.obstacle(values) or "")


def test_every_possible_extreme_is_either_explained_or_solved() -> None:
    base = {c.key: c.default for c in lab.CONTROLS}
    for one in lab.CONTROLS:
        extremes = one.ids or [v for v in (one.low, one.high) if v is not None] or [True, False]
        if one.kind == "text":
            extremes = ["", "size_1000_own_-100_spike_4_ladder_10_copy_10_noise_10__noise_0_own_0"]
        for value in extremes:
            if one.kind in ("int", "number"):
                value = int(value)
            values = base | {"clients": 8, one.key: value}
            if lab.obstacle(values) is None:
                found = run_scenario(lab.scenario_of(values)).errors
                assert all(np.isfinite(e.mean) and e.mean >= 0 for e in found), values
