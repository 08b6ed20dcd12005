"""Every formula of the theory against simulation, with the tolerance that the page states."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clair import Problem, ProblemSpec, sample_problem
from clair.method.concentration import ClientBlocks
from clair.method.detection import detect_updates
from clair.method.evidence import AGAIN, GAP, gap_rule, influence_of, stricter
from clair.method.linalg import block_grams, block_norms, hstack_blocks, orthonormal
from clair.method.metrics import subspace_error
from clair.method.moments import Moments
from clair.method.refinement import principal_subspace
from clair.method.solvers import decompose
from clair.method.window import collapse_lam, default_lam, ideal_window, incoherence, lam_window
from clair.simulation.attacks import ATTACKS as EVERY_ATTACK
from clair.simulation.attacks import PLANS
from clair.theory.curves import find, gain, honest_errors, remedy, separation, stability
from clair.theory.gaps import above_gap
from clair.theory.lam_path import certificate_at, compress, lam_grid, lam_path, solve_at
from clair.theory.predictions import (
    break_even,
    breakdown_noise,
    predicted_errors,
    predicted_subspace_error,
    subspace_slope,
)
from clair.theory.sets import (
    critical_noise,
    exact_set_probability,
    score_model,
    set_noise,
)
from clair.theory.statements import STATEMENTS, of_section
from clair.theory.witness import witness, witness_window
from clair.theory.words import certificate_failures, certificate_sentence
from clair.theory.worlds import outside_scatter, worlds

CLEAN = ProblemSpec(n_clients=18, d_out=28, d_in=22, noise=0.0)
SMALL = ProblemSpec(n_clients=16, d_out=26, d_in=20)
ATTACKS = {
    "low_rank": 0.25,
    "random": 0.3,
    "colluding": 0.4,
    "identical": 0.2,
    "replace": 0.4,
    "alie": 0.25,
}
FOUR = ("low_rank", "random", "colluding", "replace")


def clean_problem(attack, seed):
    return sample_problem(
        replace(CLEAN, attack=attack, poisoned_fraction=ATTACKS[attack], seed=seed)
    )


def true_window(problem):
    return lam_window([problem.updates], [problem.subspace], problem.contaminated)


def measured_ends(problem, inside):
    """Bisect for the ends of the interval of exact recovery to about 2 %, from a point inside."""
    thin, ends = compress(problem.updates), []
    assert solve_at(problem, inside, thin)[0].exact
    for factor in (1 / 1.7, 1.7):
        good, bad = inside, inside * factor
        while solve_at(problem, bad, thin)[0].exact:
            good, bad = bad, bad * factor
        for _ in range(5):
            middle = np.sqrt(good * bad)
            if solve_at(problem, middle, thin)[0].exact:
                good = middle
            else:
                bad = middle
        ends.append(np.sqrt(good * bad))
    return tuple(ends)


@pytest.fixture(scope="module")
def measured():
    """Pair problems of six attacks with their witness window and the measured one."""
    cases = []
    for attack in ATTACKS:
        for seed in range(2):
            problem = clean_problem(attack, seed)
            low, high = true_window(problem)
            predicted = witness_window(problem, (low, min(high, 5 * low)))
            assert predicted is not None, (attack, seed)
            middle = float(np.sqrt(predicted[0] * predicted[1]))
            cases.append((attack, problem, predicted, measured_ends(problem, middle)))
    return cases


def apart(first, second):
    return max(abs(a / b - 1) for a, b in zip(first, second, strict=True))


def test_program_recovers_exactly_inside_the_window():
    for attack in FOUR:
        for seed in range(6):
            problem = clean_problem(attack, seed + 10)
            low, high = true_window(problem)
            point, _ = solve_at(problem, float(np.sqrt(low * high)))
            assert point.exact, (attack, seed, point.error)


def test_witness_window_is_good_to_a_twentieth(measured):
    for attack, _, predicted, found in measured:
        assert apart(predicted, found) < 0.05, (attack, predicted, found)


def test_windows_hold_against_loud_attackers_unless_they_are_narrow():
    checked = 0
    for attack in ATTACKS:
        spec = replace(clean_problem(attack, 30).spec, attack_scale=10.0)
        problem = sample_problem(spec)
        low, high = true_window(problem)
        predicted = witness_window(problem, (low, min(high, 5 * low)))
        if predicted is None or predicted[1] < 1.1 * predicted[0]:
            continue
        found = measured_ends(problem, float(np.sqrt(predicted[0] * predicted[1])))
        assert apart(predicted, found) < 0.07, (attack, predicted, found)
        assert attack not in FOUR or apart((low, high), found) < 0.16
        assert certificate_at(problem, float(np.sqrt(found[0] * found[1]))).holds, attack
        checked += 1
    assert checked >= 4


def test_lam_window_is_good_to_a_sixth(measured):
    checked = 0
    for attack, problem, _, found in measured:
        if attack in FOUR:
            assert apart(true_window(problem), found) < 0.16, (attack, true_window(problem), found)
            checked += 1
    assert checked == 8


def worst_case(seed):
    """Build a problem whose attackers send one matrix off the subspace, equal singular values."""
    problem = sample_problem(replace(CLEAN, poisoned_fraction=0.28, seed=seed))
    rng, rank = np.random.default_rng(seed), CLEAN.rank
    off = rng.standard_normal((CLEAN.d_out, rank))
    off = orthonormal(off - problem.subspace @ (problem.subspace.T @ off))
    sent = problem.updates.copy()
    sent[problem.contaminated] = off @ orthonormal(rng.standard_normal((CLEAN.d_in, rank))).T
    return Problem(problem.spec, sent, problem.true_updates, problem.subspace, problem.contaminated)


def test_ideal_window_is_met_by_its_worst_case():
    for seed in range(3):
        problem = worst_case(seed)
        bad = int(problem.contaminated.sum())
        low, _ = true_window(problem)
        mu = incoherence(low, CLEAN.n_clients - bad, CLEAN.rank)
        predicted = ideal_window(CLEAN.n_clients, bad, CLEAN.rank, mu)
        found = measured_ends(problem, float(np.sqrt(predicted[0] * predicted[1])))
        assert apart(predicted, found) < 0.15, (predicted, found)


def test_default_lam_is_inside_the_ideal_window_below_one_half():
    for n_clients in range(3, 51):
        for bad in range(n_clients):
            low, high = ideal_window(n_clients, bad, 3)
            inside = low <= default_lam(n_clients, 3) <= high
            assert inside == (2 * bad <= n_clients), (n_clients, bad)
            if 2 * bad > n_clients:
                assert low > high


def test_uneven_clients_push_the_window_past_the_default():
    problem = sample_problem(replace(CLEAN, unevenness=0.8, seed=1))
    low, _ = true_window(problem)
    assert incoherence(low, 13, CLEAN.rank) > 2
    assert default_lam(CLEAN.n_clients, CLEAN.rank) < low
    assert not solve_at(problem, default_lam(CLEAN.n_clients, CLEAN.rank))[0].exact


def test_in_subspace_attack_has_no_window():
    problem = sample_problem(replace(CLEAN, attack="sign_flip"))
    assert witness_window(problem, (0.4, 1.2)) is None
    path = lam_path(problem, lam_grid((0.4, 1.2)))
    assert path.measured is None


def test_certificate_holds_exactly_where_recovery_is_exact(measured):
    for attack, problem, _, (low, high) in measured:
        for lam in (1.04 * low, np.sqrt(low * high), 0.96 * high):
            proof = certificate_at(problem, float(lam))
            assert proof.point.exact, attack
            assert proof.holds, (attack, lam, proof.certificate)
            assert proof.directions == CLEAN.rank
        below, above = (certificate_at(problem, float(lam)) for lam in (0.9 * low, 1.1 * high))
        assert not below.holds, attack
        assert not above.holds or above.directions > CLEAN.rank, attack


def test_certificate_of_a_wrong_answer_is_possible_and_said_so():
    problem = sample_problem(replace(CLEAN, attack="sign_flip", seed=3))
    proof = certificate_at(problem, 1.2)
    assert proof.holds
    assert not proof.point.right_set
    assert "and yet wrong" in certificate_sentence(proof, problem.contaminated, CLEAN.rank)
    assert certificate_failures(proof, 0.0) == []


def test_failed_certificate_names_what_failed():
    problem = clean_problem("low_rank", 1)
    low, high = true_window(problem)
    small = certificate_at(problem, 0.6 * low)
    assert "λ is too small" in certificate_failures(small, 0.0)[0]
    large = certificate_at(problem, 4 * high)
    assert "whom CLAIR flags" in certificate_failures(large, 0.0)[0]
    noisy = sample_problem(replace(CLEAN, noise=0.02, seed=1))
    failed = certificate_at(noisy, float(np.sqrt(low * high)))
    assert not failed.holds
    assert "With noise this is unavoidable" in certificate_failures(failed, 0.02)[0]


def pca_error(spec):
    problem = sample_problem(spec)
    grams = block_grams(problem.updates[~problem.contaminated])
    return subspace_error(principal_subspace(grams, spec.rank), problem.subspace)


SETTINGS = (
    {},
    {"rank": 1},
    {"rank": 6, "heterogeneity": 0.5},
    {"n_clients": 40, "poisoned_fraction": 0.4},
    {"d_out": 12, "d_in": 50},
)


@pytest.mark.parametrize("changes", SETTINGS)
def test_subspace_error_follows_the_slope(changes):
    spec = replace(SMALL, noise=0.004, **changes)
    errors = [pca_error(replace(spec, seed=seed)) for seed in range(60)]
    assert np.mean(errors) == pytest.approx(subspace_slope(spec) * spec.noise, rel=0.10)
    assert predicted_subspace_error(spec) == pytest.approx(subspace_slope(spec) * 0.004, rel=0.03)
    values = [
        np.linalg.svd(hstack_blocks(p.true_updates[~p.contaminated]), compute_uv=False)
        for p in (sample_problem(replace(spec, seed=seed)) for seed in range(12))
    ]
    free = spec.d_out - spec.rank
    bound = (np.sqrt(free) + np.sqrt(spec.rank)) / np.mean([v[spec.rank - 1] for v in values])
    assert subspace_slope(spec) < 1.02 * bound


def test_subspace_error_under_strong_noise():
    for share in (0.25, 0.5, 0.7):
        spec = replace(SMALL, noise=share * breakdown_noise(SMALL))
        errors = [pca_error(replace(spec, seed=seed)) for seed in range(60)]
        assert np.mean(errors) == pytest.approx(predicted_subspace_error(spec), rel=0.15), share
    lost = replace(SMALL, noise=1.5 * breakdown_noise(SMALL))
    assert np.mean([pca_error(replace(lost, seed=seed)) for seed in range(12)]) > 0.9
    assert predicted_subspace_error(lost) > 0.99


def test_honest_deviation_turns_the_subspace_like_noise():
    spec = replace(SMALL, noise=0.02, off_subspace=1.0)
    errors = [pca_error(replace(spec, seed=seed)) for seed in range(60)]
    assert np.mean(errors) == pytest.approx(predicted_subspace_error(spec), rel=0.10)


def test_low_rank_part_vanishes_exactly_below_the_collapse():
    for seed in range(12):
        problem = sample_problem(replace(SMALL, noise=0.02 * (seed % 4) + 0.02, seed=seed))
        bound = collapse_lam([problem.updates])
        size = np.linalg.norm(problem.updates)
        for factor, empty in ((0.98, True), (1.02, False)):
            split = decompose([problem.updates], factor * bound, tol=1e-8)
            assert (np.linalg.norm(split.low_rank[0]) < 1e-5 * size) == empty


SET_SETTINGS = (
    {"noise": 0.05},
    {"noise": 0.12},
    {"noise": 0.14},
    {"noise": 0.17},
    {"noise": 0.13, "attack": "replace", "poisoned_fraction": 0.4},
    {"noise": 0.05, "attack_scale": 0.4},
    {"noise": 0.05, "off_subspace": 1.5},
    {"noise": 0.1, "poisoned_fraction": 0.0},
    {"noise": 0.05, "attack": "sign_flip"},
    {"noise": 0.05, "attack": "random"},
    {"noise": 0.05, "attack": "random", "attack_scale": 10.0},
    {"noise": 0.05, "n_clients": 6},
    {"noise": 0.1, "attack": "tilt", "attack_scale": 0.1},
    {"noise": 0.03, "attack": "ladder"},
)
LOUD = ("low_rank", "colluding", "identical", "replace", "alie", "scaled", "tilt", "decoy")
LOUD += ("one_direction", "ordinary", "framing", "ladder")
#: Attacks that look like honest clients with few data, or like one honest client.
HIDDEN = ("random", "copies", "echo")


def exact_share(spec, problems):
    return np.mean([find(replace(spec, seed=seed)).scores.exact for seed in range(problems)])


@pytest.mark.parametrize("changes", SET_SETTINGS)
def test_exact_set_probability(changes):
    spec = replace(SMALL, **changes)
    assert exact_share(spec, 48) == pytest.approx(exact_set_probability(spec), abs=0.25)


@pytest.mark.parametrize("attack", LOUD)
@pytest.mark.parametrize("strength", [3.0, 1000.0])
def test_set_is_exact_however_loud_the_attack(attack, strength):
    spec = replace(SMALL, attack=attack, attack_scale=strength, poisoned_fraction=0.4)
    assert exact_set_probability(spec) > 0.99
    assert exact_share(spec, 8) == 1


@pytest.mark.parametrize("attack", HIDDEN)
def test_hidden_attackers_are_not_flagged_and_together_count_for_one_client(attack):
    spec = replace(SMALL, attack=attack, poisoned_fraction=0.4)
    assert exact_set_probability(spec) < 0.01
    for seed in range(8):
        found = find(replace(spec, seed=seed))
        assert found.scores.n_flagged <= 1
        assert found.scores.false_alarms == 0
        votes, bad = found.verdict.influence, found.problem.contaminated
        assert votes[bad].sum() < 1.35 * np.median(votes[~bad])


@pytest.mark.parametrize("attack", ["low_rank", "colluding", "replace", "random"])
def test_set_is_lost_at_the_predicted_noise(attack):
    spec = replace(SMALL, attack=attack, attack_scale=3.0 if attack == "random" else 1.0)
    half = set_noise(spec)
    assert exact_share(replace(spec, noise=0.88 * half), 16) >= 0.5
    assert exact_share(replace(spec, noise=1.12 * half), 16) <= 0.5
    assert 0.75 < half / critical_noise(spec) < 1  # the weakest client fails before a typical one


def test_limits_of_the_noise_are_said_where_there_are_none():
    assert critical_noise(replace(SMALL, attack="sign_flip")) == 0
    assert set_noise(replace(SMALL, attack_scale=10.0)) == float("inf")


def test_scores_have_the_predicted_means():
    spec = replace(SMALL, noise=0.08)
    model = score_model(spec)
    seen = {(kind, bad): [] for kind in ("whole", "strongest") for bad in (False, True)}
    for seed in range(16):
        found = find(replace(spec, seed=seed))
        typical = np.median(block_norms(found.problem.updates) ** 2)
        for kind, evidence in zip(("whole", "strongest"), found.verdict.evidence, strict=False):
            for bad in (False, True):
                scores = evidence.scores[found.problem.contaminated == bad]
                seen[kind, bad] += list(scores**2 * typical)
    for kind, tolerance in (("whole", 0.04), ("strongest", 0.10)):
        scores = getattr(model, kind)
        assert np.mean(seen[kind, False]) == pytest.approx(scores.benign, rel=tolerance)
        assert np.mean(seen[kind, True]) == pytest.approx(scores.contaminated, rel=tolerance)
        assert np.std(seen[kind, False]) == pytest.approx(scores.benign_sd, rel=0.35)
        assert np.std(seen[kind, True]) == pytest.approx(scores.contaminated_sd, rel=0.35)


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 24), st.integers(0, 10**6), st.floats(0.01, 1.5))
def test_gaps_of_many_draws_are_those_of_the_detector(n_clients, seed, spread):
    rng = np.random.default_rng(seed)
    scores = np.exp(spread * rng.standard_normal((6, n_clients)))
    scores[:, : n_clients // 3] *= 3
    flagged = above_gap(scores, stricter(GAP, n_clients), stricter(AGAIN, n_clients))
    for row, drawn in zip(flagged, scores, strict=True):
        rule = gap_rule(
            "outside", drawn, stricter(GAP, n_clients), again=stricter(AGAIN, n_clients)
        )
        assert row.tolist() == rule.flagged.tolist()


GAIN_SETTINGS = (
    {},
    {"heterogeneity": 0.0},
    {"heterogeneity": 0.3, "noise": 0.05},
    {"off_subspace": 0.5},
    {"off_subspace": 1.2},
    {"n_clients": 8, "noise": 0.08},
    {"rank": 1, "n_clients": 40},
    {"rank": 6, "noise": 0.06, "poisoned_fraction": 0.0},
)


@pytest.mark.parametrize("changes", GAIN_SETTINGS)
def test_errors_of_refined_clients(changes):
    spec = replace(SMALL, **changes)
    predicted, runs, averaged = predicted_errors(spec), [], []
    for seed in range(8):
        found = find(replace(spec, seed=seed))
        assert found.scores.exact
        runs.append(honest_errors(found))
        honest = ~found.problem.contaminated
        mean = found.problem.updates[honest].mean(axis=0)
        away = mean - found.problem.true_updates[honest]
        averaged.append(np.sqrt(np.mean(np.sum(away**2, axis=(1, 2)))))
    for method in ("local", "clair", "clair_oracle", "clair_eb"):
        measured = np.mean([run[method] for run in runs])
        tolerance = 0.08 if method == "clair_eb" else 0.06
        assert measured == pytest.approx(getattr(predicted, method), rel=tolerance), method
    assert np.mean(averaged) == pytest.approx(predicted.fedavg_benign, rel=0.06)
    assert predicted.gain == pytest.approx(predicted.local**2 - predicted.clair**2, abs=1e-9)


@pytest.mark.parametrize("attack", LOUD)
def test_errors_do_not_depend_on_how_loud_attackers_are(attack):
    spec = replace(SMALL, attack=attack, attack_scale=10.0, poisoned_fraction=0.4)
    predicted, runs = predicted_errors(spec), []
    for seed in range(8):
        found = find(replace(spec, seed=seed))
        assert found.learns_right
        runs.append(honest_errors(found))
    for method in ("clair", "clair_eb"):
        measured = np.mean([run[method] for run in runs])
        assert measured == pytest.approx(getattr(predicted, method), rel=0.06), method


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(-3, 8))
def test_no_client_moves_the_search_by_more_than_an_honest_one(seed, n_bad, magnitude):
    rng = np.random.default_rng(seed)
    honest = sample_problem(replace(SMALL, poisoned_fraction=0.0, seed=seed)).updates[:9]
    sent = honest.copy()
    sent[:n_bad] = (
        10**magnitude
        * rng.standard_normal((n_bad, 1, 1))
        * rng.standard_normal((n_bad, *honest.shape[1:]))
    )
    blocks = ClientBlocks([Moments(sent)], 6)
    capped = blocks.whole[0].thin
    most = (block_norms(honest) ** 2)[n_bad:].max()
    traces = block_norms(capped) ** 2
    typical = np.median(block_norms(sent) ** 2)
    assert (traces <= typical * (1 + 1e-9)).all()
    assert typical <= most * (1 + 1e-9)
    moved = blocks.whole[0].weighted(np.arange(9) < n_bad)
    assert np.linalg.norm(moved, "nuc") <= n_bad * most * (1 + 1e-9)


@pytest.mark.parametrize("alike", [0.05, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("loud", [1.0, 5.0])
def test_a_group_counts_as_one_vote_the_more_it_agrees(alike, loud):
    p, q, rank, honest, most = 30, 24, 2, 12, 8
    free, basis = (p - rank) * q, np.eye(p)[:, :rank]
    for m in range(2, most + 1):
        rng = np.random.default_rng(m)
        sent = rng.standard_normal((honest + m, p, q))
        sent[honest:] *= np.sqrt(1 - alike)
        sent[honest:] += np.sqrt(alike) * rng.standard_normal((p, q))
        sent[honest:] *= loud
        n, group = honest + m, np.arange(honest + m) >= honest
        votes = influence_of([Moments(sent)], [basis], np.ones(n, dtype=bool))
        rest = sent - basis @ (basis.T @ sent)
        length = np.median(block_norms(rest))
        together = np.linalg.norm(np.tensordot(votes[group], rest[group], axes=1))
        edge = 1 + np.sqrt(n / free)
        # Correlations are estimated: a tenth on top.
        assert together <= 1.1 * edge * np.sqrt(m) * length, (m, together)
        shared = 1 + (m - 1) * alike
        if shared > 1.3 * edge**2 and loud == 1:
            ours = votes[group].sum() / votes[~group].mean()
            assert ours == pytest.approx(m / shared, rel=0.35), m


def test_break_even_is_where_the_measured_gain_changes_sign():
    level = break_even(SMALL, "off_subspace", 0.0, 2.0)
    for factor, pays in ((0.85, True), (1.15, False)):
        spec = replace(SMALL, off_subspace=factor * level)
        gains = []
        for seed in range(6):
            errors = honest_errors(find(replace(spec, seed=seed)))
            gains.append(errors["local"] ** 2 - errors["clair"] ** 2)
        assert (np.mean(gains) > 0) == pays
    free = (SMALL.d_out - SMALL.rank) * SMALL.d_in * SMALL.noise**2
    assert level**2 * SMALL.rank == pytest.approx(free, rel=0.1)
    assert break_even(SMALL, "off_subspace", 0.0, level / 2) is None


@pytest.mark.parametrize(
    "changes", [{}, {"off_subspace": 0.4, "noise": 0.05}, {"n_clients": 40, "d_out": 18}]
)
def test_one_update_cannot_tell_the_worlds_apart_and_two_halves_can(changes):
    spec = replace(SMALL, **changes)
    found = worlds(spec, trials=4)
    alone, clair, halves = (
        found.errors[key].mean(axis=1) for key in ("local", "clair", "clair_halves")
    )
    free = (spec.d_out - spec.rank) * spec.d_in
    size = np.sqrt(free) * outside_scatter(spec)
    np.testing.assert_allclose(alone, size * np.sqrt(1 - found.shares), rtol=0.03)
    assert clair[0] < 0.5 * alone[0]
    assert alone[-1] == 0
    assert clair[-1] > 0.9 * size
    assert found.break_even == pytest.approx(0.5, abs=0.1)
    each = found.errors["clair_halves"] / np.maximum(found.errors["local"], 1e-12)
    assert each[:-1].max() <= 1.01
    assert halves[-1] < 1e-9
    assert halves[0] < 0.65 * alone[0]
    assert found.halves_apart[0].mean() == pytest.approx(1, abs=0.06)
    assert found.here == pytest.approx(spec.off_subspace**2 * spec.rank / size**2)


@pytest.mark.parametrize("size", [1.0, 3.0, 10.0])
def test_in_subspace_attacks_leave_no_residual(size):
    spec = replace(SMALL, attack="sign_flip", attack_scale=size, noise=0.05)
    ratios, flagged, wrong, clean = [], [], 0, 0
    for seed in range(12):
        found = find(replace(spec, seed=seed))
        bad = found.problem.contaminated
        ratios.append(found.verdict.scores[bad].mean() / found.verdict.scores[~bad].mean())
        flagged += list(~found.verdict.benign[bad])
        wrong += int((~found.verdict.benign[~bad]).sum())
        clean_run = find(replace(spec, seed=seed, poisoned_fraction=0.0))
        clean += int((~clean_run.verdict.benign).sum())
    tolerance = 0.02 if size == 1 else 0.15
    assert np.mean(ratios) == pytest.approx(score_model(spec).separation, rel=tolerance)
    assert wrong == clean == 0
    # In between, the fitted subspace leaves out more of a reversed update than noise explains.
    assert np.mean(flagged) > 0.5 if size == 10 else np.mean(flagged) <= 0.5 * (size > 1)


def test_remedies_help_where_the_page_says_so():
    flip = replace(SMALL, attack="sign_flip")
    assert remedy(flip, "none", 4).found.mean() == 0
    assert remedy(flip, "screen", 4).found.mean() == 1
    assert remedy(flip, "clients", 4).found.mean() == 0
    dense = remedy(replace(SMALL, attack="random"), "none", 4)
    assert dense.found.mean() == dense.wrong.mean() == 0


def test_curves_carry_their_own_predictions():
    curves = stability(SMALL, (0.01, 0.05))
    assert curves.exact.all()
    assert curves.error["polished"] == pytest.approx(curves.error["truth"], rel=0.01)
    assert curves.error["truth"] == pytest.approx(curves.predicted, rel=0.35)
    along = separation(SMALL, "attack_scale", (0.1, 1.0), trials=3)
    assert along.exact.mean(axis=1).tolist() == [0, 1]
    assert along.weakest[1].min() > along.strongest[1].max()
    gains = gain(SMALL, "n_clients", (6, 20), trials=2)
    assert gains.measured["clair"].mean(axis=1)[1] < gains.measured["clair"].mean(axis=1)[0]


def test_more_noise_collapses_the_convex_program_but_not_the_rest():
    curves = stability(SMALL, (0.02, 0.25))
    assert curves.lost.tolist() == [False, True]
    assert curves.error["convex"][1] == 1
    assert curves.error["irls"][1] < 0.8


specs = st.builds(
    ProblemSpec,
    n_clients=st.integers(6, 40),
    d_out=st.integers(9, 40),
    d_in=st.integers(9, 40),
    rank=st.integers(1, 8),
    poisoned_fraction=st.floats(0, 0.45),
    noise=st.floats(0.001, 0.3),
    heterogeneity=st.floats(0, 2),
    off_subspace=st.floats(0, 2),
    attack=st.sampled_from(sorted({*ATTACKS, *PLANS})),
    attack_scale=st.floats(0.1, 10),
)


@settings(max_examples=40, deadline=None)
@given(specs)
def test_predictions_are_sane_for_every_problem(spec):
    assert 0 <= exact_set_probability(spec) <= 1
    assert 0 <= predicted_subspace_error(spec) <= 1
    noisier = replace(spec, noise=1.5 * spec.noise)
    assert predicted_subspace_error(noisier) >= predicted_subspace_error(spec) - 1e-9
    errors = predicted_errors(spec)
    assert errors.clair_oracle <= errors.clair + 1e-12
    assert errors.subspace_cost >= 0
    assert critical_noise(spec) >= 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500), st.floats(0.01, 100), st.sampled_from(sorted(ATTACKS)))
def test_windows_do_not_depend_on_scale_or_basis(seed, factor, attack):
    problem = clean_problem(attack, seed)
    turn = orthonormal(np.random.default_rng(seed).standard_normal((CLEAN.d_out,) * 2))
    moved = Problem(
        problem.spec,
        factor * (turn @ problem.updates),
        factor * (turn @ problem.true_updates),
        turn @ problem.subspace,
        problem.contaminated,
    )
    assert true_window(moved) == pytest.approx(true_window(problem), rel=1e-6)
    assert collapse_lam([moved.updates]) == pytest.approx(collapse_lam([problem.updates]), rel=1e-6)
    first, second = witness(problem, 0.7), witness(moved, 0.7)
    assert second.benign == pytest.approx(first.benign, rel=1e-4)
    assert second.spectral == pytest.approx(first.spectral, rel=1e-4)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 500), st.floats(0.4, 1.5))
def test_compression_leaves_the_program_as_it_is(seed, lam):
    problem = clean_problem("low_rank", seed)
    thin = compress(problem.updates)
    assert thin.shape[2] <= 2 * CLEAN.rank
    assert block_grams(thin) == pytest.approx(block_grams(problem.updates), abs=1e-9)
    small = decompose([thin], lam, tol=1e-7).objective
    assert small == pytest.approx(decompose([problem.updates], lam, tol=1e-7).objective, rel=1e-5)


def test_detector_used_here_is_the_package_s():
    found = find(SMALL)
    verdict = detect_updates(found.problem.updates, SMALL.rank)
    assert verdict.benign.tolist() == found.verdict.benign.tolist()


def test_every_statement_names_a_source_and_a_test_that_exists():
    assert len({statement.key for statement in STATEMENTS}) == len(STATEMENTS)
    for statement in STATEMENTS:
        assert callable(globals().get(statement.test)), statement.test
        assert statement.source in ("paper", "literature", "ours")
        assert statement.reference
        assert statement.agreement
    for section in ("window", "certificate", "stable", "sets", "gain", "blind"):
        assert of_section(section)


@pytest.mark.parametrize("attack", [key for key in EVERY_ATTACK if key not in PLANS])
def test_the_energy_predicted_outside_the_subspace_is_the_drawn_one(attack):
    spec = replace(SMALL, off_subspace=0.3, attack=attack)
    drawn = []
    for seed in range(20):
        problem = sample_problem(replace(spec, seed=seed))
        basis, sent = problem.subspace, problem.updates[problem.contaminated]
        drawn.append(np.sum((sent - basis @ (basis.T @ sent)) ** 2, axis=(1, 2)).mean())
    assert np.mean(drawn) == pytest.approx(score_model(spec).whole.contaminated, rel=0.1)
