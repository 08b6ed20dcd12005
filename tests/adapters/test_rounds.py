"""One round on factors, held against the same round on whole matrices."""

from __future__ import annotations

import numpy as np
import pytest

import clair
from clair.adapters.rounds import hand_out, judge_round
from clair.simulation.matrix_model import ProblemSpec, sample_problem

RHO = 18  # the whole output space, so that nothing is cut off


def product(pair):
    return pair[0] @ pair[1]


def as_factors(update, rho):
    left, values, right = np.linalg.svd(update)
    return left[:, :rho] * values[:rho], right[:rho]


@pytest.fixture(scope="module")
def problem():
    return sample_problem(
        ProblemSpec(n_clients=8, d_out=18, d_in=20, rank=2, attack="colluding", seed=3)
    )


def test_a_first_round_is_fit_and_the_papers_refinement(problem):
    adapters = [{"m": as_factors(update, RHO)} for update in problem.updates]
    judgement, handout = judge_round(adapters, 2)
    B, A = (np.stack([one["m"][side] for one in adapters]) for side in (0, 1))
    found = clair.fit(clair.LoraFactors(B, A), 2)
    refined = found.refined.dense()
    assert judgement.degrees == found.degrees
    assert problem.contaminated.any()
    trusted = [k for k, degree in enumerate(found.degrees) if degree in ("kept", "suspect")]
    assert sorted(handout.refined) == trusted
    for k in trusted:
        assert product(handout.refined[k]["m"]) == pytest.approx(refined[k], abs=1e-8)
    mean = np.average(problem.updates, axis=0, weights=found.influence)
    assert product(handout.average["m"]) == pytest.approx(mean, abs=1e-8)
    assert handout.lost == pytest.approx(0, abs=1e-12)


def test_the_verdict_applied_later_gives_what_it_gave_at_once(problem):
    adapters = [{"m": as_factors(update, 6)} for update in problem.updates]
    judgement, at_once = judge_round(adapters, 2)
    later = hand_out(adapters, judgement)
    for k, adapter in at_once.refined.items():
        assert product(later.refined[k]["m"]) == pytest.approx(product(adapter["m"]), abs=1e-8)


def test_both_sides_are_each_others_mirror_image(problem):
    adapters = [{"m": as_factors(update, 6)} for update in problem.updates]
    turned = [{"m": (one["m"][1].T, one["m"][0].T)} for one in adapters]
    judgement, handout = judge_round(adapters, 2, side="output")
    mirrored, other = judge_round(turned, 2, side="input")
    assert judgement.degrees == mirrored.degrees
    assert handout.lost == pytest.approx(other.lost)
    for k, adapter in handout.refined.items():
        image = product(other.refined[k]["m"]).T
        assert product(adapter["m"]) == pytest.approx(image, abs=1e-8)


def test_clients_share_the_factor_on_the_side_of_the_subspace(problem):
    adapters = [{"m": as_factors(update, 6)} for update in problem.updates]
    judgement, handout = judge_round(adapters, 2)
    basis = handout.average["m"][0]
    assert all(np.array_equal(basis, one["m"][0]) for one in handout.refined.values())
    assert basis.T @ basis == pytest.approx(np.eye(6), abs=1e-10)
    inside = judgement.subspace["m"]
    assert basis @ (basis.T @ inside) == pytest.approx(inside, abs=1e-10)
    # Outside the subspace the average keeps as much as any four directions can.
    updates = np.stack([product(one["m"]) for one in adapters])
    mean = np.average(updates, axis=0, weights=judgement.influence)
    tail = np.linalg.svd(mean - inside @ (inside.T @ mean), compute_uv=False)[4:]
    assert handout.lost == pytest.approx(np.sum(tail**2) / np.sum(mean**2))


def test_what_all_were_given_counts_for_nobody(problem):
    rng = np.random.default_rng(0)
    common = {"m": (5 * rng.standard_normal((18, 6)), rng.standard_normal((6, 20)))}
    plain = [{"m": as_factors(update, 6)} for update in problem.updates]
    moved = [{"m": as_factors(product(one["m"]) + product(common["m"]), 12)} for one in plain]
    judgement, handout = judge_round(plain, 2)
    same, shifted = judge_round(moved, 2, common=common)
    assert judgement.degrees == same.degrees
    assert judgement.influence == pytest.approx(same.influence, abs=1e-6)
    for k, adapter in handout.refined.items():
        # Inside the subspace nothing is cut off: there the common part is simply added.
        inside = judgement.subspace["m"]
        expected = inside.T @ (product(adapter["m"]) + product(common["m"]))
        assert inside.T @ product(shifted.refined[k]["m"]) == pytest.approx(expected, abs=1e-6)


def test_nobody_to_listen_to_means_nothing_to_hand_out(problem):
    adapters = [{"m": as_factors(update, 6)} for update in problem.updates]
    judgement, _ = judge_round(adapters, 2)
    assert hand_out(adapters, judgement, weights=np.zeros(8)) is None


def second_round(problem, loud, size):
    """Send what is inside the subspace and hardly anything else, but one client `size` outside."""
    rng = np.random.default_rng(5)
    basis = problem.subspace
    small = 0.02 * rng.standard_normal(problem.updates.shape)
    updates = basis @ (basis.T @ problem.true_updates) + small
    other = np.linalg.qr(np.hstack([basis, rng.standard_normal((18, 1))]))[0][:, -1:]
    updates[loud] += size * other @ rng.standard_normal((1, 20)) / np.sqrt(20)
    return [{"m": as_factors(update, RHO)} for update in updates]


def test_who_sends_less_outside_than_all_did_at_first_is_not_convicted_later(problem):
    first, _ = judge_round([{"m": as_factors(u, RHO)} for u in problem.updates], 2)
    loud = int(np.flatnonzero(np.array(first.degrees) == "kept")[0])
    for size, degree in ((0.9 * first.usual, "suspect"), (3 * first.usual, "flagged")):
        adapters = second_round(problem, loud, size)
        assert judge_round(adapters, 2)[0].degrees[loud] == "flagged"  # as a first round
        judgement, handout = judge_round(adapters, 2, usual=first.usual)
        assert judgement.degrees[loud] == degree
        assert judgement.influence[loud] == 0
        assert (loud in handout.refined) == (degree == "suspect")
        if degree == "suspect":  # refined as others are: its own part inside, theirs outside
            own, mean = product(handout.refined[loud]["m"]), product(handout.average["m"])
            inside = judgement.subspace["m"]
            outside = np.eye(18) - inside @ inside.T
            assert outside @ own == pytest.approx(outside @ mean, abs=1e-8)
