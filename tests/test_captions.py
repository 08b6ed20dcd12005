"""What sentences, titles and captions say is true under every control, also at its ends."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pytest

from clair.app.pages import lab, overview
from clair.report.blocks import Words, plots_of
from clair.report.lab import VIEWS
from clair.report.method import limits_of
from clair.report.overview import beyond, worth
from clair.sentences import poison_sentence, scenario_sentence
from clair.simulation.scenario import ScenarioResult, run_scenario

FLIP = {"attack": "sign_flip", "scale": 1.0, "heterogeneity": 1.0}
CASES: dict[str, dict[str, Any]] = {
    "opening": {},
    "nobody poisoned, screen": {"poisoned": 0.0, "screen": True},
    "all alike, nobody poisoned": {"poisoned": 0.0, "heterogeneity": 0.0},
    "flips": FLIP,
    "flips, screen": FLIP | {"screen": True},
    "flips, screen, as published": FLIP | {"screen": True, "detector": "norms"},
    "nobody kept": {"threshold": 0.01},
    "nobody kept, nobody poisoned": {"threshold": 0.01, "poisoned": 0.0},
    "noiseless": {"noise": 0.0},
    "noiseless, nobody poisoned": {"noise": 0.0, "poisoned": 0.0},
    "noiseless, screen": FLIP | {"noise": 0.0, "screen": True},
    "half": {"poisoned": 0.5},
    "half, noiseless": {"poisoned": 0.5, "noise": 0.0, "attack": "random"},
    "drowned": {"noise": 0.3},
    "wrong side": {"side": "input"},
    "as published, nobody poisoned": {"detector": "norms", "poisoned": 0.0},
    "three": {"clients": 3, "poisoned": 0.0},
    "suspects": {"attack": "random", "scale": 1.0},
    "IRLS, halves": {"solver": "irls", "halves": True},
}
every_case = pytest.mark.parametrize("case", CASES)


@cache
def result(case: str) -> ScenarioResult:
    """Compute a case, with few clients so that it is quick."""
    values = {c.key: c.default for c in lab.CONTROLS} | {"clients": 12} | CASES[case]
    return run_scenario(lab.scenario_of(values))


@cache
def said(case: str) -> tuple[str, ...]:
    """Collect all that the lab and the Overview say of a case; one text each."""
    found = result(case)
    drawn = worth(found, overview.METHODS, "light")
    texts = [scenario_sentence(found), poison_sentence(found), drawn.title, *limits_of(found)]
    texts.append(beyond(found, overview.METHODS))
    for view in set(VIEWS) - {"steps"}:
        blocks = VIEWS[view].blocks(found)
        texts += [block.text for block in blocks if isinstance(block, Words)]
        for plot in plots_of(blocks):
            chart = plot.chart("light")
            texts += [chart.title, chart.caption]
    return tuple(texts)


def any_says(case: str, pattern: str) -> bool:
    """Tell whether a text of the case matches."""
    return any(re.search(pattern, text) for text in said(case))


@every_case
def test_who_is_said_to_be_flagged_is(case: str) -> None:
    fit = result(case).fit
    nobody = r"[Ff]lagged nobody|Nobody (is|was) flagged|Flagged: nobody|too few to tell"
    assert any_says(case, nobody) == (not fit.flagged.any())
    told = r"CLAIR flagged (all|both|only|the one)|Flagged: (client|\d)|Every client is flagged"
    assert any_says(case, told) == bool(fit.flagged.any())
    if fit.flagged.all():
        assert not any_says(case, r"Highest unflagged|everybody is kept")


@every_case
def test_a_line_that_was_not_drawn_flagged_nobody_unless_something_else_did(case: str) -> None:
    fit = result(case).fit
    (why,) = [text for text in said(case) if "This decides" in text]
    undrawn = not np.isfinite(fit.threshold)
    assert ("no gap" in why) == undrawn
    others = fit.flagged & ~fit.evidence[0].flagged
    assert ("other evidence" in why or "screen flags" in why) == bool(others.any())
    for k in np.flatnonzero(others):
        assert re.search(rf"\b{k + 1}\b", why.split("Flagged by")[-1]), k


@every_case
def test_nothing_is_said_of_attackers_or_noise_that_are_not_there(case: str) -> None:
    spec = result(case).problem.spec
    if not spec.n_contaminated:
        assert not any_says(case, r"([Ee]very|Some|mildest|[Tt]he) (attackers?|poisoned)\b(?!\])")
        assert not any_says(case, r"the poison makes|honest (only|alone)|Lines of poisoned")
    if spec.noise == 0:
        assert not any_says(case, r"[Nn]oise (lifts everybody|needs)|with noise every")
    if spec.heterogeneity == 0:
        assert not any_says(case, r"clients that (truly )?differ do|all of it due to clients")
    if spec.noise == 0 and not spec.n_contaminated:
        assert not any_says(case, "ordinary difference")
    half = 2 * spec.n_contaminated >= spec.n_clients
    assert any_says(case, "by definition what most clients agree on") == half


@every_case
def test_who_is_said_to_be_best_is(case: str) -> None:
    found = result(case)
    usable = {row.method: row.mean for row in found.errors if not row.oracle}
    cheaper = "Flagging cost the others" in scenario_sentence(found)
    assert cheaper == (
        bool(found.fit.flagged.any()) and usable["pca"] < 0.95 * found.error_of(found.chosen).mean
    )
    if "averaging everybody would have been better" in scenario_sentence(found):
        assert usable["fedavg"] < found.error_of(found.chosen).mean
    if result(case).scenario.side == "input":
        assert any_says(case, "share nothing")
