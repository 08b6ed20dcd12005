"""Proximal operators and layout of client blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clair.method.linalg import (
    block_norms,
    block_soft_threshold,
    hstack_blocks,
    leading_eigenvectors,
    spectral_threshold,
    split_blocks,
)


def rng_of(seed):
    return np.random.default_rng(seed)


def test_stacking_puts_clients_side_by_side_and_splitting_undoes_it():
    blocks = rng_of(0).standard_normal((4, 3, 5))
    stacked = hstack_blocks(blocks)
    assert stacked.shape == (3, 20)
    np.testing.assert_array_equal(stacked[:, 5:10], blocks[1])
    np.testing.assert_array_equal(split_blocks(stacked, 4), blocks)


@pytest.mark.parametrize("few", [False, True])
@settings(max_examples=40, deadline=None)
@given(d=st.integers(1, 7), n=st.integers(1, 9), tau=st.floats(0, 3), seed=st.integers(0, 1000))
def test_singular_value_threshold_equals_the_textbook_svd_formula(few, d, n, tau, seed):
    matrix = rng_of(seed).standard_normal((d, n))
    basis, factors, values = spectral_threshold(matrix @ matrix.T, tau, few=few)
    shrunk = basis @ (factors[:, None] * (basis.T @ matrix))
    left, s, right = np.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(shrunk, left * np.maximum(s - tau, 0) @ right, atol=1e-7)
    np.testing.assert_allclose(values[: len(s)], np.maximum(s - tau, 0), atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 3), st.integers(0, 1000))
def test_block_soft_threshold_minimises_its_proximal_objective(tau, seed):
    rng = rng_of(seed)
    blocks = rng.standard_normal((5, 2, 3)) * rng.uniform(0.1, 2, (5, 1, 1))
    shrunk = block_soft_threshold(block_norms(blocks), tau)[:, None, None] * blocks

    def objective(candidate):
        return 0.5 * np.sum((candidate - blocks) ** 2) + tau * block_norms(candidate).sum()

    best = objective(shrunk)
    for size in (1e-3, 0.1, 1.0):
        assert best <= objective(shrunk + size * rng.standard_normal(blocks.shape)) + 1e-12


def test_leading_eigenvectors_are_ordered_and_batched():
    values = np.array([1.0, 5.0, 3.0])
    batch = np.stack([np.diag(values), np.diag(values[::-1])])
    vectors = np.abs(leading_eigenvectors(batch, 2))
    np.testing.assert_allclose(vectors[0], np.eye(3)[:, [1, 2]], atol=1e-12)
    np.testing.assert_allclose(vectors[1], np.eye(3)[:, [1, 0]], atol=1e-12)


@pytest.mark.parametrize("tau", [0.0, 10.0])
def test_thresholds_at_their_ends(tau):
    norms = np.array([0.0, 0.5, 3.0])
    factors = block_soft_threshold(norms, tau)
    expected = [0.0, 1.0, 1.0] if tau == 0 else [0.0, 0.0, 0.0]
    np.testing.assert_array_equal(factors, expected)
