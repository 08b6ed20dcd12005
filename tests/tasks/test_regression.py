"""Federated regression: data, ridge, the refit and the weights, curves, and where CLAIR loses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import clair
from clair.federated.regression import ATTACKS, RegressionConfig, run_regression
from clair.federated.regression.curves import SampleCurves, sample_curves
from clair.federated.regression.data import sample_regression
from clair.federated.regression.estimates import (
    all_estimates,
    fit_clair,
    preliminary_estimates,
)
from clair.federated.regression.ridge import PENALTIES, joint_ridge, ridge_gcv

SMALL = RegressionConfig(n_clients=12, n_test=80, seed=3)


def drawn(n=30, d_in=9, d_out=5, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((n, d_in)) * np.linspace(0.3, 2, d_in)
    truth = rng.standard_normal((d_out, d_in))
    return inputs, inputs @ truth.T + 1.5 * rng.standard_normal((n, d_out)), truth


# -- ridge -------------------------------------------------------------------------------------


def test_ridge_solves_its_normal_equations():
    X, Y, _ = drawn()
    fit = ridge_gcv(X, Y)
    left = fit.coefficients @ (X.T @ X + fit.penalty * np.eye(9))
    np.testing.assert_allclose(left, Y.T @ X, atol=1e-9)


def test_the_penalty_is_the_best_of_the_grid_by_the_textbook_formula():
    X, Y, _ = drawn(n=14)

    def criterion(penalty):
        H = X @ np.linalg.solve(X.T @ X + penalty * np.eye(9), X.T)
        return np.sum((Y - H @ Y) ** 2) / (1 - np.trace(H) / 14) ** 2

    fit = ridge_gcv(X, Y)
    assert criterion(fit.penalty) == pytest.approx(min(criterion(14 * p) for p in PENALTIES))


def test_reported_noise_and_variance_match_what_repeated_draws_show():
    X, _, truth = drawn(n=60)
    fits = []
    for seed in range(200):
        noise = np.random.default_rng(seed + 10).standard_normal((60, 5))
        fits.append(ridge_gcv(X, X @ truth.T + 1.5 * noise))
    spread = np.var([fit.coefficients for fit in fits], axis=0).sum(axis=1).mean()
    assert np.mean([fit.noise_variance for fit in fits]) == pytest.approx(1.5**2, rel=0.05)
    assert np.mean([fit.variance for fit in fits]) == pytest.approx(spread, rel=0.1)


def test_joint_ridge_gives_everybody_one_penalty_and_is_steadier_with_few_responses():
    rng = np.random.default_rng(5)
    clients, truths = [], []
    for _ in range(12):
        X = rng.standard_normal((18, 16))
        truth = rng.standard_normal((3, 16)) / 2
        clients.append((X, X @ truth.T + rng.standard_normal((18, 3))))
        truths.append(truth)
    joint = joint_ridge(clients)
    assert len({fit.penalty for fit in joint}) == 1

    def error(fits):
        return np.mean(
            [np.sum((f.coefficients - t) ** 2) for f, t in zip(fits, truths, strict=True)]
        )

    assert error(joint) < 0.9 * error([ridge_gcv(X, Y) for X, Y in clients])


# -- data --------------------------------------------------------------------------------------


def test_same_config_same_bytes_and_more_samples_leave_the_first_ones_alone():
    first, again = sample_regression(SMALL), sample_regression(SMALL)
    longer = sample_regression(replace(SMALL, samples=90, attack="label_swap"))
    honest = np.flatnonzero(~first.contaminated)
    assert np.array_equal(first.contaminated, longer.contaminated)
    for k in honest:
        a, b, c = (data.clients[k] for data in (first, again, longer))
        assert a.inputs.tobytes() == b.inputs.tobytes()
        assert a.residuals.tobytes() == b.residuals.tobytes()
        np.testing.assert_array_equal(c.inputs[: len(a.inputs)], a.inputs)
        np.testing.assert_allclose(c.residuals[: len(a.residuals)], a.residuals, atol=1e-12)


@pytest.mark.parametrize("attack", [key for key, a in ATTACKS.items() if a.kind == "data"])
def test_an_attack_touches_contaminated_clients_only(attack):
    clean = sample_regression(replace(SMALL, poisoned_fraction=0.0))
    poisoned = sample_regression(replace(SMALL, attack=attack))
    assert poisoned.contaminated.sum() == 4
    assert set(poisoned.tests) == set(np.flatnonzero(~poisoned.contaminated))
    for k, (a, b) in enumerate(zip(clean.clients, poisoned.clients, strict=True)):
        assert np.array_equal(a.residuals, b.residuals) == (not poisoned.contaminated[k])


def test_the_truth_is_as_dialled():
    config = replace(SMALL, off_subspace=0.7, size_ratio=20.0, samples=100, correlation=0.8)
    data = sample_regression(config)
    inside = data.subspace.T @ data.true_updates
    outside = data.true_updates - data.subspace @ inside
    np.testing.assert_allclose(
        np.linalg.norm(outside, axis=(1, 2)), 0.7 * np.sqrt(config.d_out), rtol=1e-10
    )
    assert np.mean(inside**2) * inside[0].size == pytest.approx(config.d_out, rel=0.2)
    assert data.sizes.max() / data.sizes.min() == pytest.approx(20, rel=0.1)
    assert all((client.inputs[:, 0] == 1).all() for client in data.clients)
    big = sample_regression(replace(config, samples=2000, size_ratio=1.0))
    correlation = np.abs(np.corrcoef(big.clients[0].inputs[:, 1:].T))
    assert np.sort(correlation[0])[-2] == pytest.approx(0.8, abs=0.06)


def test_held_out_data_decide_nothing():
    few, many = run_regression(SMALL), run_regression(replace(SMALL, n_test=300))
    assert np.array_equal(few.fit.scores, many.fit.scores)
    assert few.mean("clair", "excess") != many.mean("clair", "excess")


# -- what comes out ----------------------------------------------------------------------------


def test_without_noise_and_own_parts_everything_is_recovered():
    config = replace(SMALL, noise=1e-7, off_subspace=0.0, samples=60)
    result = run_regression(config)
    assert result.detection.exact
    for method in ("local", "clair", "clair_own"):
        assert result.mean(method, "excess") < 1e-5
    assert result.mean("fedavg", "excess") > 0.1


@pytest.mark.parametrize(
    "attack", ["colluders", "response_shift", "label_swap", "leverage", "negated"]
)
def test_attacks_that_leave_the_subspace_are_found(attack):
    for seed in (11, 12):
        found = run_regression(RegressionConfig(attack=attack, seed=seed), methods=("clair",))
        assert found.detection.exact


def test_random_responses_are_shrunk_away_rather_than_found():
    poisoned = [run_regression(RegressionConfig(attack="random_responses", seed=s)) for s in (1, 2)]
    clean = [run_regression(RegressionConfig(poisoned_fraction=0.0, seed=s)) for s in (1, 2)]
    harm = np.mean([r.mean("clair", "excess") for r in poisoned]) / np.mean(
        [r.mean("clair", "excess") for r in clean]
    )
    assert harm < 1.15


def test_the_sign_flip_needs_the_screen():
    config = RegressionConfig(attack="sign_flip", seed=5)
    blind = run_regression(config, methods=("clair",))
    seeing = run_regression(replace(config, screen_coefficients=True), methods=("clair",))
    assert blind.detection.recall == 0
    assert seeing.detection.f1 > 0.9


def test_clair_beats_local_and_averages_at_the_default_and_own_data_beats_both():
    for seed in range(40, 44):
        result = run_regression(RegressionConfig(seed=seed))
        means = {key: value.excess.mean() for key, value in result.accuracy.items()}
        assert result.detection.exact
        others = ("local", "fedavg", "fedavg_finetuned", "krum", "median", "pca")
        assert means["clair"] < min(means[key] for key in others)
        assert means["clair_own"] < 0.75 * means["clair"]
        assert means["base"] == pytest.approx(1.0)


def test_where_clair_loses_it_says_so():
    lonely = run_regression(RegressionConfig(off_subspace=1.0, samples=100, seed=1))
    assert lonely.mean("local", "excess") < lonely.mean("clair", "excess")
    assert lonely.mean("clair_own", "excess") < lonely.mean("local", "excess")
    assert "rose" in lonely.summary()
    alike = RegressionConfig(
        heterogeneity=0.0, off_subspace=0.0, poisoned_fraction=0.0, refit=False, own_weight=False
    )
    same = run_regression(alike)
    assert same.mean("pooled_benign", "excess") < same.mean("clair", "excess")
    assert "one model of all honest data" in same.summary()
    assert "clair_own" not in same.accuracy


def test_own_weight_keeps_nothing_of_pure_noise_and_most_of_what_is_large():
    def distance(off, **options):
        config = replace(SMALL, off_subspace=off, refit=False, samples=200, **options)
        data = sample_regression(config)
        sent = preliminary_estimates(config, data)
        found = fit_clair(config, sent)
        both = all_estimates(config, data, sent, found, ("local", "clair", "clair_own"))
        kept = found.benign
        to_clair, to_local = (
            np.linalg.norm((both["clair_own"] - both[key])[kept]) for key in ("clair", "local")
        )
        return to_clair / (to_clair + to_local)

    assert distance(0.0) < 0.25
    assert distance(1.0) > 0.9


def test_precision_weights_leave_the_verdict_alone_and_help_when_sizes_differ():
    gains = []
    for seed in range(4):
        plain = RegressionConfig(size_ratio=30.0, off_subspace=0.0, seed=seed)
        by_size = run_regression(plain)
        weighted = run_regression(replace(plain, precision_weights=True))
        assert np.array_equal(by_size.flagged, weighted.flagged)
        gains.append(by_size.mean("clair", "excess") - weighted.mean("clair", "excess"))
    assert np.mean(gains) > 0


def test_the_refit_uses_nobody_elses_data():
    """Check that another client's data move a kept client's estimate only through what it sends."""
    data = sample_regression(SMALL)
    sent = preliminary_estimates(SMALL, data)
    found = fit_clair(SMALL, sent)
    flagged = np.flatnonzero(found.flagged)
    clients = list(data.clients)
    k = int(flagged[0])
    clients[k] = replace(clients[k], residuals=100 * clients[k].residuals)
    other = replace(data, clients=tuple(clients))
    before = all_estimates(SMALL, data, sent, found, ("clair_own",))["clair_own"]
    after = all_estimates(SMALL, other, sent, found, ("clair_own",))["clair_own"]
    np.testing.assert_array_equal(before, after)


def test_sharing_pays_with_few_samples_and_stops_where_clients_differ_too_much():
    few = run_regression(RegressionConfig(samples=24, seed=3))
    assert few.sharing.chosen != "local"
    assert few.mean("clair_safe", "excess") < 0.8 * few.mean("local", "excess")
    apart = run_regression(
        RegressionConfig(samples=300, off_subspace=1.0, refit=False, own_weight=False, seed=3)
    )
    assert apart.mean("clair", "excess") > 2 * apart.mean("local", "excess")
    assert apart.sharing.chosen == "local"
    assert apart.mean("clair_safe", "excess") == apart.mean("local", "excess")


def test_the_detector_as_published_is_one_setting_away():
    config = replace(SMALL, detector="norms")
    outcome = run_regression(config)
    sent = preliminary_estimates(config, sample_regression(config))
    alone = clair.fit(sent.updates, config.rank, detector="norms")
    np.testing.assert_array_equal(outcome.fit.scores, alone.contamination_norms)
    np.testing.assert_array_equal(outcome.flagged, alone.flagged)
    assert not np.array_equal(outcome.fit.scores, run_regression(SMALL).fit.scores)


def test_results_are_plain_json_with_the_common_fields():
    payload = json.loads(json.dumps(run_regression(SMALL).to_json()))
    common = {"config", "seconds", "contaminated", "flagged", "f1", "scores", "accuracy"}
    assert common <= set(payload)
    assert RegressionConfig(**payload["config"]) == SMALL
    assert set(payload["accuracy"]["clair"]) == {"excess", "excess_sd", "squared", "squared_sd"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"poisoned_fraction": 0.5}, r"poisoned_fraction must be in \[0, 0.5\), got 0.5"),
        ({"samples": 5}, "samples must be at least 6, got 5"),
        ({"attack": "nice"}, "attack must be one of .*colluders.*, got 'nice'"),
        ({"correlation": 1.0}, r"correlation must be in \[0, 1\), got 1"),
        ({"noise": 0.0}, r"noise must be in \(0, 100\], got 0"),
        ({"refit": 1}, "refit must be True or False, got 1"),
        ({"rank": 9}, "rank must be at most 8, got 9"),
    ],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        RegressionConfig(**options)


# -- curves ------------------------------------------------------------------------------------


def made_up_curves(local, clair, f1):
    n = len(local)
    return SampleCurves(
        samples=np.array([10, 20, 40, 80])[:n],
        draws=1,
        excess={"local": np.array(local), "clair": np.array(clair)},
        preliminary=np.ones(n),
        f1=np.array(f1),
        false_alarms=np.zeros(n),
    )


def test_the_crossing_is_read_off_between_the_points():
    curves = made_up_curves([1.0, 0.5, 0.2, 0.1], [0.5, 0.25, 0.1, 0.2], [0.5, 1.0, 0.9, 1.0])
    assert curves.crossing() == pytest.approx(40 * np.sqrt(2))  # ratios 2 and 1/2 around 1
    assert curves.identified_from == 80
    np.testing.assert_allclose(curves.gain["clair"], [2, 2, 2, 0.5])
    never = made_up_curves([1, 1, 1, 1], [0.5] * 4, [0.2] * 4)
    assert never.crossing() is None
    assert never.identified_from is None
    always = made_up_curves([0.5] * 4, [1, 1, 1, 1], [1.0] * 4)
    assert always.crossing() == 10
    assert always.identified_from == 10


def test_curves_show_scarce_data_gaining_most_and_plain_clair_losing_in_the_end():
    config = RegressionConfig(off_subspace=0.3, n_clients=14)
    steps = []
    curves = sample_curves(
        config, samples=(8, 24, 100, 640), draws=2, progress=lambda *done: steps.append(done)
    )
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert np.all(np.diff(curves.preliminary) < 0)
    assert 24 < curves.crossing() < 640
    assert curves.crossing("clair_own") is None
    saved = curves.excess["local"] - curves.excess["clair_own"]
    assert saved.argmax() in (0, 1)
    assert curves.identified_from in (24, 100)
