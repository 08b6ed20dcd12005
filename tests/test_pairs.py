"""Two scenarios told beside each other: who is ahead, what changed, and charts on the same axes."""

from dataclasses import replace

import numpy as np
import pytest

from clair.comparison import ahead_sentence, contests, pair_sentence
from clair.figures.compare import linked
from clair.figures.verdict import client_verdict
from clair.report.blocks import Pair
from clair.report.pair import PAIRED_VIEWS, paired_views
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.scenario import Scenario, run_scenario

SPEC = ProblemSpec(n_clients=12, d_out=16, d_in=14, seed=3)


@pytest.fixture(scope="module")
def plain():
    return run_scenario(Scenario(SPEC))


@pytest.fixture(scope="module")
def noisy():
    return run_scenario(Scenario(replace(SPEC, noise=0.3)))


def test_contests_know_which_way_is_better(plain, noisy):
    rows = {row.key: row for row in contests(plain, noisy)}
    assert rows["clair"].a == plain.error_of("clair").mean
    assert rows["clair"].b == noisy.error_of("clair").mean
    assert {rows[key].ahead for key in ("found", "clair", "local", "fedavg")} == {"A"}
    swapped = {row.key: row for row in contests(noisy, plain)}
    assert {swapped[key].ahead for key in ("found", "clair", "local", "fedavg")} == {"B"}
    assert {row.ahead for row in contests(plain, plain)} == {""}


def test_nobody_is_ahead_in_finding_where_nobody_is_to_be_found(plain):
    clean = run_scenario(Scenario(replace(SPEC, poisoned_fraction=0.0)))
    missed = run_scenario(Scenario(replace(SPEC, attack="sign_flip")))
    assert missed.detection.n_correct == 0
    for a, b in ((clean, missed), (plain, clean)):
        assert "found" not in {row.key for row in contests(a, b)}
        assert "finding the poisoned" not in ahead_sentence(a, b)


def test_sentences_hold_the_numbers(plain, noisy):
    text = pair_sentence(plain, noisy, ["noise is 0.3 instead of 0.03"])
    clair = [float(f"{r.error_of('clair').mean:.2g}") for r in (plain, noisy)]
    assert text.startswith("In B, noise is 0.3 instead of 0.03: CLAIR's error rises from ")
    assert f"from {clair[0]} to {clair[1]}," in text
    assert "falls" in pair_sentence(noisy, plain, ["x", "y"])
    assert "differs from A in 3 settings" in pair_sentence(plain, noisy, ["x", "y", "z"])
    assert "every number is the same" in pair_sentence(plain, plain, [])
    level = ahead_sentence(plain, plain)
    assert (
        "No difference beyond 5% in finding the poisoned, CLAIR's error and CLAIR's gain" in level
    )


def test_unlike_problems_have_no_winner_and_the_same_problem_one_for_what_clair_does(plain, noisy):
    told = ahead_sentence(plain, noisy)
    assert told.startswith("Two different problems: ")
    assert "ahead" not in told
    assert "better" not in told
    rows = {row.key: row for row in contests(plain, noisy)}
    for key in ("local", "gain", "found"):
        assert f"{rows[key].texts[0]} in A" in told
        assert f"{rows[key].texts[1]} in B" in told
    weaker = ahead_sentence(plain, run_scenario(Scenario(SPEC, rank=1)))
    assert "**A is ahead** in CLAIR's error" in weaker
    assert "training alone (" not in weaker.replace("gain over training alone (", "")
    assert "plain averaging" not in weaker


def test_pooling_counts_as_the_clair_that_was_asked_for(plain):
    pooled = run_scenario(Scenario(SPEC, pooling="eb"))
    rows = {row.key: row for row in contests(plain, pooled)}
    assert rows["clair"].b == pooled.error_of("clair_eb").mean
    assert rows["clair"].ahead == "B"
    assert rows["fedavg"].ahead == ""
    assert "error (with pooling in B) falls" in pair_sentence(plain, pooled, ["x"])
    assert "error (with pooling in A) rises" in pair_sentence(pooled, plain, ["x"])
    assert "pooling" not in pair_sentence(pooled, pooled, ["x"])


def pair_of(row):
    """Take the pair of plots out of a row of the comparison."""
    return next(block for block in row.blocks() if isinstance(block, Pair))


@pytest.mark.parametrize("view", PAIRED_VIEWS)
def test_paired_charts_share_their_axes(plain, noisy, view):
    larger = run_scenario(Scenario(replace(SPEC, n_clients=17, noise=0.1)))
    pairs = [pair_of(row) for row in paired_views(view, larger, noisy)]
    assert pairs
    for first, second in (pair.charts("light") for pair in pairs):
        assert first.title.startswith("A: ")
        assert second.title.startswith("B: ")
        legends = []
        for axis in ("xaxis", "yaxis"):
            ranges = [tuple(chart.figure.layout[axis].range) for chart in (first, second)]
            assert ranges[0] == ranges[1]
        for chart in (first, second):
            low, high = chart.figure.layout.yaxis.range
            for trace in chart.figure.data:
                y = np.array([v for v in trace.y if v is not None], dtype=float)
                assert (y >= low - 1e-9).all()
                assert (y <= high + 1e-9).all()
            legends.append({t.name for t in chart.figure.data if t.showlegend is not False})
        assert legends[0] == legends[1]


def test_linking_stretches_the_band_over_the_threshold_and_nothing_else(plain):
    low, high = (
        client_verdict(
            np.array([0.1, 0.2, top]),
            "light",
            degrees=["kept", "kept", "flagged"],
            threshold=0.3,
            axis_title="score",
            caption="",
        )
        for top in (0.5, 5.0)
    )
    before = high.figure.layout.yaxis.range
    first, second = linked(low, high)
    band, level = first.figure.layout.shapes
    assert (band.y0, band.y1) == (0.3, before[1])
    assert (level.y0, level.y1) == (0.3, 0.3)
    assert low.figure.layout.yaxis.range[1] < 1  # what was handed in is left alone
    assert second.figure.layout.yaxis.range == before


def test_scores_in_other_units_keep_their_axes(plain):
    norms = run_scenario(Scenario(replace(SPEC, noise=0.2), detector="norms"))
    pairs = [pair_of(row) for row in paired_views("verdict", plain, norms)]
    assert [(pair.key, pair.shared) for pair in pairs] == [
        ("compare_residual", False),
        ("compare_norms", True),
    ]
    for pair in pairs:
        first, second = (tuple(one.figure.layout.yaxis.range) for one in pair.charts("dark"))
        assert (first == second) is pair.shared
