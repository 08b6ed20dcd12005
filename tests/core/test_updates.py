"""Lossless compression: what the core keeps, and the checks at the door."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clair
from clair.method.linalg import block_norms, hstack_blocks
from clair.method.updates import FactoredUpdates, LoraFactors, dense_core, factored_core, to_cores


def factors(n_clients=5, d_out=13, d_in=11, rho=2, seed=0):
    rng = np.random.default_rng(seed)
    return LoraFactors(
        rng.standard_normal((n_clients, d_out, rho)), rng.standard_normal((n_clients, rho, d_in))
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 6), st.integers(2, 20), st.integers(2, 20), st.integers(1, 4))
def test_factored_core_keeps_norms_singular_values_and_the_updates(n, d_out, d_in, rho):
    given_factors = factors(n, d_out, d_in, rho)
    core = factored_core(given_factors)
    dense = given_factors.dense()
    assert core.thin.shape[1] <= min(d_out, n * rho)
    assert core.thin.shape[2] <= max(rho, min(core.blocks.shape[1:]))
    restored = core.restore(core.from_thin(core.thin))
    np.testing.assert_allclose(restored.dense(), dense, atol=1e-10)
    np.testing.assert_allclose(block_norms(core.thin), block_norms(dense))
    mine = np.linalg.svd(hstack_blocks(core.thin), compute_uv=False)
    full = np.linalg.svd(hstack_blocks(dense), compute_uv=False)
    size = min(len(mine), len(full))
    np.testing.assert_allclose(mine[:size], full[:size], atol=1e-9)


@pytest.mark.parametrize("shape", [(4, 30, 3), (4, 3, 30), (6, 8, 8)])
def test_dense_core_restores_the_updates(shape):
    blocks = np.random.default_rng(1).standard_normal(shape)
    core = dense_core(blocks)
    assert core.thin.shape[1] <= min(shape[1], shape[0] * shape[2])
    np.testing.assert_allclose(core.restore(core.from_thin(core.thin)), blocks, atol=1e-12)
    np.testing.assert_allclose(core.grams, core.blocks @ core.blocks.transpose(0, 2, 1))


@pytest.mark.parametrize("side", ["output", "input"])
@pytest.mark.parametrize("pooling", ["none", "eb"])
def test_fit_on_factors_equals_fit_on_dense_updates(side, pooling):
    rng = np.random.default_rng(2)
    problem = clair.sample_problem(
        clair.ProblemSpec(n_clients=7, d_out=40, d_in=30, rank=2, noise=0, heterogeneity=1.0)
    )
    left, s, right = np.linalg.svd(problem.updates, full_matrices=False)
    lora = LoraFactors(left[:, :, :4] * s[:, None, :4], right[:, :4])
    lora = LoraFactors(lora.B + 0.02 * rng.standard_normal(lora.B.shape), lora.A)
    dense = clair.fit(lora.dense(), rank=2, side=side, pooling=pooling, tol=1e-10)
    factored = clair.fit(lora, rank=2, side=side, pooling=pooling, tol=1e-10)
    assert isinstance(factored.refined, FactoredUpdates)
    assert factored.objective == pytest.approx(dense.objective, rel=1e-8)
    np.testing.assert_allclose(factored.scores, dense.scores, rtol=1e-7)
    np.testing.assert_allclose(factored.contamination_norms, dense.contamination_norms, atol=1e-6)
    np.testing.assert_array_equal(factored.benign, dense.benign)
    np.testing.assert_allclose(factored.low_rank.dense(), dense.low_rank, atol=1e-6)
    if pooling == "none":
        np.testing.assert_allclose(factored.refined.dense(), dense.refined, atol=1e-8)


def test_transposing_factors_transposes_the_updates():
    lora = factors()
    np.testing.assert_allclose(lora.transposed().dense(), lora.dense().transpose(0, 2, 1))
    restored = factored_core(lora).restore(factored_core(lora).blocks)
    np.testing.assert_allclose(
        restored.transposed().dense(), lora.dense().transpose(0, 2, 1), atol=1e-10
    )


GOOD = np.random.default_rng(0).standard_normal((4, 3, 2))


def spoiled(value):
    blocks = GOOD.copy()
    blocks[2, 1, 1] = value
    return blocks


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        (GOOD[:2], "updates must hold at least 3 clients, got 2"),
        (GOOD[0], r"updates must have shape \(n_clients, rows, columns\).*got \(3, 2\)"),
        (spoiled(np.nan), "updates must be finite, got NaN or infinity at client 2"),
        (spoiled(np.inf), "updates must be finite"),
        ([GOOD[0], GOOD[1], GOOD[2, :2]], "equal shapes for all clients"),
        ("abc", "updates must hold real numbers"),
        ({}, "updates must hold at least one module"),
        ({"q": GOOD, "v": GOOD[:3]}, r"same number of clients in every module, got \{'q': 4"),
        ({"q": GOOD, "v": spoiled(np.nan)}, r"updates\['v'\] must be finite"),
    ],
)
def test_bad_updates_are_refused_by_name(updates, message):
    with pytest.raises(ValueError, match=message):
        to_cores(updates, "output")


def test_factors_that_do_not_fit_each_other_are_refused():
    with pytest.raises(ValueError, match=r"got \(4, 3, 2\) and \(4, 3, 5\)"):
        LoraFactors(GOOD, np.ones((4, 3, 5)))
