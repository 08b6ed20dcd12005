"""Large eigenproblems answered piecewise, against full decompositions."""

import numpy as np
import pytest

from clair import LoraFactors, fit
from clair.method.eigen import (
    downdated_eigenpairs,
    krylov_eigenpairs,
    leading_eigenpairs,
    tall_qr,
)
from clair.method.linalg import block_grams, hstack_blocks
from clair.method.moments import Moments, normalised
from clair.method.solvers import decompose


def blocks(K, d, c, seed=0, noise=0.3):
    """Draw clients that share two directions, with a slowly falling spectrum behind them."""
    rng = np.random.default_rng(seed)
    fall = np.arange(1, d + 1)[:, None] ** -0.5
    shared = rng.standard_normal((d, 2))
    return shared @ rng.standard_normal((K, 2, c)) + noise * fall * rng.standard_normal((K, d, c))


@pytest.mark.parametrize(("K", "d", "c"), [(6, 20, 4), (18, 150, 8), (20, 90, 8), (9, 40, 40)])
@pytest.mark.parametrize("size", [1, 3, 6])
def test_left_out_energies_by_refitting_each_client_away(K, d, c, size):
    thin = blocks(K, d, c)
    kept = np.arange(K) % 4 != 1
    energy = Moments(thin).left_out_energy(kept, size)
    for k in range(K):
        others = kept.copy()
        others[k] = False
        basis = np.linalg.svd(hstack_blocks(thin[others]), full_matrices=False)[0][:, :size]
        expected = np.sum((basis.T @ thin[k]) ** 2, axis=1)
        np.testing.assert_allclose(energy[k], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("size", [2, 3])
def test_left_out_subspaces_by_iteration_where_the_spectrum_falls_off(size):
    thin = blocks(12, 40, 40, noise=0.05)
    thin[0] += np.outer(np.ones(40), np.ones(40))  # a strong direction of one client alone
    kept = np.arange(12) < 9
    one = Moments(thin)
    parts = one.leading(size)
    energy, shares = one.left_out_shares(kept, size, parts, np.arange(len(thin)))
    for k in range(12):
        others = kept.copy()
        others[k] = False
        basis = np.linalg.svd(hstack_blocks(thin[others]), full_matrices=False)[0][:, :size]
        np.testing.assert_allclose(energy[k], np.sum((basis.T @ thin[k]) ** 2, axis=1), rtol=1e-8)
        np.testing.assert_allclose(shares[k], (basis.T @ parts[k]) ** 2, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("c", [3, 30])
def test_who_is_represented_is_compared_without_the_one_that_stands_for_it(c):
    thin = blocks(9, 30, c, noise=0.05)
    kept = np.arange(9) < 6
    representative = np.array([0, 1, 2, 3, 4, 5, 2, 7, 7])
    energy = Moments(thin).left_out_energy(kept, 2, representative)
    for k, out in enumerate(representative):
        others = kept.copy()
        others[out] = False
        basis = np.linalg.svd(hstack_blocks(thin[others]), full_matrices=False)[0][:, :2]
        np.testing.assert_allclose(energy[k], np.sum((basis.T @ thin[k]) ** 2, axis=1), rtol=1e-8)


@pytest.mark.parametrize("rho", [2, 30])
def test_products_between_factors_are_those_between_blocks(rho):
    rng = np.random.default_rng(2)
    thin, basis = rng.standard_normal((5, 30, rho)), np.linalg.qr(rng.standard_normal((30, 3)))[0]
    expand = np.linalg.qr(rng.standard_normal((5, 40, rho)))[0]
    clients = np.array([0, 2, 3])
    whole = (thin @ expand.transpose(0, 2, 1))[clients]
    rest = (whole - basis @ (basis.T @ whole)).reshape(3, -1)
    found = Moments(thin, 2.0, expand=expand).products_outside(basis, clients)
    np.testing.assert_allclose(found, 2 * rest @ rest.T, atol=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_principal_directions_from_few_columns_are_those_of_the_total(noise):
    one, kept = Moments(blocks(6, 40, 3, noise=noise)), np.arange(6) < 5
    for size in (2, 4):
        energy, basis = one.scaled(2.0).principal(kept, size)
        np.testing.assert_allclose(basis.T @ basis, np.eye(size), atol=1e-9)
        total = one.weighted(kept.astype(float))
        inside = np.trace(basis.T @ total @ basis)
        values = np.linalg.eigvalsh(total)[::-1][:size]
        np.testing.assert_allclose(inside, values.sum(), rtol=1e-9)
        np.testing.assert_allclose(energy, 2 * values, rtol=1e-9, atol=1e-9)
        loud = np.array([4.0, 0, 1, 0, 0, 0])
        values = np.linalg.eigvalsh(one.weighted(loud))[::-1][:size]
        np.testing.assert_allclose(one.principal(loud, size)[0], values, rtol=1e-9, atol=1e-9)


def test_directions_that_only_the_client_itself_has_count_for_nothing():
    thin = np.zeros((3, 5, 1))
    thin[0, 0], thin[1, 0], thin[2, 1] = 1.0, 2.0, 3.0
    energy = Moments(thin).left_out_energy(np.ones(3, bool), 3)
    np.testing.assert_allclose(energy, [[0, 1, 0], [0, 4, 0], [0, 0, 0]], atol=1e-12)
    assert not Moments(np.zeros((3, 4, 2))).left_out_energy(np.ones(3, bool), 2).any()


def test_gram_matrices_and_scaling_give_the_same_answers():
    thin = blocks(7, 9, 4)
    kept = np.ones(7, bool)
    one = Moments(thin)
    from_grams = Moments.from_grams(block_grams(thin))
    np.testing.assert_allclose(
        from_grams.left_out_energy(kept, 3), one.left_out_energy(kept, 3), rtol=1e-8
    )
    (scaled,) = normalised([one])
    assert np.median(scaled.energy) == pytest.approx(1)
    np.testing.assert_allclose(
        scaled.left_out_energy(kept, 2) * np.median(one.energy),
        one.left_out_energy(kept, 2),
    )
    basis = np.linalg.qr(thin[0])[0][:, :2]
    rest = thin - basis @ (basis.T @ thin)
    np.testing.assert_allclose(one.outside(basis), np.sum(rest**2, axis=(1, 2)))
    assert one.span(np.arange(7) < 2) == 8


@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_downdates_of_a_large_diagonal_reach_rounding(noise):
    thin = blocks(20, 160, 8, noise=noise)
    values, vectors = np.linalg.eigh(np.einsum("kij,klj->il", thin, thin))
    values, vectors = values[::-1], vectors[:, ::-1]
    factors = vectors.T @ thin
    found, where = downdated_eigenpairs(values, factors, 5)
    for k in range(20):
        full = np.linalg.eigh(np.diag(values) - factors[k] @ factors[k].T)
        np.testing.assert_allclose(found[k], full[0][::-1][:5], rtol=1e-9)
        overlap = np.linalg.svd(where[k].T @ full[1][:, ::-1][:, :5], compute_uv=False)
        np.testing.assert_allclose(overlap, 1, atol=1e-8)


def test_leading_pairs_of_a_large_matrix_with_and_without_a_start():
    wide = hstack_blocks(blocks(30, 260, 8))
    gram = wide @ wide.T
    values, vectors = np.linalg.eigh(gram)
    for start in (None, vectors[:, -3:] + 0.01):
        found, basis = leading_eigenpairs(gram, 2, start)
        np.testing.assert_allclose(found, values[::-1][:2], rtol=1e-10)
        np.testing.assert_allclose(gram @ basis, basis * found, atol=1e-8 * values[-1])
    rough = leading_eigenpairs(gram, 5, coarse=True)[0]
    np.testing.assert_allclose(rough.sum(), values[::-1][:5].sum(), rtol=1e-3)
    assert krylov_eigenpairs(lambda x: x * 0 + np.eye(260) @ x, 260, 3) is not None


def test_truncated_thresholding_ends_in_the_full_solution():
    thin = blocks(40, 320, 8, noise=0.1)
    thin[:6] = blocks(6, 320, 8, seed=9)
    lam, seen = 0.6, []
    result = decompose([thin], lam, tol=1e-8, progress=seen.append)
    assert result.status == "converged"
    L, S, Q = (hstack_blocks(p[0]) for p in (result.low_rank, result.contamination, result.dual))
    np.testing.assert_allclose(L + S, hstack_blocks(thin), atol=1e-6)
    assert np.linalg.norm(Q, 2) <= 1 + 1e-6
    assert np.vdot(Q, L) == pytest.approx(np.linalg.norm(L, "nuc"), rel=1e-6)
    left, values, right = np.linalg.svd(L + Q, full_matrices=False)
    full = left * np.maximum(values - 1, 0) @ right
    np.testing.assert_allclose(full, L, atol=1e-5 * np.linalg.norm(L, 2))


def test_tall_qr_is_orthonormal_whatever_the_condition():
    rng = np.random.default_rng(0)
    for spread in (1.0, 1e4, 1e12, 0.0):
        matrix = rng.standard_normal((200, 6))
        matrix[:, 3] = matrix[:, 2] + spread * 1e-6 * matrix[:, 3]
        basis, coordinates = tall_qr(matrix)
        np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-12)
        scale = np.abs(matrix).max()
        np.testing.assert_allclose(basis @ coordinates, matrix, atol=1e-10 * scale)


@pytest.mark.parametrize("rank", [2, "auto"])
@pytest.mark.parametrize("side", ["output", "input"])
def test_factors_and_dense_updates_agree_to_eight_digits(rank, side):
    rng = np.random.default_rng(0)
    B, A = blocks(12, 70, 5), rng.standard_normal((12, 5, 65))
    B[:3] = 2 * rng.standard_normal((3, 70, 5))
    factors = LoraFactors(B, A)
    options = {"side": side, "tol": 1e-10, "max_iter": 3000}
    ours, dense = fit(factors, rank, **options), fit(factors.dense(), rank, **options)
    assert ours.rank == dense.rank
    np.testing.assert_array_equal(ours.benign, dense.benign)
    np.testing.assert_allclose(ours.scores, dense.scores, rtol=1e-8)
    assert ours.objective == pytest.approx(dense.objective, rel=1e-8)
    for name in ("low_rank", "contamination", "refined"):
        a, b = getattr(ours, name).dense(), getattr(dense, name)
        assert np.linalg.norm(a - b) <= 1e-8 * np.linalg.norm(b)
