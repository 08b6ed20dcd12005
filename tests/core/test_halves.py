"""Refinement with two half-data updates per client: the rule, its forms, its liars."""

import numpy as np
import pytest

import clair
from clair import LoraFactors, ProblemSpec, compare, sample_problem
from clair.simulation.matrix_model import sample_halves

SPEC = ProblemSpec(n_clients=13, d_out=12, d_in=9, rank=2, poisoned_fraction=0.3, seed=4)


def fitted(problem, **options):
    options = {"rank": problem.spec.rank, "halves": sample_halves(problem), **options}
    return clair.fit(problem.updates, pooling="halves", **options)


def by_hand(problem, fit):
    """Apply the rule as it is written, with nothing but NumPy."""
    heard = fit.influence > 0
    w, X = fit.influence[heard], problem.updates[heard]
    apart = np.subtract(*sample_halves(problem))[heard] / 2
    wide = np.hstack(list(np.sqrt(w)[:, None, None] * X))
    U = fit.subspace
    U = U @ np.linalg.svd(U.T @ wide)[0]
    mean = np.tensordot(w / w.sum(), X, axes=1)
    apart_wide = np.hstack(list(np.sqrt(w)[:, None, None] * (X - mean)))
    V = np.linalg.svd(apart_wide - U @ (U.T @ apart_wide))[0][:, : len(U) - U.shape[1]]
    refined, weights = problem.updates.copy(), []
    for u in np.hstack([U, V]).T:
        squares = np.sum((u @ (X - mean)) ** 2, axis=1)
        variance = (w @ squares) / (w.sum() - w @ w / w.sum())
        noise = np.median(np.sum((u @ apart) ** 2, axis=1))
        weights.append(max(0.0, 1 - noise / variance))
        for k in np.flatnonzero(fit.benign):
            refined[k] -= (1 - weights[-1]) * np.outer(u, u @ (problem.updates[k] - mean))
    return refined, np.array(weights)


@pytest.mark.parametrize("off", [0.0, 0.5])
def test_each_direction_keeps_the_share_that_is_no_error(off):
    problem = sample_problem(ProblemSpec(**{**vars(SPEC), "off_subspace": off}))
    fit = fitted(problem)
    assert len(set(fit.influence)) > 2  # clients of all weights
    refined, weights = by_hand(problem, fit)
    np.testing.assert_allclose(fit.direction_weights.weights, weights, atol=1e-9)
    np.testing.assert_allclose(fit.refined, refined, atol=1e-9)
    np.testing.assert_array_equal(fit.refined[fit.flagged], problem.updates[fit.flagged])
    basis = fit.direction_weights.directions
    np.testing.assert_allclose(basis[:, :2] @ basis[:, :2].T, fit.subspace @ fit.subspace.T)


def test_who_is_flagged_does_not_depend_on_halves():
    problem = sample_problem(SPEC)
    plain, halved = clair.fit(problem.updates, 2), fitted(problem)
    np.testing.assert_array_equal(plain.scores, halved.scores)
    assert plain.direction_weights is None


@pytest.mark.parametrize("side", ["output", "input"])
@pytest.mark.parametrize("other_rank", [4, 6])
def test_factors_modules_and_sizes_make_no_difference(side, other_rank):
    rng = np.random.default_rng(5)

    def factors(rho, near=None, spread=1.0):
        B, A = rng.standard_normal((7, 40, rho)), rng.standard_normal((7, rho, 30))
        if near is None:
            return LoraFactors(B, A)
        B[:, :, : near.B.shape[2]] = near.B + spread * B[:, :, : near.B.shape[2]]
        A[:, : near.A.shape[1]] = near.A
        B[:, :, near.B.shape[2] :] *= 0.1
        return LoraFactors(B, A)

    full = factors(4)
    halves = factors(other_rank, full, 1.5), factors(other_rank, full, 1.5)
    options = {"rank": 2, "side": side, "pooling": "halves"}
    dense = clair.fit(full.dense(), halves=tuple(h.dense() for h in halves), **options)
    assert 0.05 < dense.direction_weights.weights[:2].mean() < 0.95
    lora = clair.fit(full, halves=halves, **options)
    np.testing.assert_allclose(lora.refined.dense(), dense.refined, atol=1e-9)
    several = clair.fit(
        {"a": full, "b": full},
        halves=tuple({"b": half, "a": half} for half in halves),
        **options,
    )
    np.testing.assert_allclose(several.refined["b"].dense(), dense.refined, atol=1e-9)
    assert set(several.direction_weights) == {"a", "b"}
    unit = 2.0**-350
    tiny = [LoraFactors(unit * value.B, value.A) for value in (full, *halves)]
    small = clair.fit(tiny[0], halves=tuple(tiny[1:]), **options)
    np.testing.assert_allclose(small.refined.dense() / unit, dense.refined, atol=1e-9)
    np.testing.assert_allclose(
        small.direction_weights.noise / unit, lora.direction_weights.noise, atol=1e-12
    )


@pytest.mark.parametrize("factor", [10.0, 1e200])
def test_a_liar_among_the_kept_does_not_move_the_weights(factor):
    problem = sample_problem(ProblemSpec(poisoned_fraction=0, off_subspace=1.0, seed=3))
    liars = np.arange(20) < 2
    honest = fitted(problem).direction_weights.weights
    lied = fitted(problem, halves=sample_halves(problem, inflated=liars, factor=factor))
    assert np.abs(lied.direction_weights.weights - honest).max() < 0.1


@pytest.mark.parametrize("noise", [0.03, 0.1])
@pytest.mark.parametrize("off", [0.0, 0.3, 1.0, 3.0])
def test_no_heterogeneity_makes_it_worse_than_training_alone(noise, off):
    for seed in range(3):
        problem = sample_problem(ProblemSpec(noise=noise, off_subspace=off, seed=seed))
        table = compare(problem, ["local", "clair", "clair_halves"], halves=sample_halves(problem))
        error = {row.method: row.rmse for row in table}
        assert error["clair_halves"] <= 1.005 * error["local"]
        assert error["clair_halves"] <= 1.1 * error["clair"]


def test_too_few_to_learn_from_keep_their_own():
    problem = sample_problem(ProblemSpec(n_clients=5, poisoned_fraction=0))
    fit = fitted(problem, threshold=0.0)
    np.testing.assert_array_equal(fit.refined, problem.updates)
    np.testing.assert_array_equal(fit.direction_weights.weights, np.ones(32))


def test_halves_that_do_not_fit_are_refused():
    problem = sample_problem(SPEC)
    updates, halves = problem.updates, sample_halves(problem)
    with pytest.raises(ValueError, match='with pooling "halves" and only then, got None'):
        clair.fit(updates, 2, pooling="halves")
    with pytest.raises(ValueError, match="only then, got halves with pooling 'eb'"):
        clair.fit(updates, 2, pooling="eb", halves=halves)
    bad = [
        (halves[0], "must be a pair of updates, got ndarray"),
        ((halves[0][:5], halves[1]), r"halves\[0\] must be an array of shape \(13, 12, 9\)"),
        ((halves[0], {"q": halves[1]}), r"halves\[1\] must have the modules of updates, got q"),
        ((halves[0], np.full_like(updates, np.nan)), r"halves\[1\] must be finite"),
        ((LoraFactors(updates, updates.transpose(0, 2, 1)), halves[1]), "must be an array"),
    ]
    for value, message in bad:
        with pytest.raises(ValueError, match=message):
            clair.fit(updates, 2, pooling="halves", halves=value)
    assert compare(problem, ["clair_halves"]) == ()


def test_halves_leave_the_problem_as_it_is_and_err_independently():
    spec = ProblemSpec(n_clients=40, noise=0.1, poisoned_fraction=0, seed=9)
    problem = sample_problem(spec)
    errors = [(half - problem.true_updates).ravel() for half in sample_halves(problem)]
    assert np.std(errors, axis=1) == pytest.approx(0.1 * np.sqrt(2), rel=0.02)
    assert abs(np.corrcoef(errors)[0, 1]) < 0.02
