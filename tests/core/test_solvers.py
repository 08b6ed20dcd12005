"""Convex solver against cvxpy and its own optimality conditions; median subspace."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from clair import ProblemSpec, sample_problem
from clair.method.certificate import certify
from clair.method.linalg import block_grams, block_norms, hstack_blocks, orthonormal
from clair.method.metrics import subspace_error
from clair.method.solvers import SplitSolver, decompose, joint_norms, median_subspace


def problem(**changes):
    spec = ProblemSpec(n_clients=9, d_out=7, d_in=5, rank=2, poisoned_fraction=0.3, noise=0.05)
    return sample_problem(ProblemSpec(**{**spec.__dict__, **changes}))


def cvxpy_optimum(modules, lam):
    parts = [(cp.Variable(hstack_blocks(b).shape), hstack_blocks(b), b.shape[2]) for b in modules]
    n_clients = len(modules[0])
    nuclear = sum(cp.normNuc(low) for low, _, _ in parts)
    sparse = 0
    for k in range(n_clients):
        pieces = [cp.vec((m - low)[:, k * w : (k + 1) * w], order="F") for low, m, w in parts]
        sparse += cp.norm(cp.hstack(pieces))
    program = cp.Problem(cp.Minimize(nuclear + lam * sparse))
    program.solve(solver=cp.CLARABEL)
    return program.value


def textbook(modules, lam, penalties):
    """Run over-relaxed ADMM with given penalties; return L, S, multipliers and both residuals."""
    M, widths = [hstack_blocks(b) for b in modules], [b.shape[2] for b in modules]
    S, Y = [0 * m for m in M], [0 * m for m in M]
    size, residuals = np.sqrt(sum(np.sum(m**2) for m in M)), []
    for penalty in penalties:
        L = []
        for m, s, y in zip(M, S, Y, strict=True):
            left, values, right = np.linalg.svd(m - s + y / penalty, full_matrices=False)
            L.append(left * np.maximum(values - 1 / penalty, 0) @ right)
        relaxed = [1.6 * low - 0.6 * (m - s) for low, m, s in zip(L, M, S, strict=True)]
        T = [m - low + y / penalty for m, low, y in zip(M, relaxed, Y, strict=True)]
        norms = np.sqrt(
            sum(
                np.sum(t.reshape(len(t), -1, w) ** 2, axis=(0, 2))
                for t, w in zip(T, widths, strict=True)
            )
        )
        keep = np.maximum(0, 1 - lam / penalty / norms)
        before, S = S, [t * np.repeat(keep, w) for t, w in zip(T, widths, strict=True)]
        Y = [penalty * (t - s) for t, s in zip(T, S, strict=True)]
        rest = [m - low - s for m, low, s in zip(M, L, S, strict=True)]
        moved = [s - p - 0.6 * (m - low - p) for s, p, m, low in zip(S, before, M, L, strict=True)]
        norm_rest, norm_moved, norm_Y = (
            np.sqrt(sum(np.sum(x**2) for x in part)) for part in (rest, moved, Y)
        )
        residuals.append((norm_rest / size, penalty * norm_moved / norm_Y))
    return L, S, Y, residuals


@pytest.mark.parametrize("lam", [0.3, 0.9, 1.3])
def test_iterates_are_those_of_the_textbook(lam):
    modules = [problem().updates, problem(d_out=4, d_in=6, seed=3).updates]
    ours = decompose(modules, lam, tol=1e-9)
    assert len({record.penalty for record in ours.history}) > 1
    *parts, residuals = textbook(modules, lam, [record.penalty for record in ours.history])
    for part, expected in zip((ours.low_rank, ours.contamination, ours.dual), parts, strict=True):
        for blocks, wide in zip(part, expected, strict=True):
            np.testing.assert_allclose(hstack_blocks(blocks), wide, atol=1e-12)
    seen = [(record.primal_residual, record.dual_residual) for record in ours.history]
    np.testing.assert_allclose(seen, residuals, rtol=2e-3)


@pytest.mark.parametrize("shape", [(7, 5), (250, 3)])
def test_carrying_on_from_a_loose_tolerance_ends_where_a_straight_run_does(shape):
    blocks = problem(d_out=shape[0], d_in=shape[1], n_clients=90).updates
    straight, seen = decompose([blocks], 0.4), []
    solver = SplitSolver([blocks], 0.4)
    solver.run(tol=1e-3, max_iter=500)
    loose = solver.result()
    solver.run(tol=1e-7, max_iter=500, progress=seen.append)
    carried = solver.result()
    assert loose.n_iter < carried.n_iter
    assert (carried.n_iter, carried.status) == (straight.n_iter, "converged")
    assert [record.iteration for record in seen] == list(range(1, straight.n_iter + 1))
    np.testing.assert_allclose(carried.low_rank[0], straight.low_rank[0], atol=1e-9)


@pytest.mark.parametrize("attack", ["low_rank", "colluding"])
@pytest.mark.parametrize("lam", [0.5, 0.75])
def test_optimum_agrees_with_an_interior_point_solver(attack, lam):
    blocks = problem(attack=attack).updates
    ours = decompose([blocks], lam)
    assert ours.status == "converged"
    assert ours.objective == pytest.approx(cvxpy_optimum([blocks], lam), rel=1e-5)


def test_joint_optimum_over_modules_of_different_shape_agrees_too():
    first = problem().updates
    second = problem(d_out=4, d_in=6, seed=3).updates * 2
    ours = decompose([first, second], 0.9)
    assert ours.objective == pytest.approx(cvxpy_optimum([first, second], 0.9), rel=1e-5)


@pytest.mark.parametrize("shape", [(7, 5), (5, 9), (30, 2)])
def test_solution_is_feasible_and_meets_the_optimality_conditions(shape):
    blocks = problem(d_out=shape[0], d_in=shape[1]).updates
    lam = 0.6
    result = decompose([blocks], lam, tol=1e-9)
    low, sparse, dual = (part[0] for part in (result.low_rank, result.contamination, result.dual))
    np.testing.assert_allclose(low + sparse, blocks, atol=1e-7)
    # Q is a subgradient of both terms: that alone proves optimality.
    Q, L = hstack_blocks(dual), hstack_blocks(low)
    assert np.linalg.norm(Q, 2) <= 1 + 1e-6
    assert np.vdot(Q, L) == pytest.approx(np.linalg.norm(L, "nuc"), rel=1e-6)
    assert (block_norms(dual) <= lam * (1 + 1e-9)).all()
    assert np.vdot(dual, sparse) == pytest.approx(lam * block_norms(sparse).sum(), rel=1e-6)
    assert result.objective == pytest.approx(
        np.linalg.norm(L, "nuc") + lam * block_norms(sparse).sum(), rel=1e-6
    )


def test_solution_turns_and_permutes_with_the_data():
    rng = np.random.default_rng(0)
    blocks = problem().updates
    order = rng.permutation(len(blocks))
    left, right = (orthonormal(rng.standard_normal((d, d))) for d in blocks.shape[1:])
    plain = decompose([blocks], 0.6, tol=1e-9)
    moved = decompose([3 * (left @ blocks @ right)[order]], 0.6, tol=1e-9)
    expected = 3 * (left @ plain.contamination[0] @ right)[order]
    np.testing.assert_allclose(moved.contamination[0], expected, atol=1e-5)
    assert moved.objective == pytest.approx(3 * plain.objective, rel=1e-7)


def test_running_out_of_iterations_is_visible_and_records_are_passed_on():
    seen = []
    result = decompose([problem().updates], 0.6, max_iter=4, progress=seen.append)
    assert result.status == "max_iter"
    assert result.n_iter == 4
    assert [record.iteration for record in seen] == [1, 2, 3, 4]
    assert seen[-1] is result.history[-1]
    assert max(seen[-1].primal_residual, seen[-1].dual_residual) > 1e-7


def test_zero_updates_split_into_zeros():
    result = decompose([np.zeros((4, 3, 2))], 0.5)
    assert result.status == "converged"
    assert not result.low_rank[0].any()
    assert not result.contamination[0].any()


def test_certificate_holds_inside_the_window_and_names_what_fails_outside():
    clean = problem(noise=0, d_out=20, d_in=20, n_clients=20, poisoned_fraction=0.2, rank=2)
    flagged = clean.contaminated
    inside = decompose([clean.updates], 0.55, tol=1e-9)
    certificate = certify(inside, flagged)
    assert certificate.holds
    assert (block_norms(inside.contamination[0]) > 0).tolist() == flagged.tolist()
    too_small = certify(decompose([clean.updates], 0.3, tol=1e-9), flagged)
    assert not too_small.holds
    assert too_small.dual_feasibility > 0.999
    too_large = decompose([clean.updates], 3.0, tol=1e-9)
    nothing = np.zeros_like(flagged)
    assert not too_large.contamination[0].any()
    # the optimum is proven, but not with these clients in S
    assert not certify(too_large, flagged).holds
    assert certify(too_large, nothing).holds


@pytest.mark.parametrize("shape", [(20, 20), (31, 9)])
def test_multipliers_agree_where_the_contamination_never_moves(shape):
    """Check that the dual arrives with S at zero, where only over-relaxation drives it."""
    rows, columns = shape
    clean = problem(noise=0, d_out=rows, d_in=columns, n_clients=15, poisoned_fraction=0)
    split = decompose([clean.updates], 2.0)
    assert split.status == "converged"
    assert not split.contamination[0].any()
    assert certify(split, clean.contaminated).kkt_residual < 1e-6


def test_certificate_refuses_a_wrong_claim_about_who_is_flagged():
    clean = problem(noise=0, d_out=20, d_in=20, n_clients=20, poisoned_fraction=0.2, rank=2)
    split = decompose([clean.updates], 0.55, tol=1e-9)
    missing = clean.contaminated.copy()
    missing[np.flatnonzero(missing)[0]] = False
    assert not certify(split, missing).holds


def test_certificate_reports_the_worst_module_wherever_it_stands():
    first = problem(noise=0, d_out=12, d_in=9, n_clients=12, poisoned_fraction=0.2)
    second = problem(noise=0, d_out=10, d_in=8, n_clients=12, poisoned_fraction=0.2, seed=4)
    split = decompose([first.updates, second.updates], 0.9, tol=1e-9)
    nobody = np.zeros(12, bool)
    spoiled = replace(split, dual=(1.01 * split.dual[0], split.dual[1]))
    swapped = replace(
        spoiled,
        low_rank=spoiled.low_rank[::-1],
        contamination=spoiled.contamination[::-1],
        dual=spoiled.dual[::-1],
    )
    residual = certify(spoiled, nobody).kkt_residual
    assert residual == pytest.approx(certify(swapped, nobody).kkt_residual)
    assert residual > 5e-3


def test_median_subspace_survives_what_moves_pca():
    clean = problem(
        noise=0, d_out=20, d_in=12, n_clients=20, poisoned_fraction=0.4, attack_scale=5.0
    )
    grams = block_grams(clean.updates)
    (basis,), history, status = median_subspace([grams], 2)
    assert status == "converged"
    assert subspace_error(basis, clean.subspace) < 1e-6
    assert history[-1].objective < history[0].objective
    pca = np.linalg.svd(hstack_blocks(clean.updates))[0][:, :2]
    assert subspace_error(pca, clean.subspace) > 0.3


def test_median_subspace_is_a_stationary_point_of_the_sum_of_distances():
    noisy = problem(d_out=8, d_in=6)
    grams = block_grams(noisy.updates)
    (basis,), history, _ = median_subspace([grams], 2, tol=1e-13, max_iter=500)

    def total(u):
        off = noisy.updates - u @ (u.T @ noisy.updates)
        return block_norms(off).sum()

    assert history[-1].objective == pytest.approx(total(basis), rel=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(20):
        nearby = orthonormal(basis + 1e-3 * rng.standard_normal(basis.shape))
        assert total(nearby) >= total(basis) - 1e-10


def test_joint_norms_are_root_sums_of_squares():
    first, second = np.ones((2, 1, 4)), np.full((2, 3, 1), 2.0)
    np.testing.assert_allclose(joint_norms([first, second]), np.sqrt([16.0, 16.0]))
