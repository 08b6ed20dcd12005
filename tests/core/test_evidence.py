"""Kinds of evidence: gaps between scores, heavy tails, and the reasons in words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clair
from clair import LoraFactors
from clair.method.detection import simple_verdict
from clair.method.evidence import gap_rule, threshold_rule
from clair.method.shape import entry_kurtosis, factor_kurtosis
from clair.method.words import reasons


def once(scores, gap=(1.10, 1.15), floor=0.0):
    return gap_rule("norms", scores, gap, again=None, spread=False, floor=floor)


def test_gap_rule_cuts_at_the_widest_gap_of_the_upper_half():
    scores = np.array([1.0, 9.0, 1.1, 1.3, 0.1, 1.2, 8.0])
    found = once(scores)
    assert found.flagged.tolist() == [False, True, False, False, False, False, True]
    assert 1.3 < found.threshold < 8.0
    assert found.margin == pytest.approx(8.0 / 1.3)


def test_gap_rule_keeps_everybody_without_a_gap_and_never_flags_the_lower_half():
    assert not once(np.linspace(1.0, 1.5, 30)).flagged.any()
    assert not once(np.array([0.1, 5.0, 5.1, 5.2, 5.3])).flagged.any()
    assert not once(np.array([1.0, 100.0])).flagged.any()


def test_gap_rule_ratios_are_both_needed():
    scores = np.array([1.0, 1.0, 1.0, 1.12, 1.13])
    assert not once(scores, (1.10, 1.15)).flagged.any()
    assert once(scores, (1.10, 1.05)).flagged.tolist() == [False, False, False, True, True]
    assert not once(scores, (1.15, 1.05)).flagged.any()


def test_repeated_gap_rule_finds_those_behind_the_loudest():
    scores = np.array([1.0, 1.01, 1.02, 1.03, 1.04, 2.0, 2.1, 100.0])
    assert once(scores).flagged.sum() == 1
    found = gap_rule("outside", scores)
    assert found.flagged.sum() == 3
    assert found.margin == pytest.approx(2.0 / 1.04)


def test_a_gap_has_to_be_wide_for_scores_that_spread():
    spread = np.array([0.5, 0.7, 1.0, 1.3, 1.6, 2.0])
    even = np.array([0.99, 1.0, 1.0, 1.01, 1.02, 1.3])
    assert not gap_rule("outside", spread, (1.1, 1.1)).flagged.any()
    assert gap_rule("outside", even, (1.1, 1.1)).flagged.sum() == 1


def test_a_gap_below_many_weighs_more_than_one_below_few():
    scores = np.array([0.9, 1.0, 1.0, 1.0, 1.1, 1.1, 1.45, 1.5, 1.5, 2.0])
    assert once(scores).flagged.sum() == 1
    assert gap_rule("outside", scores, again=None).flagged.sum() == 4
    assert gap_rule("outside", scores, again=None, spread=False).flagged.sum() == 1


def test_one_loud_client_does_not_hide_behind_a_narrow_gap_below_many():
    scores = np.concatenate([np.linspace(0.97, 1.03, 30), np.full(19, 1.13 * 1.03), [10.0]])
    assert gap_rule("outside", scores).flagged.sum() == 1
    rng = np.random.default_rng(3)
    found = [
        gap_rule("outside", np.append(np.exp(0.15 * rng.standard_normal(49)), 2.0)).flagged[-1]
        for _ in range(50)
    ]
    assert np.mean(found) > 0.9


def test_rounding_errors_are_no_evidence():
    scores = np.array([1e-17, 1e-16, 1e-15, 1e-12, 1e-11])
    assert not once(scores, floor=1e-6).flagged.any()
    assert once(scores).flagged.any()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=40), st.floats(0.01, 100))
def test_gap_rule_is_scale_free_keeps_a_majority_and_is_monotone(values, factor):
    scores = np.array(values)
    found = gap_rule("outside", scores)
    kept = ~found.flagged
    assert kept.sum() >= len(scores) // 2 + 1
    assert kept.all() or scores[kept].max() < scores[~kept].min()
    np.testing.assert_array_equal(gap_rule("outside", scores * factor).flagged, found.flagged)


def test_threshold_rule_flags_exactly_what_exceeds_it():
    found = threshold_rule(np.array([1.0, 2.0, 6.0]), 2.0)
    assert found.flagged.tolist() == [False, False, True]
    assert found.margin == 3.0
    assert threshold_rule(np.array([1.0, 2.0]), 5.0).margin == 1.0
    assert threshold_rule(np.array([1.0, 2.0]), 0.0).margin == 1.0  # nobody is kept
    assert threshold_rule(np.array([0.0, 2.0]), 0.0).margin == np.inf


@pytest.mark.parametrize(("size", "told"), [(50.0, "50"), (1e7, "more than 9999 times")])
def test_the_reason_says_how_far_off_a_client_is_and_beyond_a_bound_that_it_is_more(size, told):
    scores = np.array([1.0, 1.0, 1.0, 1.0, size])
    (*kept, reason) = reasons(simple_verdict(once(scores)))
    assert not any(kept)
    assert told in reason
    assert ("more" in reason) == (size > 9999)


def test_kurtosis_of_factors_is_that_of_their_product():
    rng = np.random.default_rng(46)
    B, A = rng.standard_normal((4, 30, 3)), rng.standard_normal((4, 3, 50))
    B[2] = B[2] ** 3
    expected = entry_kurtosis(B @ A)
    np.testing.assert_allclose(factor_kurtosis(B, A), expected)
    np.testing.assert_allclose(
        factor_kurtosis(B[:, :2], A[:, :, :2]), entry_kurtosis(B[:, :2] @ A[:, :, :2])
    )
    assert int(np.argmax(expected)) == 2
    B[1, :, 0] = 0
    assert factor_kurtosis(B, A) is None


def test_heavy_tails_are_evidence_of_their_own():
    rng = np.random.default_rng(47)
    modules = {}
    for name in ("q", "k", "v", "o"):
        B, A = rng.standard_normal((10, 40, 4)), rng.standard_normal((10, 4, 30))
        B[7] = np.sign(B[7]) * np.abs(B[7]) ** 1.6
        B *= (1 / np.linalg.norm(B, axis=(1, 2)))[:, None, None]
        modules[name] = LoraFactors(B, A)
    seen = clair.fit(modules, 2, solver="irls")
    unseen = clair.fit(modules, 2, solver="irls", compare_shape=False)
    assert np.flatnonzero(seen.flagged).tolist() == [7]
    assert [kind.kind for kind in seen.evidence if kind.flagged.any()] == ["shape"]
    assert not unseen.flagged.any()
