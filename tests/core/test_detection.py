"""Gap rule, leave-one-out detector, automatic rank, coefficient screen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clair import ProblemSpec, sample_problem
from clair.detection import (
    automatic_rank,
    coefficient_screen,
    detect,
    gap_rule,
    leave_one_out_scores,
    normalised_grams,
    threshold_rule,
)
from clair.linalg import block_grams
from clair.metrics import detection_scores


def grams_of(spec):
    problem = sample_problem(spec)
    return problem, normalised_grams([block_grams(problem.updates)])


def test_gap_rule_cuts_at_the_widest_gap_of_the_upper_half():
    scores = np.array([1.0, 9.0, 1.1, 1.3, 0.1, 1.2, 8.0])
    verdict = gap_rule(scores)
    assert verdict.benign.tolist() == [True, False, True, True, True, True, False]
    assert 1.3 < verdict.threshold < 8.0
    assert verdict.margin == pytest.approx(8.0 / 1.3)


def test_gap_rule_keeps_everybody_without_a_gap_and_never_flags_the_lower_half():
    assert gap_rule(np.linspace(1.0, 1.5, 30)).benign.all()
    assert gap_rule(np.array([0.1, 5.0, 5.1, 5.2, 5.3])).benign.all()
    assert gap_rule(np.array([1.0, 100.0])).benign.all()


def test_gap_rule_ratios_are_both_needed():
    scores = np.array([1.0, 1.0, 1.0, 1.12, 1.13])
    assert gap_rule(scores, (1.10, 1.15)).benign.all()
    assert gap_rule(scores, (1.10, 1.05)).benign.tolist() == [True, True, True, False, False]
    assert gap_rule(scores, (1.15, 1.05)).benign.all()


def test_rounding_errors_are_no_evidence():
    scores = np.array([1e-17, 1e-16, 1e-15, 1e-12, 1e-11])
    assert gap_rule(scores, floor=1e-6).benign.all()
    assert not gap_rule(scores).benign.all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=40), st.floats(0.01, 100))
def test_gap_rule_is_scale_free_keeps_a_majority_and_is_monotone(values, factor):
    scores = np.array(values)
    verdict = gap_rule(scores)
    assert verdict.benign.sum() >= len(scores) // 2 + 1
    assert (scores[verdict.benign].max() < scores[~verdict.benign].min(initial=np.inf)) or (
        verdict.benign.all()
    )
    np.testing.assert_array_equal(gap_rule(scores * factor).benign, verdict.benign)


def test_threshold_rule_flags_exactly_what_exceeds_it():
    verdict = threshold_rule(np.array([1.0, 2.0, 6.0]), 2.0)
    assert verdict.benign.tolist() == [True, True, False]
    assert verdict.margin == 3.0
    assert threshold_rule(np.array([1.0, 2.0]), 5.0).margin == 1.0


def test_leave_one_out_scores_by_refitting_each_client_away():
    problem, _ = grams_of(ProblemSpec(n_clients=7, d_out=6, d_in=4, rank=2))
    kept = ~problem.contaminated
    grams = block_grams(problem.updates)
    scores = leave_one_out_scores([grams], kept, 2)
    for k in range(7):
        others = kept.copy()
        others[k] = False
        stacked = np.hstack(problem.updates[others])
        basis = np.linalg.svd(stacked, full_matrices=False)[0][:, :2]
        update = problem.updates[k]
        assert scores[k] == pytest.approx(np.linalg.norm(update - basis @ (basis.T @ update)))


def test_scores_of_modules_add_in_squares_and_each_module_weighs_alike():
    first = sample_problem(ProblemSpec(n_clients=7, d_out=6, d_in=4, rank=2)).updates
    second = sample_problem(ProblemSpec(n_clients=7, d_out=5, d_in=8, rank=2, seed=1)).updates
    everybody = np.ones(7, bool)
    grams = [block_grams(first), block_grams(1000 * second)]
    normalised = normalised_grams(grams)
    for gram in normalised:
        assert np.median(np.einsum("kii->k", gram)) == pytest.approx(1)
    parts = [leave_one_out_scores([gram], everybody, 2) for gram in normalised]
    joint = leave_one_out_scores(normalised, everybody, 2)
    np.testing.assert_allclose(joint, np.hypot(*parts))


CELLS = [
    ("low_rank", 0.0),
    ("low_rank", 0.25),
    ("low_rank", 0.4),
    ("colluding", 0.4),
    ("replace", 0.4),
]


@pytest.mark.parametrize("n_clients", [8, 12, 20, 50])
@pytest.mark.parametrize(("attack", "fraction"), CELLS)
def test_detector_finds_the_set_up_to_noise_above_signal(n_clients, attack, fraction):
    f1, alarms = [], 0
    for noise in (0.0, 0.01, 0.03, 0.1):
        for seed in range(3):
            spec = ProblemSpec(
                n_clients=n_clients,
                d_out=24,
                d_in=20,
                noise=noise,
                attack=attack,
                contaminated_fraction=fraction,
                seed=100 + seed,
            )
            problem, grams = grams_of(spec)
            scores = detection_scores(~detect(grams, 3).benign, problem.contaminated)
            f1.append(scores.f1)
            alarms += scores.false_alarms
    assert np.mean(f1) >= 0.99
    if fraction == 0:
        assert alarms == 0


def test_detector_does_not_depend_on_order_scale_or_coordinates():
    rng = np.random.default_rng(0)
    problem = sample_problem(ProblemSpec(n_clients=11, d_out=8, d_in=6, rank=2))
    order = rng.permutation(11)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    plain = detect(normalised_grams([block_grams(problem.updates)]), 2)
    moved = detect(normalised_grams([block_grams(50 * turn @ problem.updates[order])]), 2)
    np.testing.assert_array_equal(moved.benign, plain.benign[order])
    np.testing.assert_allclose(moved.scores, plain.scores[order])


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1])
def test_automatic_rank_is_right_in_95_percent_up_to_noise_of_a_tenth(noise):
    right = []
    for attack, fraction in (("low_rank", 0.0), ("low_rank", 0.25), ("random", 0.4)):
        for rank in (2, 3, 4, 5):
            for seed in range(4):
                spec = ProblemSpec(
                    rank=rank,
                    noise=noise,
                    attack=attack,
                    contaminated_fraction=fraction,
                    seed=200 + seed,
                )
                right.append(automatic_rank(grams_of(spec)[1]) == rank)
    assert np.mean(right) >= 0.95


def test_automatic_rank_respects_its_bound_and_tiny_updates():
    _, grams = grams_of(ProblemSpec(rank=5, n_clients=8))
    assert automatic_rank(grams, max_rank=2) <= 2
    _, grams = grams_of(ProblemSpec(n_clients=5, d_out=1, d_in=4, rank=1))
    assert automatic_rank(grams) == 1


def test_coefficient_screen_finds_sign_flips_and_adds_no_false_alarm():
    for attack, expected in (("sign_flip", 1.0), ("low_rank", 0.0)):
        problem = sample_problem(
            ProblemSpec(attack=attack, contaminated_fraction=0.4, heterogeneity=0.5)
        )
        coefficients = problem.subspace.T @ problem.updates
        start = np.ones(20, bool) if attack == "sign_flip" else ~problem.contaminated
        screened = start & ~coefficient_screen([coefficients], start)
        assert screened[problem.contaminated].mean() == expected
        assert not screened[~problem.contaminated].any()


@pytest.mark.parametrize("d_in", [3, 20])
def test_where_nobody_is_kept_nobody_is_screened(d_in):
    coefficients = np.random.default_rng(0).normal(size=(6, 2, d_in))
    nobody = np.zeros(6, dtype=bool)
    assert not coefficient_screen([coefficients, coefficients], nobody).any()
    alone = np.arange(6) == 3
    assert coefficient_screen([coefficients], alone).tolist() == alone.tolist()
