"""Loss curves, verdict and comparison: what is drawn, and what is not told."""

from __future__ import annotations

import numpy as np
import pytest

from clair.federated.sharing import CANDIDATES, choose
from clair.figures.comparison import Measure, method_comparison, which_to_use
from clair.figures.kinds import evidence_kinds
from clair.figures.palette import role_style
from clair.figures.training import MAX_POINTS, loss_curves
from clair.figures.verdict import client_verdict
from clair.method.detection import DEGREES
from clair.method.evidence import Evidence, gap_rule
from clair.methods import METHODS

TRUTH = np.array([False, True, False, False, True])
LOSSES = np.geomspace(4.0, 0.1, 7)[:, None] * np.array([1.0, 2.0, 1.1, 1.2, 2.2])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_loss_curves_do_not_tell_the_truth_unless_told_to(theme):
    secret = role_style("contaminated", theme).color
    hidden = loss_curves(LOSSES, theme, total_steps=10)
    told = loss_curves(LOSSES, theme, total_steps=10, contaminated=TRUTH)
    assert secret not in hidden.figure.to_json()
    assert secret in told.figure.to_json()
    assert "Can you tell" in hidden.title
    assert "fit their data worst" in told.title
    names = [trace.name for trace in told.figure.data if trace.mode == "lines"]
    assert names == ["honest", "poisoned", "leader"]


def test_loss_curves_hold_every_client_and_are_thinned():
    losses = np.repeat(LOSSES[:1], 500, axis=0)
    chart = loss_curves(losses, "light", total_steps=500)
    lines = chart.figure.data[0]
    assert set(lines.customdata) == {1, 2, 3, 4, 5}
    assert len(lines.x) <= 5 * (MAX_POINTS + 1)
    assert max(x for x in lines.x if x is not None) == 500


def test_end_labels_keep_their_order_and_distance():
    chart = loss_curves(np.full((2, 6), 0.5) + np.arange(6) * 1e-4, "light", total_steps=2)
    labels = chart.figure.data[2]
    assert [text.strip() for text in labels.text] == ["1", "2", "3", "4", "5", "6"]
    gaps = np.diff(np.log10(np.asarray(labels.y, dtype=float)))
    assert gaps.min() > 0
    assert np.ptp(gaps) < 1e-9
    leaders = chart.figure.data[1]  # each from the end of a curve to the place of its number
    assert leaders.y[0::3] == pytest.approx([0.5 + k * 1e-4 for k in range(6)])
    assert leaders.y[1::3] == pytest.approx(labels.y)
    assert "its number at the end" in chart.caption
    many = loss_curves(np.full((2, 40), 0.5), "light", total_steps=2)
    assert "number" not in many.caption
    assert len(many.figure.data) == 1


def test_loss_curves_check_their_shapes():
    with pytest.raises(ValueError, match=r"shape \(n_reports, n_clients\), got \(3,\)"):
        loss_curves(np.ones(3), "light", total_steps=3)
    with pytest.raises(ValueError, match=r"steps must have shape \(7,\), got \(2,\)"):
        loss_curves(LOSSES, "light", total_steps=3, steps=np.array([1, 2]))


def verdict(**options):
    scores = np.array([0.9, 1.6, 0.8, 1.0, 1.5])
    degrees = ["flagged" if flag else "kept" for flag in scores > 1.2]
    degrees[0] = "suspect"
    return client_verdict(
        scores, "light", degrees=degrees, axis_title="score", caption="", **options
    )


def test_verdict_names_the_flagged_and_hides_the_truth():
    hidden = verdict(threshold=1.2)
    assert hidden.title == "Flagged: clients 2 and 5; suspect: client 1"
    assert role_style("benign", "light").color not in hidden.figure.to_json()
    told = verdict(contaminated=TRUTH)
    assert told.title == "Every poisoned client stands above every honest one"
    assert "client 2 1.60 flagged" in told.alt
    marks = {trace.name: trace for trace in told.figure.data}
    assert list(marks["flagged"].x) == [2, 5]
    assert list(marks["suspect"].x) == [1]
    looks = {(mark.marker.color, mark.marker.symbol) for mark in map(marks.get, DEGREES) if mark}
    assert len(looks) == len({symbol for _, symbol in looks}) == 2
    mixed = verdict(contaminated=~TRUTH)
    assert mixed.title == "This alone does not separate poisoned from honest here"


def test_nobody_flagged_needs_no_threshold():
    chart = client_verdict(np.ones(4), "dark", degrees=["kept"] * 4, axis_title="score", caption="")
    assert chart.title == "Nobody was flagged"


@pytest.mark.parametrize(("threshold", "drawn"), [(2.0, True), (50.0, False)])
def test_a_line_far_above_every_client_is_told_instead_of_drawn(threshold, drawn):
    chart = verdict(threshold=threshold)
    top = chart.figure.layout.yaxis.range[1]
    assert len(chart.figure.layout.shapes) == 2 * drawn
    assert top < 4
    assert (f"{threshold:g}, lies above the chart" in chart.caption) is not drawn


def test_every_kind_of_evidence_has_a_row_and_the_published_rule_is_told():
    ours = gap_rule("outside", np.array([1.0, 5.0, 0.9, 1.1, 1.0]))
    yes_or_no = Evidence("inside", np.eye(5)[3], np.eye(5)[3] > 0, 0.5, 1.0)
    published = gap_rule("norms", np.array([1.0, 1.1, 1.0, 1.0, 1.05]))
    degrees = ["kept", "flagged", "suspect", "flagged", "kept"]
    chart = evidence_kinds((ours, yes_or_no, published), "light", degrees=degrees)
    assert chart.title == "Flagged: clients 2 and 4; the rule as published would flag nobody"
    lines = next(trace for trace in chart.figure.data if trace.mode == "lines")
    assert sorted({round(-y) for y in lines.y if y is not None}) == [0, 1]
    dots = next(trace for trace in chart.figure.data if trace.mode == "markers")
    assert len(dots.x) == 15
    assert role_style("contaminated", "light").color not in chart.figure.to_json()


VALUES = {
    "local": np.array([0.5, 0.6, 0.7]),
    "fedavg": np.array([0.2, 0.2, 0.2]),
    "clair": np.array([0.8, 0.8, 0.8]),
    "fedavg_benign": np.array([0.9, 0.9, 0.9]),
}


def test_comparison_puts_oracles_last_and_never_calls_them_best():
    chart = method_comparison(VALUES, Measure("exact copies"), "light")
    labels = chart.figure.layout.yaxis.ticktext
    assert labels[-1] == "<i>FedAvg of the honest (oracle)</i>"
    assert chart.title == "CLAIR serves the honest clients best: 80%"
    assert "Local only 60%" in chart.alt


def test_comparison_says_so_where_clair_is_behind():
    better = VALUES | {"local": np.array([0.9, 0.95, 1.0])}
    chart = method_comparison(better, Measure("exact copies"), "dark")
    assert chart.title == "Local only is ahead here: 95% against 80% for CLAIR"


def test_comparison_calls_what_clients_cannot_tell_apart_level():
    close = VALUES | {"local": np.array([0.7, 0.9, 0.84])}
    chart = method_comparison(close, Measure("exact copies"), "light")
    assert chart.title == "CLAIR and Local only are level here: 80% and 81%"
    rounding = {"local": np.zeros(3), "clair": np.full(3, 1e-15), "fedavg": np.ones(3)}
    measure = Measure("error", share=False, more_is_better=False)
    chart = method_comparison(rounding, measure, "light")
    assert chart.title == "CLAIR and Local only are level here: both 0"
    assert "e-" not in chart.alt


def test_comparison_of_errors_looks_for_the_least():
    chart = method_comparison(VALUES, Measure("error", share=False, more_is_better=False), "light")
    assert chart.title.startswith("FedAvg is ahead here: 0.2 against 0.8")


def test_the_words_name_who_wins_and_what_can_be_used_without_knowing():
    alone = np.linspace(0.3, 0.5, 8)
    choice = choose({"local": alone, "clair": alone + 0.1, "clair_eb": alone - 0.1})
    values = VALUES | {"clair_safe": np.array([0.75, 0.7, 0.8])}
    told = which_to_use(values, Measure("exact copies"), choice)
    assert f"{METHODS['clair'].label}, 80%" in told
    assert METHODS["fedavg_benign"].label not in told
    assert CANDIDATES["clair_eb"] in told
    assert "75%, against 60% alone" in told
    errors = which_to_use(VALUES, Measure("error", share=False, more_is_better=False), None)
    assert f"{METHODS['fedavg'].label}, 0.2" in errors
    assert METHODS["clair_safe"].label not in errors


def test_comparison_draws_every_client_of_every_method():
    chart = method_comparison(VALUES, Measure("exact copies"), "light")
    dots = [trace for trace in chart.figure.data if trace.mode == "markers"]
    assert [len(trace.x) for trace in dots] == [3] * 4
    same = next(trace for trace in dots if trace.name == "FedAvg")
    assert len(set(same.y)) == 3  # equal dots are moved apart
    assert max(abs(y - round(y)) for y in same.y) <= 0.5


def test_comparison_needs_a_method():
    with pytest.raises(ValueError, match="at least one method"):
        method_comparison({}, Measure("exact copies"), "light")
