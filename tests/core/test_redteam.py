"""The search for attacks: the same every time, within its budget, and it finds what is there."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from clair import ProblemSpec, fit, sample_problem
from clair.redteam import DEFENCES, RedTeamConfig, evaluate, search
from clair.redteam.moves import KNOWN
from clair.redteam.words import result_json

SPEC = ProblemSpec(n_clients=12, d_out=16, d_in=16, poisoned_fraction=0.4, seed=2)
CONFIG = RedTeamConfig(SPEC, rank=3, budget=90)


def test_the_same_config_gives_the_same_numbers_and_another_seed_does_not():
    first = result_json(search(CONFIG))
    assert first == result_json(search(CONFIG))
    other = result_json(search(replace(CONFIG, spec=replace(SPEC, seed=3))))
    assert first["worst"]["draws"] != other["worst"]["draws"]


def test_harm_is_measured_on_draws_the_search_never_saw(monkeypatch):
    seen = []

    def watched(plan, spec, *rest, **options):
        seen.append((plan, spec.seed, options["quick"]))
        return evaluate(plan, spec, *rest, **options)

    monkeypatch.setattr("clair.redteam.evolution.evaluate", watched)
    result = search(replace(CONFIG, defence="median"))
    assert result.n_fits == len(seen) <= CONFIG.budget
    fresh = {seed for _, seed, quick in seen if not quick}
    assert not fresh & {seed for _, seed, quick in seen if quick}
    assert {trial.seed for trial in result.worst.trials} == fresh


def test_harm_is_that_of_the_honest_over_the_oracle_s():
    spec = replace(SPEC, seed=7)
    plan = KNOWN[0]
    problem = sample_problem(spec, plan)
    honest = ~problem.contaminated
    share = problem.subspace @ problem.subspace.T
    oracle = share @ problem.updates + (np.eye(16) - share) @ problem.updates[honest].mean(axis=0)
    fitted = fit(problem.updates, 3)

    def error(estimate):
        return np.sqrt(((estimate - problem.true_updates)[honest] ** 2).sum(axis=(1, 2)).mean())

    trial = evaluate(plan, spec, "clair", 3)
    assert trial.harm == pytest.approx(error(fitted.refined) / error(oracle))
    np.testing.assert_array_equal(trial.flagged, fitted.flagged)


@pytest.mark.parametrize("defence", ["clair", "clair_eb", "clair_screen"])
def test_the_quick_way_gives_the_same_harm(defence):
    for plan in KNOWN:
        quick, full = (evaluate(plan, SPEC, defence, 3, quick=q) for q in (True, False))
        assert quick.harm == pytest.approx(full.harm, rel=1e-6)
        np.testing.assert_array_equal(quick.flagged, full.flagged)


def test_no_rule_is_left_standing_by_a_mean_that_can_be_moved():
    worst = search(replace(CONFIG, defence="fedavg")).worst
    assert worst.harm > 50
    assert worst.harm > 10 * search(replace(CONFIG, defence="median")).worst.harm


def test_progress_never_falls_and_cancelling_keeps_what_was_found():
    reports = []
    result = search(CONFIG, reports.append, lambda: len(reports) >= 5)
    assert len(reports) == 5
    assert not result.complete
    assert result.worst.trials
    assert result.n_fits < CONFIG.budget
    assert all(a.step < b.step and a.worst <= b.worst for a, b in pairwise(reports))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"defence": "prayer"}, "defence must be one of 'clair', .*got 'prayer'"),
        ({"budget": 10}, "budget must be at least 50, got 10"),
        ({"rank": 17}, "rank must be at most 16, got 17"),
        (
            {"spec": replace(SPEC, poisoned_fraction=0.01)},
            "poisoned_fraction must leave the attacker at least one client, got 0.01 of 12",
        ),
    ],
)
def test_bad_configs_are_refused_with_rule_and_value(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)


def test_every_defence_can_be_searched():
    for defence in DEFENCES:
        assert evaluate(KNOWN[0], SPEC, defence).harm > 0


def test_no_attack_found_within_a_fixed_budget_costs_honest_clients_a_tenth():
    spec = ProblemSpec(poisoned_fraction=0.4, seed=11)
    result = search(RedTeamConfig(spec, budget=90))
    assert result.worst.harm < 1.10
    assert result.unattacked.false_alarms == 0
