"""Baselines against an independent library, oracles apart, one form for all."""

import importlib.util
import sys
import types

import numpy as np
import pytest

import clair
from clair import ProblemSpec, sample_problem
from clair.aggregation import (
    assumed_attackers,
    geometric_median,
    krum,
    median,
    multi_krum,
    trimmed_mean,
)
from clair.baselines import compare, estimate_all
from clair.methods import GLOBAL_RULES, METHODS

PROBLEM = sample_problem(ProblemSpec(n_clients=11, d_out=6, d_in=4, rank=2, seed=2))
FIT = clair.fit(PROBLEM.updates, rank=2)


@pytest.fixture(scope="module")
def byzfl():
    """Import ByzFL's aggregators without its package, which imports torchvision and more."""
    spec = importlib.util.find_spec("byzfl")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("byzfl is not installed (pip install --no-deps byzfl)")
    stub = types.ModuleType("byzfl")
    stub.__path__ = list(spec.submodule_search_locations)
    before = sys.modules.get("byzfl")
    sys.modules["byzfl"] = stub
    try:
        yield importlib.import_module("byzfl.aggregators.aggregators")
    finally:
        sys.modules.pop("byzfl")
        if before is not None:
            sys.modules["byzfl"] = before


def vectors(seed=0, n=11):
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((n, 7)) + rng.standard_normal(7)
    found[:3] += 6
    return found


@pytest.mark.parametrize("seed", range(3))
def test_rules_agree_with_byzfl(byzfl, seed):
    v, f = vectors(seed), 3
    np.testing.assert_allclose(median(v, f), byzfl.Median()(v))
    np.testing.assert_allclose(trimmed_mean(v, f), byzfl.TrMean(f=f)(v))
    reference = byzfl.GeometricMedian(nu=1e-9, T=2000)(v)
    np.testing.assert_allclose(geometric_median(v, f), reference, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_krum_agrees_with_byzfl_up_to_its_number_of_neighbours(byzfl, seed):
    # ByzFL counts n - f - 1 neighbours where the paper and we count n - f - 2.
    v, f = vectors(seed), 3
    scores = []
    for k in range(len(v)):
        others = np.delete(np.sum((v - v[k]) ** 2, axis=1), k)
        scores.append(np.sort(others)[: len(v) - f - 2].sum())
    np.testing.assert_allclose(krum(v, f), v[np.argmin(scores)])
    chosen = np.argsort(scores)[: len(v) - f]
    np.testing.assert_allclose(multi_krum(v, f), v[chosen].mean(axis=0))
    np.testing.assert_allclose(krum(v, f), byzfl.Krum(f=f + 1)(v))


def test_geometric_median_minimises_the_summed_distance_even_at_a_data_point():
    v = np.vstack([np.zeros((6, 2)), [[10.0, 0.0], [0.0, 10.0]]])
    np.testing.assert_allclose(geometric_median(v, 2), [0, 0], atol=1e-9)
    v = vectors(3)
    best = geometric_median(v, 3)

    def total(point):
        return np.linalg.norm(v - point, axis=1).sum()

    rng = np.random.default_rng(0)
    for _ in range(20):
        assert total(best) <= total(best + 1e-4 * rng.standard_normal(7)) + 1e-9


@pytest.mark.parametrize("rule", [r for r in GLOBAL_RULES if r != "fedavg"])
def test_robust_rules_stay_near_the_majority_where_the_mean_is_dragged_away(rule):
    v = np.vstack([np.random.default_rng(0).standard_normal((8, 5)), np.full((3, 5), 1e3)])
    assert np.linalg.norm(GLOBAL_RULES[rule](v, 3)) < 10
    assert np.linalg.norm(GLOBAL_RULES["fedavg"](v, 3)) > 100


def test_assumed_number_of_attackers_meets_krums_condition():
    for n in range(3, 60):
        assert n >= 2 * assumed_attackers(n) + 3
    assert assumed_attackers(50) == 20


def test_every_method_gives_one_update_a_client_in_display_order():
    estimates = estimate_all(PROBLEM.updates, fit=FIT, contaminated=PROBLEM.contaminated)
    need_data = {key for key in METHODS if key.endswith(("_finetuned", "_longer"))}
    need_data |= {"base", "clair_halves", "clair_own", "clair_safe", "pooled_benign"}
    assert list(estimates) == [key for key in METHODS if key not in need_data]
    for value in estimates.values():
        assert value.shape == PROBLEM.updates.shape
    np.testing.assert_array_equal(estimates["local"], PROBLEM.updates)
    np.testing.assert_allclose(estimates["clair"], FIT.refined)
    pooled = clair.fit(PROBLEM.updates, rank=2, pooling="eb").refined
    np.testing.assert_allclose(estimates["clair_eb"], pooled)
    average = PROBLEM.updates[~PROBLEM.contaminated].mean(axis=0)
    np.testing.assert_allclose(estimates["fedavg_benign"][4], average)


def test_oracles_need_the_truth_and_nothing_else_sees_it():
    without = estimate_all(PROBLEM.updates, fit=FIT)
    assert not {"fedavg_benign", "clair_oracle"} & set(without)
    swapped = ~PROBLEM.contaminated
    other = estimate_all(PROBLEM.updates, fit=FIT, contaminated=swapped)
    for key, value in without.items():
        np.testing.assert_array_equal(other[key], value)
    with pytest.raises(ValueError, match="contaminated must be given for the oracle"):
        estimate_all(PROBLEM.updates, fit=FIT, methods=["clair_oracle"])


def test_modules_are_aggregated_as_one_vector():
    first, second = PROBLEM.updates, 100 * PROBLEM.updates[:, :3, :2]
    both = {"a": first, "b": second}
    fit = clair.fit(both, rank=2)
    estimates = estimate_all(both, fit=fit, methods=["krum", "fedavg", "clair"])
    k = next(i for i in range(11) if np.array_equal(estimates["krum"]["a"][0], first[i]))
    np.testing.assert_array_equal(estimates["krum"]["b"][0], second[k])
    np.testing.assert_allclose(estimates["fedavg"]["b"][3], second.mean(axis=0))
    np.testing.assert_allclose(estimates["clair"]["b"], fit.refined["b"])


def test_factors_and_input_side_give_the_dense_estimates():
    rng = np.random.default_rng(0)
    factors = clair.LoraFactors(rng.standard_normal((5, 9, 2)), rng.standard_normal((5, 2, 7)))
    for side in ("output", "input"):
        dense_fit = clair.fit(factors.dense(), rank=2, side=side)
        factored_fit = clair.fit(factors, rank=2, side=side)
        dense = estimate_all(factors.dense(), fit=dense_fit)
        factored = estimate_all(factors, fit=factored_fit)
        for key, value in dense.items():
            if key != "clair_eb":  # its pretest counts the dimensions noise lives in
                np.testing.assert_allclose(factored[key], value, atol=1e-8)


def test_unknown_methods_are_refused_by_name():
    with pytest.raises(ValueError, match=r"methods must be among base, local, .* got 'magic'"):
        estimate_all(PROBLEM.updates, fit=FIT, methods=["magic"])


def test_comparison_measures_distance_from_the_truth_over_benign_clients():
    rows = {row.method: row for row in compare(PROBLEM)}
    benign = ~PROBLEM.contaminated
    off = PROBLEM.updates[benign] - PROBLEM.true_updates[benign]
    np.testing.assert_allclose(rows["local"].per_client, np.sqrt((off**2).sum(axis=(1, 2))))
    assert rows["local"].rmse == pytest.approx(np.sqrt((off**2).sum() / benign.sum()))
    assert rows["clair"].rmse < rows["local"].rmse < rows["fedavg"].rmse
    assert rows["clair_oracle"].oracle
    assert not rows["clair"].oracle
