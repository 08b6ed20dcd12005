"""Compressed factors: inner products are kept, roots of any Gram matrix."""

import numpy as np
import pytest

from clair.adapters.compress import compress, gram_root


@pytest.mark.parametrize("shape", [(50, 9), (9, 50), (6, 5)])
def test_compression_keeps_all_inner_products(shape):
    rng = np.random.default_rng(0)
    ranks = [3, 1, 0, 4]
    factors = [
        None if r == 0 else (rng.standard_normal((shape[0], r)), rng.standard_normal((r, shape[1])))
        for r in ranks
    ]
    module = compress(factors, shape)
    dense = np.array([np.zeros(shape) if p is None else p[0] @ p[1] for p in factors])
    for side in ("output", "input"):
        blocks = module.core(side).blocks
        expected = dense if side == "output" else dense.transpose(0, 2, 1)
        for j in range(4):
            for k in range(4):
                ours = np.linalg.svd(blocks[j] @ blocks[k].T, compute_uv=False)
                full = np.linalg.svd(expected[j] @ expected[k].T, compute_uv=False)
                n = min(len(ours), len(full))
                np.testing.assert_allclose(ours[:n], full[:n], atol=1e-9 * full.max(initial=1))


def test_gram_roots_of_dependent_and_very_uneven_columns():
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((40, 6))
    Y[:, 3] = Y[:, 0] - 2 * Y[:, 1]
    Y[:, 4] = 0
    Y[:, 5] *= 1e12
    root, inverse = gram_root(Y.T @ Y)
    assert root.shape == (4, 6)
    np.testing.assert_allclose((Y @ inverse).T @ (Y @ inverse), np.eye(4), atol=1e-7)
    lengths = np.maximum(np.linalg.norm(Y, axis=0), 1)
    np.testing.assert_allclose((Y @ inverse @ root) / lengths, Y / lengths, atol=1e-7)
