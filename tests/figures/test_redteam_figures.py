"""Charts of the red team show the prices and the attempts they are given, as plotly allows."""

from __future__ import annotations

import numpy as np
import pytest

from clair.figures.palette import PAPERS, ThemeName
from clair.figures.redteam import attempts_chart, former_chart, frontiers_chart, prices_chart
from clair.redteam import DEFENCES, Attempt
from clair.redteam.gallery import GALLERY
from clair.redteam.strike import ROWS, Strike, strike
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.scenario import Scenario

PLAN = GALLERY["masking"].plan


@pytest.fixture(scope="module")
def found() -> Strike:
    return strike(Scenario(ProblemSpec(poisoned_fraction=0.4, d_out=20, d_in=16), plan=PLAN))


@pytest.mark.parametrize("theme", PAPERS)
@pytest.mark.parametrize("rule", ["today", "former"])
def test_both_marks_of_every_row_are_at_its_prices(
    found: Strike, theme: ThemeName, rule: str
) -> None:
    chart = prices_chart(found, theme, rule)
    marks = {trace.name: trace for trace in chart.figure.data if trace.name}
    rows = [key for key in ROWS if rule == "former" or key != "clair_former"]
    for name, field in (("you stay away", "alone"), ("you attack", "attacked")):
        np.testing.assert_allclose(
            marks[name].x, [getattr(found.prices[key], field) for key in rows]
        )
    assert chart.title.startswith("FedAvg pays most")


def test_the_former_rule_s_line_lies_below_the_decoy_alone(found: Strike) -> None:
    chart = former_chart(found, "light")
    assert chart.title.startswith("Flagged: client ")
    (loud,) = np.flatnonzero(found.former.flagged)
    assert found.held[loud]


def attempt(harm: float, suspicion: float, unseen: bool) -> Attempt:
    return Attempt(PLAN, harm, suspicion, unseen)


@pytest.mark.parametrize("theme", PAPERS)
def test_attempts_are_marked_by_whether_they_were_flagged(theme: ThemeName) -> None:
    tried = (attempt(1.5, 2.0, False), attempt(1.2, 1.0, True))
    chart = attempts_chart(tried, "clair", theme)
    marks = {trace.name: trace for trace in chart.figure.data}
    assert (list(marks["flagged"].y), list(marks["unflagged"].y)) == ([1.5], [1.2])
    assert list(marks["flagged"].customdata) == [PLAN.to_text()]
    assert "1.20 times" in chart.title
    far = attempts_chart((attempt(2.0, 0.5, True), attempt(1e9, 1e9, True)), "krum", theme)
    assert max(next(t.y for t in far.figure.data if t.name == "unflagged")) == 1000
    assert "no attempt stayed unflagged" in attempts_chart(tried[:1], "clair", theme).title


def test_attempts_that_hardly_differ_fill_the_chart() -> None:
    tried = tuple(attempt(1 + k / 1000, 1.0, True) for k in range(20))
    low, high = attempts_chart(tried, "clair", "light").figure.layout.yaxis.range
    assert low < 1 < 1.019 < high < 1.05
    assert "adds even 5%" in attempts_chart(tried, "clair", "light").title


def test_frontiers_of_all_defences_say_who_is_moved_least() -> None:
    attempts = (("krum", (attempt(2.0, 0.5, True),)), ("clair", (attempt(1.2, 1.0, True),)))
    chart = frontiers_chart(attempts, "clair", "light")
    widths = {trace.name: trace.line.width for trace in chart.figure.data}
    assert widths["CLAIR"] > widths[DEFENCES["krum"].label]
    assert chart.title.startswith("CLAIR is moved least, to 1.20 times")
