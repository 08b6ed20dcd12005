"""The clients' own tests decide: sharing only where it clearly pays, whatever a few of them say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clair import ProblemSpec, fit, sample_problem
from clair.baselines import estimate_all
from clair.federated.sharing import CANDIDATES, CAPPED, candidates, capped_mean, choose, voters
from clair.method.updates import LoraFactors


def measured(gains, n=20, seed=0, spread=0.05):
    """Draw clients' errors under candidates with these mean gains over training alone."""
    rng = np.random.default_rng(seed)
    alone = rng.uniform(0.3, 0.6, n)
    noisy = {key: alone - gain - spread * rng.standard_normal(n) for key, gain in gains.items()}
    return {"local": alone, **noisy}


def test_nothing_to_gain_means_nothing_is_shared():
    alone = np.linspace(0.2, 0.6, 9)
    assert choose(dict.fromkeys(CANDIDATES, alone)).chosen == "local"
    assert choose(dict.fromkeys(CANDIDATES, np.zeros(0))).n_clients == 0
    worse = measured({"clair": -0.1, "clair_eb": -0.02})
    assert choose(worse).chosen == "local"
    assert choose({key: values[:3] for key, values in measured({"clair": 0.2}).items()}).chosen == (
        "local"  # three clients are too few to tell
    )


def test_the_larger_of_two_clear_gains_wins_and_an_unclear_one_does_not():
    assert choose(measured({"clair": 0.1, "clair_eb": 0.2})).chosen == "clair_eb"
    errors = measured({"clair": 0.1, "clair_eb": 0.12})
    swing = np.tile([0.6, -0.6], 10)
    errors["clair_eb"] = errors["local"] - 0.15 + swing
    assert choose(errors).chosen == "clair"


def test_the_order_of_clients_does_not_matter():
    errors = measured({"clair": 0.03, "clair_wide": 0.035}, spread=0.1)
    order = np.random.default_rng(1).permutation(20)
    first, again = choose(errors), choose({key: values[order] for key, values in errors.items()})
    assert (first.chosen, first.n_clients) == (again.chosen, again.n_clients)
    assert first.gains == pytest.approx(again.gains)


@pytest.mark.parametrize("claimed", [0.3, 1.0])
@pytest.mark.parametrize("n", [10, 50])
def test_a_fifth_of_liars_cannot_sell_what_harms(claimed, n):
    for seed in range(20):
        errors = measured({"clair": -0.03, "clair_eb": -0.05}, n=n, seed=seed)
        liars = slice(0, n // 5)
        errors["clair"][liars] = errors["local"][liars] - claimed
        assert choose(errors).chosen == "local"


def test_liars_can_sell_it_where_they_are_believed():
    errors = measured({"clair": -0.03}, n=50)
    errors["clair"][:10] = errors["local"][:10] - 0.5
    assert choose(errors, capped=0.0).chosen == "clair"
    assert choose(errors).chosen == "local"


def test_a_few_clients_that_lose_much_stop_what_the_others_gain_little_from():
    errors = measured({"clair": 0.02}, n=12, spread=0.005)
    assert choose(errors).chosen == "clair"
    errors["clair"][:2] = errors["local"][:2] + 0.4
    assert choose(errors).chosen == "local"


def test_the_capped_mean_is_winsorised_above_only():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(25)
    expected = np.asarray(stats.mstats.winsorize(values, limits=(0, CAPPED)))
    assert capped_mean(values, CAPPED) == pytest.approx((expected.mean(), stats.sem(expected)))
    assert capped_mean(values, 0.0)[0] == pytest.approx(values.mean())


@pytest.mark.parametrize("factored", [False, True])
def test_candidates_are_the_methods_of_that_name_and_their_means(factored):
    problem = sample_problem(ProblemSpec(n_clients=10, noise=0.1, seed=3))
    updates = problem.updates
    if factored:
        u, s, vt = np.linalg.svd(updates, full_matrices=False)
        updates = LoraFactors(B=u * s[:, None, :], A=vt)
    found = fit(updates, rank=3)
    made = candidates(updates, found)
    usual = estimate_all(updates, fit=found, methods=("local", "clair", "clair_eb"))
    for key, value in usual.items():
        np.testing.assert_allclose(made[key], value, atol=1e-8)
    np.testing.assert_allclose(made["half_clair"], (usual["local"] + usual["clair"]) / 2, atol=1e-8)
    for value in made.values():
        np.testing.assert_allclose(value[found.flagged], usual["local"][found.flagged], atol=1e-8)
    alone = usual["local"][found.benign]
    wide, plain = (np.linalg.norm(made[k][found.benign] - alone) for k in ("clair_wide", "clair"))
    assert 0 < wide < plain  # more directions are the client's own
    assert set(voters(found)) <= set(np.flatnonzero(found.benign))
