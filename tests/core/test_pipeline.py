"""`clair.fit` from end to end: exact recovery, known errors, options, joint modules, bad input."""

from dataclasses import replace

import numpy as np
import pytest

import clair
from clair import ProblemSpec, sample_problem
from clair.method.linalg import block_grams, block_norms, orthonormal
from clair.method.metrics import detection_scores, subspace_error
from clair.method.refinement import principal_subspace
from clair.method.window import choose_lam

NOISELESS = [
    (attack, fraction, n_clients, rank)
    for attack in ("random", "low_rank", "colluding", "replace")
    for fraction in (0.1, 0.25, 0.45)
    for n_clients, rank in ((20, 2), (32, 3), (40, 5))
]


@pytest.mark.parametrize(("attack", "fraction", "n_clients", "rank"), NOISELESS)
def test_noiseless_problems_are_recovered_exactly(attack, fraction, n_clients, rank):
    problem = sample_problem(
        ProblemSpec(
            n_clients=n_clients,
            d_out=40,
            d_in=28,
            rank=rank,
            noise=0,
            attack=attack,
            poisoned_fraction=fraction,
            seed=11,
        )
    )
    fit = clair.fit(problem.updates, rank=rank)
    assert fit.status == "converged"
    assert subspace_error(fit.subspace, problem.subspace) < 1e-6
    np.testing.assert_array_equal(fit.flagged, problem.contaminated)


@pytest.mark.parametrize("screen", [False, True])
def test_clean_noiseless_data_are_certified_too(screen):
    """Check that clients flagged by the screen, which claim nothing about S, spoil no proof."""
    attack = "sign_flip" if screen else "random"
    fraction = 0.25 if screen else 0.0
    problem = sample_problem(
        ProblemSpec(
            n_clients=20,
            d_in=24,
            noise=0,
            attack=attack,
            poisoned_fraction=fraction,
            heterogeneity=0.3,
        )
    )
    fit = clair.fit(problem.updates, rank=3, screen_coefficients=screen)
    np.testing.assert_array_equal(fit.flagged, problem.contaminated)
    np.testing.assert_array_equal(fit.screened, fit.flagged)
    assert fit.certificate.holds


@pytest.mark.parametrize("attack", ["random", "low_rank", "colluding", "replace"])
@pytest.mark.parametrize("fraction", [0.1, 0.4])
def test_the_convex_program_alone_recovers_and_certifies_them(attack, fraction):
    problem = sample_problem(
        ProblemSpec(
            n_clients=24, d_out=40, d_in=28, noise=0, attack=attack, poisoned_fraction=fraction
        )
    )
    fit = clair.fit(problem.updates, rank=3, polish=False, detector="norms")
    assert subspace_error(fit.subspace, problem.subspace) < 1e-6
    np.testing.assert_array_equal(fit.flagged, problem.contaminated)
    assert (fit.contamination_norms[~problem.contaminated] < 1e-6).all()
    assert fit.certificate.holds
    low, high = fit.lam_window
    if low < high:  # colluders at .4 close the estimated window, and are still recovered
        assert low < fit.lam < high
    else:
        assert (attack, fraction) == ("colluding", 0.4)


def almost_half(**changes):
    spec = ProblemSpec(n_clients=32, d_out=40, d_in=28, noise=0, poisoned_fraction=0.45)
    return sample_problem(replace(spec, **changes))


@pytest.mark.parametrize("attack", ["colluding", "identical"])
@pytest.mark.parametrize("seed", [7102, 7105, 7108])
def test_a_weight_that_proves_the_split_is_looked_for_close_to_one_half(attack, seed):
    problem = almost_half(attack=attack, seed=seed)
    fit = clair.fit(problem.updates, 3)
    np.testing.assert_array_equal(fit.flagged, problem.contaminated)
    assert subspace_error(fit.subspace, problem.subspace) < 1e-6
    assert fit.certificate.holds
    first = choose_lam(fit.lam_window, 32, 3)
    assert fit.lam > first
    assert not clair.fit(problem.updates, 3, lam=first).certificate.holds


def test_no_proof_is_looked_for_where_none_can_be_found():
    """Check that with noise, where the kept part has no low rank, the solver runs only once."""
    for noise in (1e-4, 0.03):
        seen = []
        problem = almost_half(noise=noise, attack="colluding", seed=7102)
        fit = clair.fit(problem.updates, 3, progress=seen.append)
        assert not fit.certificate.holds
        assert len(seen) == fit.n_iter


def test_a_weight_is_raised_for_noise_until_the_low_rank_part_has_its_subspace():
    problem = sample_problem(ProblemSpec(noise=0.15, poisoned_fraction=0))
    fit = clair.fit(problem.updates, 3)
    steps = np.log(fit.lam / choose_lam(fit.lam_window, 20, 3)) / np.log(1.2)
    assert steps == pytest.approx(2)
    by_hand = clair.fit(problem.updates, 3, lam=fit.lam)
    assert (by_hand.n_iter, by_hand.status) == (fit.n_iter, "converged")
    np.testing.assert_allclose(by_hand.low_rank, fit.low_rank, atol=1e-12)
    below = clair.fit(problem.updates, 3, lam=fit.lam / 1.2)
    assert any("too small" in note for note in below.notes)


def test_polish_reaches_the_subspace_of_the_true_benign_clients():
    errors = []
    for seed in range(6):
        problem = sample_problem(ProblemSpec(attack="colluding", poisoned_fraction=0.4, seed=seed))
        oracle = principal_subspace(block_grams(problem.updates[~problem.contaminated]), 3)
        errors.append(
            [
                subspace_error(
                    clair.fit(problem.updates, 3, polish=False).subspace, problem.subspace
                ),
                subspace_error(clair.fit(problem.updates, 3).subspace, problem.subspace),
                subspace_error(oracle, problem.subspace),
            ]
        )
    raw, polished, best = np.mean(errors, axis=0)
    assert raw == pytest.approx(0.107, rel=0.1)
    assert polished == pytest.approx(best, rel=0.1)
    assert best == pytest.approx(0.039, rel=0.1)


BASE = ProblemSpec(n_clients=13, d_out=12, d_in=9, rank=2, poisoned_fraction=0.3, seed=4)


def test_result_fields_fit_together():
    problem = sample_problem(BASE)
    fit = clair.fit(problem.updates, rank=2)
    assert fit.subspace.shape == (12, 2)
    np.testing.assert_allclose(fit.subspace.T @ fit.subspace, np.eye(2), atol=1e-10)
    np.testing.assert_allclose(fit.low_rank + fit.contamination, problem.updates, atol=1e-5)
    np.testing.assert_allclose(block_norms(fit.contamination), fit.contamination_norms, atol=1e-9)
    assert (fit.scores[fit.benign] < fit.threshold).all()
    assert (fit.scores[fit.flagged] > fit.threshold).all()
    assert fit.n_iter == len(fit.history)
    np.testing.assert_array_equal(fit.refined[fit.flagged], problem.updates[fit.flagged])


def test_fit_follows_permuted_turned_and_scaled_data():
    rng = np.random.default_rng(3)
    updates = sample_problem(BASE).updates
    order = rng.permutation(13)
    left = orthonormal(rng.standard_normal((12, 12)))
    right = orthonormal(rng.standard_normal((9, 9)))
    for pooling in ("none", "eb"):
        plain = clair.fit(updates, rank=2, pooling=pooling)
        moved = clair.fit(7 * (left @ updates @ right)[order], rank=2, pooling=pooling)
        np.testing.assert_array_equal(moved.benign, plain.benign[order])
        expected = 7 * (left @ plain.refined @ right)[order]
        np.testing.assert_allclose(moved.refined, expected, atol=1e-8)
        assert subspace_error(moved.subspace, left @ plain.subspace) < 1e-8


def test_input_side_is_the_transposed_problem():
    updates = sample_problem(BASE).updates
    flipped = np.ascontiguousarray(updates.transpose(0, 2, 1))
    output = clair.fit(updates, rank=2)
    turned = clair.fit(flipped, rank=2, side="input")
    assert turned.subspace.shape == (12, 2)
    np.testing.assert_allclose(turned.refined.transpose(0, 2, 1), output.refined, atol=1e-9)
    np.testing.assert_allclose(
        turned.contamination.transpose(0, 2, 1), output.contamination, atol=1e-6
    )
    np.testing.assert_array_equal(turned.benign, output.benign)


def test_methods_never_see_the_truth_through_true_updates():
    problem = sample_problem(BASE)
    before = problem.updates.copy()
    clair.fit(problem.updates, rank=2)
    np.testing.assert_array_equal(problem.updates, before)


def test_both_solvers_and_both_detectors_agree_on_a_clear_case():
    problem = sample_problem(BASE)
    for solver in ("convex", "irls"):
        for detector in ("residual", "norms"):
            fit = clair.fit(problem.updates, rank=2, solver=solver, detector=detector)
            np.testing.assert_array_equal(fit.flagged, problem.contaminated)
    assert fit.certificate is None


def test_irls_does_not_collapse_where_noise_exceeds_the_signal():
    spec = ProblemSpec(n_clients=20, d_out=24, d_in=20, noise=0.15, poisoned_fraction=0.25)
    problem = sample_problem(spec)
    convex = clair.fit(problem.updates, 3, polish=False)
    irls = clair.fit(problem.updates, 3, solver="irls", polish=False)
    assert subspace_error(irls.subspace, problem.subspace) < 0.5
    assert np.linalg.norm(convex.low_rank) < np.linalg.norm(irls.low_rank)


def test_threshold_given_by_hand_decides_alone():
    problem = sample_problem(BASE)
    everybody = clair.fit(problem.updates, 2, threshold=1e9)
    assert everybody.benign.all()
    nobody = clair.fit(problem.updates, 2, threshold=0.0)
    assert not nobody.benign.any()
    assert any("Every client is flagged" in note for note in nobody.notes)
    np.testing.assert_array_equal(nobody.refined, problem.updates)


def test_sign_flips_are_invisible_until_the_coefficients_are_screened():
    spec = replace(BASE, n_clients=20, attack="sign_flip", heterogeneity=0.5)
    problem = sample_problem(spec)
    blind = clair.fit(problem.updates, 2)
    assert detection_scores(blind.flagged, problem.contaminated).recall == 0
    screened = clair.fit(problem.updates, 2, screen_coefficients=True)
    np.testing.assert_array_equal(screened.flagged, problem.contaminated)
    np.testing.assert_array_equal(screened.screened, problem.contaminated)


def test_contamination_is_judged_jointly_over_modules():
    # Client 0 deviates in every module by too little to be seen in one of them alone.
    rng = np.random.default_rng(0)
    modules = {}
    for index in range(6):
        shape = {"d_out": 14 + index, "d_in": 9}
        clean = sample_problem(
            replace(BASE, poisoned_fraction=0, noise=0.05, seed=index, **shape)
        ).updates
        push = np.outer(*(rng.standard_normal(size) for size in clean[0].shape))
        clean[0] += 0.35 * push / np.linalg.norm(push)
        modules[f"layer{index}"] = clean
    gap = (1.05, 1.05)
    joint = clair.fit(modules, 2, gap=gap)
    assert joint.flagged.tolist() == [True] + [False] * 12
    alone = [clair.fit(blocks, 2, gap=gap).flagged for blocks in modules.values()]
    exact = [flags.tolist() == joint.flagged.tolist() for flags in alone]
    assert not all(exact)
    assert set(joint.refined) == set(joint.subspace) == set(joint.contamination) == set(modules)
    total = sum(block_norms(joint.contamination[name]) ** 2 for name in modules)
    np.testing.assert_allclose(np.sqrt(total), joint.contamination_norms)


def test_one_module_in_a_mapping_is_the_module_itself():
    updates = sample_problem(BASE).updates
    single = clair.fit(updates, 2)
    mapped = clair.fit({"only": updates}, 2)
    np.testing.assert_array_equal(mapped.refined["only"], single.refined)


def test_automatic_rank_and_weight_are_reported():
    problem = sample_problem(BASE)
    fit = clair.fit(problem.updates, "auto")
    assert fit.rank == 2
    assert fit.subspace.shape == (12, 2)
    by_hand = clair.fit(problem.updates, "auto", lam=fit.lam)
    np.testing.assert_array_equal(by_hand.contamination, fit.contamination)


def test_a_weight_that_loses_the_subspace_is_reported_and_survived():
    problem = sample_problem(BASE)
    fit = clair.fit(problem.updates, 2, lam=0.01)
    assert any("too small" in note for note in fit.notes)
    np.testing.assert_array_equal(fit.flagged, problem.contaminated)
    assert subspace_error(fit.subspace, problem.subspace) < 0.2


def test_stopping_early_is_reported():
    fit = clair.fit(sample_problem(BASE).updates, 2, max_iter=2)
    assert fit.status == "max_iter"
    assert any("stopped after 2 iterations" in note for note in fit.notes)


@pytest.mark.parametrize("solver", ["convex", "irls"])
def test_degenerate_updates_do_not_break_it(solver):
    zeros = clair.fit(np.zeros((5, 4, 3)), 1, solver=solver)
    assert zeros.benign.all()
    assert [note.split(":")[0] for note in zeros.notes] == ["Every update is zero"]
    same = clair.fit(np.ones((5, 4, 3)), 1, solver=solver)
    assert same.benign.all()
    np.testing.assert_allclose(same.refined, np.ones((5, 4, 3)))
    one_silent = sample_problem(BASE).updates
    one_silent[0] = 0
    assert np.isfinite(clair.fit(one_silent, 2, solver=solver).scores).all()
    tiny = clair.fit(np.random.default_rng(0).standard_normal((3, 1, 1)), 1, solver=solver)
    assert tiny.benign.sum() >= 2


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"rank": 10}, r"rank must be at most 9 for updates of shape \(12, 9\)"),
        ({"rank": 2.5}, "rank must be an integer, got 2.5"),
        ({"rank": "best"}, r"rank must be .auto. or a number, got 'best'"),
        ({"side": "left"}, "side must be one of 'output', 'input', got 'left'"),
        ({"solver": "sgd"}, "solver must be one of 'convex', 'irls', got 'sgd'"),
        ({"pooling": "max"}, "pooling must be one of 'none', 'eb', 'halves', got 'max'"),
        ({"detector": "eye"}, "detector must be one of 'residual', 'norms', got 'eye'"),
        ({"lam": 0.0}, "lam must be greater than 0, got 0"),
        ({"lam": "big"}, r"lam must be .auto. or a number, got 'big'"),
        ({"threshold": -1.0}, "threshold must be at least 0, got -1"),
        ({"gap": (0.9, 1.2)}, r"gap\[0\] must be at least 1, got 0.9"),
        ({"gap": (1.1,)}, r"a pair of ratios, got \(1.1,\)"),
        ({"tol": 0.0}, "tol must be greater than 0, got 0"),
        ({"max_iter": 0}, "max_iter must be at least 1, got 0"),
    ],
)
def test_bad_keywords_are_refused_with_rule_and_value(keywords, message):
    with pytest.raises(ValueError, match=message):
        clair.fit(sample_problem(BASE).updates, **{"rank": 2, **keywords})


def test_rank_is_checked_against_every_module():
    updates = sample_problem(BASE).updates
    with pytest.raises(ValueError, match="rank must be at most 3 for updates of module 'narrow'"):
        clair.fit({"wide": updates, "narrow": updates[:, :, :3]}, 4)
