"""The matrix model and its attacks."""

from dataclasses import replace

import numpy as np
import pytest

from clair import ProblemSpec, sample_problem
from clair.method.linalg import block_norms
from clair.simulation.attacks import ATTACKS

SPEC = ProblemSpec(n_clients=14, d_out=11, d_in=7, rank=2, poisoned_fraction=0.3, seed=5)


def test_the_same_spec_gives_the_same_bytes_and_another_seed_does_not():
    first, second = sample_problem(SPEC), sample_problem(SPEC)
    assert first.updates.tobytes() == second.updates.tobytes()
    assert first.updates.tobytes() != sample_problem(replace(SPEC, seed=6)).updates.tobytes()


def test_benign_updates_are_subspace_plus_noise_of_the_stated_size():
    problem = sample_problem(replace(SPEC, n_clients=200, noise=0.05))
    benign = ~problem.contaminated
    noise = (problem.updates - problem.true_updates)[benign]
    assert noise.std() == pytest.approx(0.05, rel=0.02)
    outside = problem.true_updates - problem.subspace @ (problem.subspace.T @ problem.true_updates)
    assert np.abs(outside).max() < 1e-12


def test_heterogeneity_is_the_spread_of_coefficients():
    for h in (0.0, 0.5, 2.0):
        problem = sample_problem(replace(SPEC, n_clients=400, heterogeneity=h, noise=0))
        coefficients = problem.subspace.T @ problem.true_updates
        spread = coefficients.std(axis=0).mean() * np.sqrt(SPEC.d_in)
        assert spread == pytest.approx(h, rel=0.05, abs=1e-12)


def test_off_subspace_part_has_its_stated_energy_and_is_orthogonal():
    plain = sample_problem(replace(SPEC, noise=0))
    problem = sample_problem(replace(SPEC, noise=0, off_subspace=0.4))
    off = problem.true_updates - plain.true_updates
    np.testing.assert_allclose(block_norms(off), 0.4 * np.sqrt(2))
    assert np.abs(problem.subspace.T @ off).max() < 1e-12


def test_turning_the_noise_leaves_everything_else_as_it_was():
    quiet, loud = sample_problem(SPEC), sample_problem(replace(SPEC, noise=0.2))
    np.testing.assert_array_equal(quiet.true_updates, loud.true_updates)
    np.testing.assert_array_equal(quiet.contaminated, loud.contaminated)


def test_more_contaminated_clients_include_the_earlier_ones():
    few = sample_problem(replace(SPEC, poisoned_fraction=0.15)).contaminated
    many = sample_problem(replace(SPEC, poisoned_fraction=0.4)).contaminated
    assert few.sum() < many.sum()
    assert (many | ~few).all()


def test_unevenness_spreads_the_sizes_of_clients():
    even = block_norms(sample_problem(replace(SPEC, heterogeneity=0)).true_updates)
    uneven = block_norms(sample_problem(replace(SPEC, heterogeneity=0, unevenness=1)).true_updates)
    np.testing.assert_allclose(even, even[0])
    assert uneven.max() > 2 * uneven.min()


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.45, 0.499])
@pytest.mark.parametrize("n_clients", [3, 4, 9, 20])
def test_contaminated_clients_stay_a_minority(fraction, n_clients):
    spec = ProblemSpec(n_clients=n_clients, poisoned_fraction=fraction)
    assert sample_problem(spec).contaminated.sum() == spec.n_contaminated < n_clients / 2


def sent(attack, **changes):
    problem = sample_problem(replace(SPEC, noise=0, attack=attack, **changes))
    bad = problem.contaminated
    return problem, problem.updates[bad], problem.true_updates[bad]


def rank_of(matrix):
    return np.linalg.matrix_rank(matrix, tol=1e-9)


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_changes_contaminated_clients_only(attack):
    spec = replace(SPEC, noise=0.05, attack=attack)
    problem = sample_problem(spec)
    honest = sample_problem(replace(spec, poisoned_fraction=0)).updates
    bad = problem.contaminated
    assert (block_norms(problem.updates - honest)[bad] > 0.1).all()
    np.testing.assert_array_equal(problem.updates[~bad], honest[~bad])


@pytest.mark.parametrize("attack", ["random", "low_rank", "colluding", "identical"])
def test_additive_attacks_have_the_scale_asked_for(attack):
    typical = np.sqrt(SPEC.rank * (1 + SPEC.heterogeneity**2))
    _, wrong, honest = sent(attack, attack_scale=0.7)
    np.testing.assert_allclose(block_norms(wrong - honest), 0.7 * typical)


def test_structure_of_each_attack():
    _, wrong, honest = sent("random")
    assert rank_of((wrong - honest)[0]) == 7
    _, wrong, honest = sent("low_rank")
    assert rank_of((wrong - honest)[0]) == 2
    assert rank_of(np.hstack(wrong - honest)) == 2 * len(wrong)
    _, wrong, honest = sent("colluding")
    assert rank_of(np.hstack(wrong - honest)) == 2
    assert rank_of(np.vstack(wrong - honest)) > 2
    _, wrong, honest = sent("identical")
    np.testing.assert_allclose(wrong - honest, np.broadcast_to((wrong - honest)[0], wrong.shape))
    _, wrong, honest = sent("replace")
    problem, *_ = sent("replace")
    assert rank_of(np.hstack([wrong[0], problem.subspace])) == 4
    _, wrong, honest = sent("sign_flip", attack_scale=0.5)
    np.testing.assert_allclose(wrong, -0.5 * honest)
    _, wrong, honest = sent("scaled", attack_scale=0.01)
    np.testing.assert_allclose(wrong, 0.1 * honest)


def test_alie_is_the_benign_mean_less_z_deviations():
    problem, wrong, _ = sent("alie")
    benign = problem.true_updates[~problem.contaminated]
    z = (benign.mean(axis=0) - wrong[0]) / benign.std(axis=0)
    np.testing.assert_allclose(z, z[0, 0])
    assert 0 < z[0, 0] < 1
    np.testing.assert_array_equal(wrong[0], wrong[-1])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n_clients", 2, "n_clients must be at least 3, got 2"),
        ("n_clients", 8.0, "n_clients must be an integer, got 8.0"),
        ("rank", 0, "rank must be at least 1, got 0"),
        ("rank", 8, r"rank must be at most min\(d_out, d_in\) = 7, got 8"),
        ("poisoned_fraction", 1.0, r"poisoned_fraction must be in \[0, 1\), got 1"),
        ("noise", -1.0, "noise must be at least 0, got -1"),
        ("noise", float("nan"), "noise must be a finite number, got nan"),
        ("heterogeneity", "1", "heterogeneity must be a finite number, got '1'"),
        ("attack_scale", 0.0, "attack_scale must be greater than 0, got 0"),
        ("attack", "bribe", "attack must be one of 'low_rank', .*got 'bribe'"),
        ("seed", -1, "seed must be at least 0, got -1"),
    ],
)
def test_bad_fields_are_named_with_rule_and_value(field, value, message):
    with pytest.raises(ValueError, match=message):
        replace(SPEC, **{field: value})


def test_the_former_name_of_the_poisoned_fraction_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="poisoned_fraction"):
        spec = ProblemSpec(contaminated_fraction=0.4)
    assert spec == ProblemSpec(poisoned_fraction=0.4)


@pytest.mark.parametrize(("share", "number"), [(0.49, 2), (0.5, 3), (0.6, 3), (0.99, 4)])
def test_a_share_is_rounded_on_its_own_side_of_one_half(share: float, number: int) -> None:
    problem = sample_problem(ProblemSpec(n_clients=5, poisoned_fraction=share))
    assert problem.contaminated.sum() == problem.spec.n_contaminated == number
