"""Repeated draws: what a draw is, and that chart, table and sentence hold the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from clair import ProblemSpec
from clair.figures.repeats import repeated_comparison
from clair.methods import METHODS
from clair.report.lab import lab_export
from clair.report.repeats import draw_table, repeat_sentence, repeat_table, with_repeats
from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.scenario import Scenario, run_scenario
from clair.simulation.sweeps.grid import SweepResult
from clair.simulation.sweeps.repeats import Repeats, difference, repeats_of
from clair.simulation.sweeps.run import run_cells

SPEC = ProblemSpec(n_clients=9, d_out=12, d_in=10, rank=2, noise=0.08, seed=5)
SCENARIOS = {
    "plain": Scenario(SPEC),
    "options": Scenario(SPEC, rank=2, screen_coefficients=True, pooling="halves", solver="irls"),
    "plan": Scenario(SPEC, side="input", plan=AttackPlan((Tactic(own=-1, size=1),))),
}


def drawn(scenario, draws=4):
    config = repeats_of(scenario, draws)
    return Repeats.of(SweepResult.of(config, dict(run_cells(config, tuple(range(draws))))))


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_draw_is_the_scenario_under_its_seed(scenario):
    repeats = drawn(scenario, 2)
    for index, seed in enumerate((5, 6)):
        alone = run_scenario(replace(scenario, spec=replace(SPEC, seed=seed)))
        expected = {row.method: row.mean for row in alone.errors}
        assert {m: errors[index] for m, errors in repeats.errors} == expected
        assert repeats.exact[index] == alone.detection.exact
    assert repeats.seeds == (5, 6)


def test_chart_table_and_downloads_hold_the_same_numbers():
    sides = {"": drawn(SCENARIOS["plain"])}
    traces = {t["name"]: t for t in repeated_comparison(sides[""], "light").figure.traces}
    export = lab_export(run_scenario(SCENARIOS["plain"]))
    whole = with_repeats(export, sides, {"": "clair"})
    assert "Over 4 draws" in whole.html()
    rows = whole.csv("Repeats").splitlines()
    assert rows[0] == "method,draws,mean,low,high,sd"
    for (method, errors), row in zip(sides[""].errors, repeat_table(sides).rows, strict=True):
        label = METHODS[method].label
        assert traces[label]["x"].tolist() == list(errors)
        interval = stats.t.interval(0.95, 3, np.mean(errors), stats.sem(errors))
        assert traces[f"{label}, 95% interval of the mean"]["x"] == pytest.approx(interval)
        assert row[2:5] == pytest.approx((np.mean(errors), *interval))
    assert len(draw_table(sides).rows) == 4 * len(sides[""].errors)


def test_equal_settings_cannot_be_told_apart_and_other_draws_of_one_cannot_either():
    one, other = drawn(SCENARIOS["plain"]), drawn(Scenario(replace(SPEC, seed=77)))
    chosen = {"A": "clair", "B": "clair"}
    assert "same error in every draw" in repeat_sentence({"A": one, "B": one}, chosen)
    assert "cannot be told apart" in repeat_sentence({"A": one, "B": other}, chosen)
    noisy = drawn(Scenario(replace(SPEC, noise=0.2)))
    told = repeat_sentence({"A": one, "B": noisy}, chosen)
    assert "higher than A's" in told
    assert "draw by draw" in told


def test_the_interval_of_a_difference_is_narrower_where_draws_belong_together():
    rng = np.random.default_rng(0)
    first = rng.normal(size=40)
    second = first + 0.5 + 0.01 * rng.normal(size=40)
    _, low, high = difference(first, second, paired=True)
    assert low < 0.5 < high < low + 0.02
    _, low, high = difference(first, second, paired=False)
    assert high - low > 0.5
