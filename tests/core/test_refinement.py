"""Refinement, empirical-Bayes pooling and what they promise."""

import numpy as np
import pytest

from clair import ProblemSpec, compare, sample_problem
from clair.method.linalg import orthonormal
from clair.method.refinement import pooling_weights, refine


def random_case(seed=0):
    rng = np.random.default_rng(seed)
    blocks = rng.standard_normal((6, 5, 4))
    basis = orthonormal(rng.standard_normal((5, 2)))
    benign = np.array([True, True, False, True, True, False])
    return blocks, basis, benign


def test_plain_refinement_is_own_inside_and_average_outside():
    blocks, basis, benign = random_case()
    (refined,) = refine([blocks], [basis], benign)
    inside = basis @ basis.T
    average = blocks[benign].mean(axis=0)
    for k in range(6):
        expected = inside @ blocks[k] + (np.eye(5) - inside) @ average if benign[k] else blocks[k]
        np.testing.assert_allclose(refined[k], expected)


def test_pooling_moves_only_inside_the_subspace_and_one_direction_beside_it():
    blocks, basis, benign = random_case()
    blocks = blocks + 10 * np.ones((5, 4))  # a common part that no pretest takes for noise
    (plain,) = refine([blocks], [basis], benign)
    (pooled,) = refine([blocks], [basis], benign, pooling="eb")
    outside = np.eye(5) - basis @ basis.T
    moved = np.hstack(list(outside @ (pooled - plain)[benign]))
    assert np.linalg.matrix_rank(moved, tol=1e-9) == 1
    np.testing.assert_array_equal(pooled[~benign], blocks[~benign])
    spread = np.linalg.norm(pooled[benign] - pooled[benign].mean(axis=0))
    assert spread <= np.linalg.norm(plain[benign] - plain[benign].mean(axis=0))


def test_pooling_turns_with_the_data():
    blocks, basis, benign = random_case()
    turn = orthonormal(np.random.default_rng(1).standard_normal((5, 5)))
    (pooled,) = refine([blocks], [basis], benign, pooling="eb")
    (turned,) = refine([turn @ blocks], [turn @ basis], benign, pooling="eb")
    np.testing.assert_allclose(turned, turn @ pooled, atol=1e-10)


def test_a_single_kept_client_keeps_its_update():
    blocks, basis, _ = random_case()
    alone = np.zeros(6, bool)
    alone[1] = True
    for pooling in ("none", "eb"):
        (refined,) = refine([blocks], [basis], alone, pooling=pooling)
        np.testing.assert_allclose(refined, blocks)


def mean_rmse(methods, seeds=range(6), **changes):
    rows = {key: [] for key in methods}
    for seed in seeds:
        spec = ProblemSpec(**{"seed": seed, **changes})
        for row in compare(sample_problem(spec), methods=methods, rank=spec.rank):
            rows[row.method].append(row.rmse)
    return {key: float(np.mean(values)) for key, values in rows.items()}


@pytest.mark.parametrize(
    ("h", "local", "average", "plain", "pooled"),
    [(0.0, 0.96, 0.24, 0.38, 0.10), (0.3, 0.96, 0.56, 0.38, 0.28), (1.0, 0.96, 1.69, 0.38, 0.30)],
)
def test_errors_over_heterogeneity_are_the_known_ones(h, local, average, plain, pooled):
    found = mean_rmse(["local", "fedavg_benign", "clair", "clair_eb"], heterogeneity=h)
    assert found["local"] == pytest.approx(local, rel=0.05)
    assert found["fedavg_benign"] == pytest.approx(average, rel=0.1)
    assert found["clair"] == pytest.approx(plain, rel=0.05)
    assert found["clair_eb"] == pytest.approx(pooled, abs=0.02)


def test_pooling_beats_averaging_the_benign_where_clients_agree():
    found = mean_rmse(["fedavg_benign", "clair", "clair_eb"], heterogeneity=0.0)
    assert found["clair_eb"] < found["fedavg_benign"] < found["clair"]


@pytest.mark.parametrize("n_clients", [8, 20, 50])
@pytest.mark.parametrize("noise", [0.03, 0.1])
@pytest.mark.parametrize(("h", "off"), [(0.0, 0.0), (0.5, 0.3), (1.0, 0.0)])
def test_pooling_is_never_worse_than_plain_by_more_than_two_percent(n_clients, noise, h, off):
    found = mean_rmse(
        ["clair", "clair_eb"],
        n_clients=n_clients,
        noise=noise,
        heterogeneity=h,
        off_subspace=off,
        poisoned_fraction=0.3,
    )
    assert found["clair_eb"] <= 1.02 * found["clair"]


def test_the_direction_beside_the_subspace_is_weighed_too_and_is_no_noise():
    two_modules = [np.array([9.0, 8, 5, 1, 1, 1, 1]), np.array([3.0, 4, 1, 1, 1, 1, 1, 1])]
    expected = [1 - 2 / 12, 1 - 2 / 12, 1 - 2 / 6]  # noise is what follows: 1 in either module
    np.testing.assert_allclose(pooling_weights(two_modules, 2), expected)
    full = [np.array([9.0, 8, 0, 0])]  # two directions are all there are
    np.testing.assert_allclose(pooling_weights(full, 2), [1, 1])


@pytest.mark.parametrize("shape", [(32, 32), (18, 45)])
def test_pooling_survives_a_rank_one_too_low(shape):
    right, low = [], []
    for seed in range(4):
        spec = ProblemSpec(d_out=shape[0], d_in=shape[1], rank=4, seed=seed)
        problem = sample_problem(spec)
        for rank, errors in ((4, right), (3, low)):
            errors.append(compare(problem, methods=["clair_eb"], rank=rank)[0].rmse)
    assert np.mean(low) < 1.05 * np.mean(right)
