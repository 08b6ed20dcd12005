"""Plans of attackers who know everything: structure of each tactic, and JSON there and back."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clair import ProblemSpec, sample_problem
from clair.method.linalg import block_norms
from clair.redteam.moves import KNOWN, crossed, louder, moved, random_plan
from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.attacks import PLANS

SPEC = ProblemSpec(n_clients=14, d_out=19, d_in=13, rank=2, poisoned_fraction=0.4, seed=5)
HONEST = sample_problem(SPEC, AttackPlan((Tactic(),)))
BAD = HONEST.contaminated
TYPICAL = np.sqrt(2 * SPEC.rank)


def sent(*tactics, **changes):
    """Compute what the attackers send, and the part of it off the shared subspace."""
    problem = sample_problem(replace(SPEC, **changes), AttackPlan(tactics))
    wrong = problem.updates[BAD]
    return wrong, wrong - problem.subspace @ (problem.subspace.T @ wrong)


def rank_of(matrix):
    return np.linalg.matrix_rank(matrix, tol=1e-9)


def test_a_plan_without_settings_leaves_everybody_honest():
    plain = sample_problem(replace(SPEC, poisoned_fraction=0))
    np.testing.assert_array_equal(HONEST.updates, plain.updates)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_every_plan_touches_held_clients_only_and_survives_json(seed):
    rng = np.random.default_rng(seed)
    plan = random_plan(rng)
    for _ in range(3):
        plan = louder(moved(crossed(plan, KNOWN[rng.integers(len(KNOWN))], rng), rng), 1.7)
    problem = sample_problem(SPEC, plan)
    assert np.isfinite(problem.updates).all()
    np.testing.assert_array_equal(problem.updates[~BAD], HONEST.updates[~BAD])
    again = AttackPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert AttackPlan.from_text(plan.to_text()) == plan
    assert re.fullmatch(r"[a-z0-9_.-]{1,1000}", plan.to_text())
    assert sample_problem(SPEC, again).updates.tobytes() == problem.updates.tobytes()


def test_no_noise_means_none():
    wrong, off = sent(Tactic(noise=0))
    np.testing.assert_allclose(wrong, HONEST.true_updates[BAD], atol=1e-14)
    assert np.abs(off).max() < 1e-14
    _, off = sent(Tactic(noise=0.5))
    noise = HONEST.updates[BAD] - HONEST.true_updates[BAD]
    expected = noise - HONEST.subspace @ (HONEST.subspace.T @ noise)
    np.testing.assert_allclose(off, 0.5 * expected, atol=1e-14)


@pytest.mark.parametrize("inside", [0.0, 0.3, 1.0])
def test_foreign_parts_have_their_size_and_place(inside):
    wrong, off = sent(Tactic(own=0, size=3, directions=2, alike=0.5, inside=inside, noise=0))
    np.testing.assert_allclose(block_norms(wrong), 3 * TYPICAL)
    np.testing.assert_allclose(block_norms(off) ** 2, (1 - inside) * 9 * TYPICAL**2, atol=1e-9)


def test_agreement_is_on_directions_or_on_everything():
    def spread(**changes):
        wrong, _ = sent(Tactic(own=0, size=1, noise=0, **changes))
        return rank_of(np.hstack(wrong)), rank_of(np.vstack(wrong)), rank_of(wrong[0])

    n = int(BAD.sum())
    assert spread(agree=1, alike=1, directions=2) == (2, 2, 2)
    assert spread(agree=1, alike=0, directions=2) == (2, 2 * n, 2)
    assert spread(agree=0, alike=1, directions=2) == (2 * n, 2, 2)
    assert spread(directions=0, alike=1)[2] == 13
    wrong, _ = sent(Tactic(own=0, size=1, noise=0, directions=0))
    np.testing.assert_allclose(wrong, np.broadcast_to(wrong[0], wrong.shape), atol=1e-12)


def test_tilt_turns_the_subspace_and_keeps_the_coefficients():
    wrong, off = sent(Tactic(tilt=0.6, noise=0))
    honest = block_norms(HONEST.true_updates[BAD])
    np.testing.assert_allclose(block_norms(wrong), honest)
    np.testing.assert_allclose(block_norms(off), 0.6 * honest)
    assert rank_of(np.hstack(wrong)) == SPEC.rank


def test_a_ladder_climbs_by_its_ratio_from_the_noise_floor():
    _, off = sent(Tactic(agree=0, alike=0, ladder=1.3, noise=0))
    floor = SPEC.noise * np.sqrt((SPEC.d_out - SPEC.rank) * SPEC.d_in)
    residuals = np.sqrt(block_norms(off) ** 2 + floor**2)
    np.testing.assert_allclose(residuals, floor * 1.3 ** np.arange(1, 7))


def test_victims_are_copied_as_they_sent_it():
    honest = HONEST.updates[~BAD]
    off = honest - HONEST.subspace @ (HONEST.subspace.T @ honest)
    loudest = int(np.argmax(block_norms(off)))
    wrong, _ = sent(Tactic(own=0, copy=1, noise=0))
    np.testing.assert_allclose(wrong, np.broadcast_to(honest[loudest], wrong.shape), atol=1e-14)
    wrong, theirs = sent(Tactic(echo=1, noise=0))
    np.testing.assert_allclose(theirs, np.broadcast_to(off[loudest], theirs.shape), atol=1e-14)
    inside = HONEST.true_updates[BAD]
    np.testing.assert_allclose(wrong - theirs, inside, atol=1e-12)


def test_a_shape_made_to_look_ordinary_does():
    def kurtosis(blocks):
        flat = blocks.reshape(len(blocks), -1)
        return (flat**4).mean(axis=1) / (flat**2).mean(axis=1) ** 2

    spec = ProblemSpec(poisoned_fraction=0.4, attack="ordinary", seed=3)
    problem = sample_problem(spec)
    honest = kurtosis(problem.updates[~problem.contaminated])
    wrong = kurtosis(problem.updates[problem.contaminated])
    assert honest.min() < np.median(wrong) < honest.max()
    spiky = AttackPlan((replace(PLANS["ordinary"].tactics[0], spike=2),))
    wrong = kurtosis(sample_problem(spec, spiky).updates[problem.contaminated])
    assert np.median(wrong) > 1.5 * honest.max()


@pytest.mark.parametrize(
    ("shares", "n", "sizes"),
    [
        ((1, 1), 6, [3, 3]),
        ((0, 1), 6, [1, 5]),
        ((0.2, 0.3, 0.5), 10, [2, 3, 5]),
        ((1, 1), 1, [1, 0]),
    ],
)
def test_groups_take_their_share_and_at_least_one(shares, n, sizes):
    groups = AttackPlan(tuple(Tactic(share=s) for s in shares)).groups(n)
    assert [len(group) for group in groups] == sizes
    np.testing.assert_array_equal(np.concatenate(groups), np.arange(n))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("echo", "plan must be a list of objects"),
        ([1], "plan must be a list of objects"),
        ([], "tactics must be one to four, got 0"),
        ([{"volume": 11}], "plan must have fields among share, .*got 'volume'"),
        ([{"size": -1}], r"size must be in \[0, 1000\], got -1"),
        ([{"noise": float("nan")}], "noise must be a finite number, got nan"),
        ([{"directions": 1.5}], "directions must be an integer, got 1.5"),
    ],
)
def test_bad_plans_are_refused_with_rule_and_value(values, message):
    with pytest.raises(ValueError, match=message):
        AttackPlan.from_json(values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "plan must alternate fields, each once, and numbers, got ''"),
        ("size_1_own", "plan must alternate fields"),
        ("size_1_size_2", "plan must alternate fields, each once"),
        ("size_loud", "'size' of a plan must be a number, got 'loud'"),
        ("directions_1.5", "'directions' of a plan must be a number, got '1.5'"),
        ("size_1e999", r"size must be a finite number, got inf"),
        ("volume_11", "plan must have fields among share, .*got 'volume'"),
        ("__".join(["size_1"] * 5), "tactics must be one to four, got 5"),
        ("size_1" * 400, "plan must have at most 1000 characters, got 2400"),
    ],
)
def test_bad_texts_are_refused_with_rule_and_value(text, message):
    with pytest.raises(ValueError, match=message):
        AttackPlan.from_text(text)
