"""Charts of the red team show the prices and the attempts they are given, as plotly allows."""

from __future__ import annotations

import numpy as np
import pytest

from clair.figures.palette import PAPERS, ThemeName
from clair.figures.redteam import attempts_chart, former_chart, prices_chart
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


@pytest.mark.parametrize("theme", PAPERS)
def test_attempts_are_marked_by_whether_they_were_flagged(theme: ThemeName) -> None:
    attempts = {
        "krum": tuple(Attempt(PLAN, harm, seen, True) for harm, seen in ((2.0, 0.5), (1e9, 1e9))),
        "clair": (Attempt(PLAN, 1.5, 2.0, False), Attempt(PLAN, 1.2, 1.0, True)),
    }
    chart = attempts_chart(attempts, "clair", theme)
    marks = {trace.name: trace for trace in chart.figure.data}
    assert (list(marks["flagged"].y), list(marks["unflagged"].y)) == ([1.5], [1.2])
    assert list(marks["flagged"].customdata) == [PLAN.to_text()]
    assert "1.20 times" in chart.title
    assert DEFENCES["krum"].label in marks
    far = attempts_chart(attempts, "krum", theme)
    assert max(next(t.y for t in far.figure.data if t.name == "unflagged")) == 1000
    assert "nothing tried yet" in attempts_chart({"clair": ()}, "clair", theme).title
