"""The agreeing half, kinds of evidence, degrees of doubt, automatic rank, coefficient screen."""

from collections.abc import Callable

import numpy as np
import pytest

import clair
from clair import ProblemSpec, sample_problem
from clair.method.concentration import ClientBlocks
from clair.method.detection import (
    automatic_rank,
    coefficient_screen,
    detect_updates,
)
from clair.method.evidence import (
    influence_of,
    structure_scores,
)
from clair.method.linalg import orthonormal
from clair.method.metrics import detection_scores
from clair.method.moments import Moments, normalised
from clair.method.updates import dense_core
from clair.simulation.attack_plan import AttackPlan


def test_scores_by_refitting_each_client_of_the_half_away():
    updates = sample_problem(ProblemSpec(n_clients=7, d_out=6, d_in=4, rank=2)).updates
    energy = np.sum(updates**2, axis=(1, 2))
    typical = np.median(energy)
    agreement = ClientBlocks(normalised([Moments(updates)]), 6).concentrate(2)
    capped = updates * np.minimum(1, np.sqrt(typical / energy))[:, None, None]
    for k in range(7):
        others = agreement.halves[0].copy()
        others[k] = False
        basis = np.linalg.svd(np.hstack(capped[others]), full_matrices=False)[0][:, :2]
        rest = np.linalg.norm(updates[k] - basis @ (basis.T @ updates[k]))
        assert agreement.scores()[k] == pytest.approx(rest / np.sqrt(typical))


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
                poisoned_fraction=fraction,
                seed=100 + seed,
            )
            problem = sample_problem(spec)
            found = detect_updates(problem.updates, 3)
            scores = detection_scores(~found.benign, problem.contaminated)
            f1.append(scores.f1)
            alarms += scores.false_alarms
    assert np.mean(f1) >= 0.99
    if fraction == 0:
        assert alarms == 0


def world(n_clients, n_bad, seed, noise=0.03, rank=3, d=32):
    """Draw true updates, noise, who is bad, the shared basis, and a generator.

    Honest clients share one subspace.
    """
    rng = np.random.default_rng(seed)
    basis = orthonormal(rng.standard_normal((d, rank)))
    own = rng.standard_normal((1, rank, d)) + rng.standard_normal((n_clients, rank, d))
    true = basis @ own / np.sqrt(d)
    bad = np.zeros(n_clients, dtype=bool)
    bad[rng.permutation(n_clients)[:n_bad]] = True
    return true, noise * rng.standard_normal(true.shape), bad, basis, rng


def matrix_off(basis, rng, rank, d=32):
    matrix = rng.standard_normal((d, rank)) @ rng.standard_normal((rank, d))
    matrix -= basis @ (basis.T @ matrix)
    return matrix / np.linalg.norm(matrix)


def captured_pilot(sent, bad, basis, rng):
    n = int(bad.sum())
    mixed = rng.standard_normal((1, 3, 32)) + rng.standard_normal((n, 3, 32))
    left = orthonormal(rng.standard_normal((32, 3)))
    sent[bad] = 10 * left @ mixed / np.sqrt(32)


def masking(sent, bad, basis, rng):
    loud = np.flatnonzero(bad)
    sent[bad] += 2.7 * matrix_off(basis, rng, 3)
    sent[loud[0]] += 90 * matrix_off(basis, rng, 1)


def without_noise(sent, bad, basis, rng):
    sent[bad] = 2.45 * matrix_off(basis, rng, 1)


def tilted(sent, bad, basis, rng):
    turn = orthonormal(matrix_off(basis, rng, 32)[:, :3])
    sent[bad] += 0.3 * turn @ (basis.T @ sent[bad])


LEAVING: list[Callable] = [captured_pilot, masking, without_noise, tilted]


@pytest.mark.parametrize("attack", LEAVING, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("rank", [3, "auto"])
@pytest.mark.parametrize(("n_clients", "n_bad"), [(8, 3), (20, 8)])
def test_attackers_who_know_the_rule_are_found(attack, rank, n_clients, n_bad):
    true, errors, bad, basis, rng = world(n_clients, n_bad, seed=40)
    sent = true + errors
    attack(sent, bad, basis, rng)
    result = clair.fit(sent, rank, solver="irls")
    np.testing.assert_array_equal(result.flagged, bad)


def repeated_noise(sent, true, errors, bad, basis, rng):
    victim = errors[np.flatnonzero(~bad)[0]]
    sent[bad] = true[bad] + victim - basis @ (basis.T @ victim)


def common_matrix(sent, true, errors, bad, basis, rng):
    sent[bad] = true[bad] + 0.9 * matrix_off(basis, rng, 32)


def copies(sent, true, errors, bad, basis, rng):
    sent[bad] = sent[np.flatnonzero(~bad)[0]]


REPEATING: list[Callable] = [repeated_noise, common_matrix, copies]


@pytest.mark.parametrize("attack", REPEATING, ids=lambda attack: attack.__name__)
def test_clients_who_repeat_each_other_share_one_vote(attack):
    true, errors, bad, basis, rng = world(20, 8, seed=41)
    sent = true + errors
    attack(sent, true, errors, bad, basis, rng)
    result = clair.fit(sent, 3, solver="irls")
    known = clair.fit(sent[~bad], 3, solver="irls").refined

    def error(refined):
        return np.sqrt(np.mean((refined - true[~bad]) ** 2))

    assert not result.flagged[~bad].any()
    assert all(degree != "kept" for degree in np.array(result.degrees)[bad])
    assert result.influence[bad].sum() < 1.6
    assert error(result.refined[~bad]) < 1.05 * error(known)


def test_few_data_are_no_poison_but_nobody_learns_from_them():
    true, errors, _, _, rng = world(20, 0, seed=42)
    sizes = np.where(rng.permutation(20) < 6, 1.0, 20.0)
    sent = true + errors * (2.5 / np.sqrt(sizes))[:, None, None]
    result = clair.fit(sent, 3, solver="irls")
    assert not result.flagged.any()
    noisy = np.array([degree == "suspect" for degree in result.degrees])
    np.testing.assert_array_equal(noisy, sizes == 1)
    assert (result.influence[noisy] == 0).all()
    assert not np.array_equal(result.refined[noisy], sent[noisy])


def test_one_client_moves_the_agreeing_half_no_further_however_loud():
    true, errors, bad, basis, rng = world(12, 1, seed=43)
    lie = matrix_off(basis, rng, 1)
    halves = []
    for size in (10.0, 1e3, 1e6):
        sent = true + errors
        sent[bad] = size * lie
        blocks = ClientBlocks(normalised([Moments(sent)]), 6)
        assert (blocks.whole[0].energy <= 1 + 1e-9).sum() == 12
        halves.append(blocks.concentrate(3).halves)
    assert (halves[0] == halves[1]).all()
    assert (halves[0] == halves[2]).all()


def test_modules_that_too_few_have_say_nothing():
    rng = np.random.default_rng(44)
    attention, mlp = (np.zeros((8, 12, 10)) for _ in range(2))
    for blocks, having in ((attention, 8), (mlp, 3)):
        basis = orthonormal(rng.standard_normal((12, 2)))
        blocks[:having] = basis @ rng.standard_normal((having, 2, 10))
        blocks[:having] += 0.05 * rng.standard_normal((having, 12, 10))
    result = clair.fit({"attention": attention, "mlp": mlp}, 2, solver="irls")
    assert set(result.degrees) <= {"kept", "suspect"}
    alone = np.where(np.arange(8)[:, None, None] < 5, attention, 0.0)
    other = np.where(np.arange(8)[:, None, None] >= 5, attention, 0.0)
    result = clair.fit({"attention": alone, "mlp": other}, 2, solver="irls")
    assert result.degrees[5:] == ("not comparable",) * 3
    assert (result.influence[5:] == 0).all()
    assert all(result.reasons[5:])
    alone[4] = 0.0
    both = clair.fit({"attention": alone, "mlp": other}, 2, solver="irls")
    assert both.degrees[4:] == ("not comparable",) * 4
    assert "zero" in both.reasons[4]  # nothing of it is the others' fault
    assert "modules" not in both.reasons[4]
    assert both.reasons[5:] == result.reasons[5:]
    assert any("zero: 1 client." in note for note in both.notes)
    assert any("modules: 3 clients." in note for note in both.notes)


@pytest.mark.parametrize("n_clients", [3, 4, 8])
def test_few_clients_need_more_evidence(n_clients):
    true, errors, _, basis, rng = world(n_clients, 0, seed=45)
    sent = true + errors
    sent[0] += 0.5 * matrix_off(basis, rng, 1)
    quiet = clair.fit(sent, 3, solver="irls")
    assert quiet.flagged.tolist() == [n_clients == 8, *[False] * (n_clients - 1)]
    sent[0] += 60 * matrix_off(basis, rng, 1)
    loud = clair.fit(sent, 3, solver="irls")
    assert loud.flagged.tolist() == [n_clients > 3, *[False] * (n_clients - 1)]


def small_direction(sent, true, bad, basis, rng):
    sent[bad] += 0.6 * matrix_off(basis, rng, 1)


def ladder(sent, true, bad, basis, rng):
    for step, k in enumerate(np.flatnonzero(bad), start=2):
        size = 0.92 * np.sqrt(1.09 ** (2 * step) - 1)
        sent[k] += size * matrix_off(basis, rng, 1)


def small_tilt_without_noise(sent, true, bad, basis, rng):
    turn = orthonormal(matrix_off(basis, rng, 32)[:, :3])
    sent[bad] = true[bad] + 0.15 * turn @ (basis.T @ true[bad])


HIDING: list[Callable] = [small_direction, ladder, small_tilt_without_noise]


@pytest.mark.parametrize("hide", HIDING, ids=lambda hide: hide.__name__)
@pytest.mark.parametrize("rank", [3, "auto"])
@pytest.mark.parametrize(("n_clients", "n_bad"), [(8, 3), (20, 8)])
def test_a_foreign_part_smaller_than_the_noise_has_structure(hide, rank, n_clients, n_bad):
    true, errors, bad, basis, rng = world(n_clients, n_bad, seed=49)
    sent = true + errors
    hide(sent, true, bad, basis, rng)
    result = clair.fit(sent, rank, solver="irls")
    np.testing.assert_array_equal(result.flagged, bad)
    structure = next(kind for kind in result.evidence if kind.kind == "structure")
    np.testing.assert_array_equal(structure.flagged, bad)
    assert np.median(structure.scores[~bad]) == pytest.approx(1, abs=0.05)


def test_honest_clients_with_few_data_are_of_the_majority_that_structure_must_leave():
    true, errors, bad, basis, rng = world(20, 8, seed=52)
    few = np.isin(np.arange(20), np.flatnonzero(~bad)[:3])
    errors[few] *= 3
    sent = true + errors
    small_direction(sent, true, bad, basis, rng)
    result = clair.fit(sent, 3, solver="irls")
    np.testing.assert_array_equal(result.flagged, bad)
    np.testing.assert_array_equal(result.suspect, few)


def test_a_part_of_one_s_own_is_no_structure_where_others_have_one_too():
    convicted = 0
    for seed in range(20):
        true, errors, _, basis, rng = world(20, 0, seed=2100 + seed)
        own = 0.3 * np.stack([matrix_off(basis, rng, 1) for _ in range(20)])
        sizes = np.exp(0.5 * rng.standard_normal(20))[:, None, None]
        result = clair.fit(sizes * (true + own) + errors, 3, solver="irls")
        structure = [kind for kind in result.evidence if kind.kind == "structure"]
        convicted += sum(int(kind.flagged.sum()) for kind in structure)
    assert convicted <= 8  # of 400; 78 if nothing is allowed for


def test_a_client_that_sends_nothing_inside_is_compared_without_overflow():
    true, errors, _, _, rng = world(8, 0, seed=53, d=30)
    sent = np.concatenate([true + errors, np.zeros((8, 2, 30))], axis=1)
    sent[3] = 0
    sent[3, 30:] = rng.standard_normal((2, 30))
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        result = clair.fit(sent, 3, solver="irls")
    np.testing.assert_array_equal(result.flagged, np.arange(8) == 3)
    assert "structure" in [kind.kind for kind in result.evidence]


@pytest.mark.parametrize("shape", [(8, 12, 30), (8, 30, 12)])
def test_concentration_of_noise_is_the_same_whatever_its_size(shape):
    noise = np.random.default_rng(50).standard_normal((200, *shape[1:]))
    noise *= np.where(np.arange(200) < 120, 1.0, np.geomspace(1, 100, 200))[:, None, None]
    moments = normalised([Moments(noise, noise_shape=shape[1:])])
    everybody = np.ones(200, dtype=bool)
    scores, gap = structure_scores(moments, everybody, 1, everybody[None])
    assert scores.mean() == pytest.approx(1, abs=0.02)
    assert scores.std() == pytest.approx(2 / (shape[1] + shape[2]), rel=0.2)
    assert scores.max() < gap[1]


def test_a_client_with_many_data_is_not_convicted_by_the_errors_of_others():
    for seed in range(20):
        true, errors, *_ = world(8, 0, seed=2000 + seed)
        for times in (20, 30):
            errors[2] = np.sqrt(1 / times) * errors[3]
            assert not clair.fit(true + errors, 3, solver="irls").flagged.any()


def test_structure_convicts_nobody_where_it_is_usual_or_comes_from_the_subspace_s_error():
    true, errors, _, basis, rng = world(8, 0, seed=51)
    exact = true + errors
    exact[2] = true[2]  # endless data: what it has outside comes from the others' noise
    exact[5] = 0.3 * true[5] + 0.5 * matrix_off(basis, rng, 2)  # few data: small and of low rank
    result = clair.fit(exact, 3, solver="irls")
    assert not result.flagged.any()
    structure = next(kind for kind in result.evidence if kind.kind == "structure")
    assert (structure.scores[[2, 5]] < 1.05).all()
    own = true + errors + [0.9 * matrix_off(basis, rng, 1) for _ in range(8)]
    assert all(kind.kind != "structure" for kind in clair.fit(own, 3, solver="irls").evidence)


@pytest.mark.parametrize("options", [{}, {"detector": "norms"}, {"threshold": 1e9}], ids=str)
def test_nobody_is_kept_where_fewer_than_four_clients_are_too_few_to_tell(options):
    true, errors, *_ = world(3, 0, seed=48)
    result = clair.fit(true + errors, 3, **options)
    assert result.degrees == ("not comparable",) * 3
    assert all("fewer than 4 clients" in reason for reason in result.reasons)
    assert sum("too few" in note for note in result.notes) == 1
    assert (result.influence == 1).all()  # what they get is as before: nobody is accused either


def test_influence_is_equal_for_independent_clients_with_a_common_part():
    rng = np.random.default_rng(48)
    common, own = rng.standard_normal((1, 20, 15)), rng.standard_normal((10, 20, 15))
    basis = np.zeros((20, 1))
    everybody = np.ones(10, dtype=bool)
    for strength in (0.0, 0.5, 2.0):
        weights = influence_of([Moments(strength * common + own)], [basis], everybody)
        assert weights.min() > 0.8


@pytest.mark.parametrize(
    ("n_clients", "d_in", "rank", "seed"), [(30, 16, 1, 17), (30, 16, 1, 33), (50, 8, 2, 51)]
)
def test_rounding_makes_nobody_suspect(n_clients, d_in, rank, seed):
    spec = ProblemSpec(
        n_clients=n_clients,
        d_out=8,
        d_in=d_in,
        rank=rank,
        noise=0.0,
        poisoned_fraction=0.0,
        unevenness=0.5,
        seed=seed,
    )
    verdict = detect_updates(sample_problem(spec).updates, rank)
    assert verdict.degrees == ("kept",) * n_clients
    np.testing.assert_array_equal(verdict.influence, 1.0)


def test_detector_does_not_depend_on_order_scale_or_coordinates():
    rng = np.random.default_rng(0)
    updates = sample_problem(ProblemSpec(n_clients=11, d_out=8, d_in=6, rank=2)).updates
    order = rng.permutation(11)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    plain = detect_updates(updates, 2)
    moved = detect_updates(50 * turn @ updates[order], 2)
    np.testing.assert_array_equal(moved.benign, plain.benign[order])
    np.testing.assert_allclose(moved.scores, plain.scores[order])


def test_norms_alone_decide_as_published():
    spec = ProblemSpec(poisoned_fraction=0.25, noise=0.0)
    problem = sample_problem(spec)
    result = clair.fit(problem.updates, 3, detector="norms", polish=False)
    assert set(result.degrees) <= {"kept", "flagged"}
    np.testing.assert_array_equal(result.influence, result.benign.astype(float))
    np.testing.assert_array_equal(result.flagged, problem.contaminated)
    np.testing.assert_array_equal(result.scores, result.contamination_norms)


def blocks_of(spec):
    return ClientBlocks(normalised([dense_core(sample_problem(spec).updates).moments]), 6)


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1])
def test_automatic_rank_is_right_in_95_percent_up_to_noise_of_a_tenth(noise):
    right = []
    for attack, fraction in (("low_rank", 0.0), ("low_rank", 0.25), ("random", 0.4)):
        for rank in (2, 3, 4, 5):
            for seed in range(2):
                spec = ProblemSpec(
                    rank=rank,
                    noise=noise,
                    attack=attack,
                    poisoned_fraction=fraction,
                    seed=200 + seed,
                )
                right.append(automatic_rank(blocks_of(spec)) == rank)
    assert np.mean(right) >= 0.95


def test_automatic_rank_respects_its_bound_and_tiny_updates():
    assert automatic_rank(blocks_of(ProblemSpec(rank=5, n_clients=8)), max_rank=2) <= 2
    assert automatic_rank(blocks_of(ProblemSpec(n_clients=5, d_out=1, d_in=4, rank=1))) == 1


def test_coefficient_screen_finds_sign_flips_and_adds_no_false_alarm():
    for attack, expected in (("sign_flip", 1.0), ("low_rank", 0.0)):
        problem = sample_problem(
            ProblemSpec(attack=attack, poisoned_fraction=0.4, heterogeneity=0.5)
        )
        coefficients = problem.subspace.T @ problem.updates
        start = np.ones(20, bool) if attack == "sign_flip" else ~problem.contaminated
        screened = start & ~coefficient_screen([coefficients], start)
        assert screened[problem.contaminated].mean() == expected
        assert not screened[~problem.contaminated].any()


def test_where_a_zero_update_leaves_too_few_to_compare_nobody_is_judged():
    spec = ProblemSpec(n_clients=4, poisoned_fraction=0.3, noise=0.0, attack="silent")
    result = clair.fit(sample_problem(spec).updates, solver="irls")
    assert set(result.degrees) == {"not comparable"}


@pytest.mark.parametrize("noise", [0.0, 0.003])
@pytest.mark.parametrize("n_clients", [8, 20])
def test_honest_clients_who_want_the_same_are_not_taken_for_copies(n_clients, noise):
    plan = AttackPlan.from_json([{"own": 0, "size": 1, "directions": 3}])
    for heterogeneity in (0.0, 0.1):
        spec = ProblemSpec(
            n_clients=n_clients, poisoned_fraction=0.4, heterogeneity=heterogeneity, noise=noise
        )
        problem = sample_problem(spec, plan)
        result = clair.fit(problem.updates, solver="irls")
        np.testing.assert_array_equal(result.flagged, problem.contaminated)


@pytest.mark.parametrize("n_clients", [8, 20])
@pytest.mark.parametrize(
    "tactic", [{"own": -0.5}, {"own": 0, "mean": -1}, {"own": 0.4, "mean": -1}]
)
def test_no_minority_turns_the_coefficient_screen_against_the_honest(n_clients, tactic):
    spec = ProblemSpec(n_clients=n_clients, poisoned_fraction=0.4, heterogeneity=2.0, seed=5)
    problem = sample_problem(spec, AttackPlan.from_json([tactic]))
    coefficients = problem.subspace.T @ problem.updates
    kept = coefficient_screen([coefficients], np.ones(n_clients, dtype=bool))
    np.testing.assert_array_equal(kept, ~problem.contaminated)


@pytest.mark.parametrize("d_in", [3, 20])
def test_where_nobody_is_kept_nobody_is_screened(d_in):
    coefficients = np.random.default_rng(0).normal(size=(6, 2, d_in))
    nobody = np.zeros(6, dtype=bool)
    assert not coefficient_screen([coefficients, coefficients], nobody).any()
    alone = np.arange(6) == 3
    assert coefficient_screen([coefficients], alone).tolist() == alone.tolist()
