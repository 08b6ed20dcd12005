"""The search for attacks: the same every time, within its budget, and it finds what is there."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from clair import ProblemSpec, fit, sample_problem
from clair._files import ASSETS
from clair.executors import Workers
from clair.method.detection import detect_updates
from clair.redteam import DEFENCES, RedTeamConfig, evaluate, search
from clair.redteam.defences import harm_without
from clair.redteam.former import former_evidence
from clair.redteam.gallery import GALLERY
from clair.redteam.moves import KNOWN
from clair.redteam.record import RECORD_CONFIG, alone, cell, read_record
from clair.redteam.strike import ROWS, strike
from clair.redteam.words import result_json
from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.matrix_model import sample_modules
from clair.simulation.scenario import Scenario

SPEC = ProblemSpec(n_clients=12, d_out=16, d_in=16, poisoned_fraction=0.4, seed=2)
CONFIG = RedTeamConfig(SPEC, rank=3, budget=90)


def test_the_same_config_gives_the_same_numbers_and_another_seed_does_not():
    first = result_json(search(CONFIG))
    assert first == result_json(search(CONFIG))
    other = result_json(search(replace(CONFIG, spec=replace(SPEC, seed=3))))
    assert first["worst"]["draws"] != other["worst"]["draws"]


def test_any_executor_finds_and_tells_the_same_however_many_it_tries_at_once():
    told, told_there = [], []
    here = search(CONFIG, told.append)
    with ThreadPoolExecutor(2) as pool:
        there = search(CONFIG, told_there.append, workers=Workers(pool, 5))
    assert result_json(there) == result_json(here)
    assert told_there == told
    assert there.n_fits <= CONFIG.budget


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
        ({"n_modules": 0}, "n_modules must be at least 1, got 0"),
        (
            {"n_modules": 2, "spec": replace(SPEC, data_spread=0.5)},
            "data_spread must be 0 with more than one module, got 0.5",
        ),
        (
            {"n_modules": 2, "defence": "clair_former"},
            "n_modules must be 1 for 'clair_former', got 2",
        ),
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


def test_harm_over_several_modules_is_that_of_all_of_them_and_shape_is_evidence(monkeypatch):
    problems = sample_modules(SPEC, 3, KNOWN[3])
    honest = ~problems[0].contaminated
    errors, least = 0.0, 0.0
    for problem in problems:
        np.testing.assert_array_equal(problem.contaminated, ~honest)
        share = problem.subspace @ problem.subspace.T
        mean = problem.updates[honest].mean(axis=0)
        oracle = share @ problem.updates + (np.eye(16) - share) @ mean
        errors += ((problem.updates.mean(axis=0) - problem.true_updates)[honest] ** 2).sum()
        least += ((oracle - problem.true_updates)[honest] ** 2).sum()
    assert len({problem.updates[0, 0, 0] for problem in problems}) == 3
    trial = evaluate(KNOWN[3], SPEC, "fedavg", n_modules=3)
    assert trial.harm == pytest.approx(np.sqrt(errors / least))
    kinds = []
    monkeypatch.setattr(
        "clair.redteam.defences.suspicion",
        lambda evidence, _: kinds.append({e.kind for e in evidence}) or 1.0,
    )
    for n_modules in (2, 3):
        evaluate(KNOWN[3], SPEC, n_modules=n_modules)
    assert kinds[1] - kinds[0] == {"shape"}


def test_the_defence_with_halves_is_sent_the_same_attack_twice():
    plan = AttackPlan((Tactic(own=0, size=20, noise=0),))
    seen = []
    original = DEFENCES["clair_halves"]

    def watched(sent, rank, quick):
        seen.append((sent.updates["module 2"], *(half["module 2"] for half in sent.halves())))
        return original.run(sent, rank, quick)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEFENCES, "clair_halves", original._replace(run=watched))
        trial = evaluate(plan, SPEC, "clair_halves", 3, n_modules=2)
    ((full, first, second),) = seen
    np.testing.assert_allclose((first + second) / 2, full)
    apart = np.abs(first - second).mean(axis=(1, 2))
    assert (apart < 0.1).all()
    assert (apart > 0).all()
    assert (np.abs(full[trial.held]).mean(axis=(1, 2)) > 1).all()


def test_no_attack_found_within_a_fixed_budget_costs_honest_clients_a_tenth():
    spec = ProblemSpec(poisoned_fraction=0.4, seed=11)
    result = search(RedTeamConfig(spec, budget=90))
    assert result.worst.harm < 1.10
    assert result.unattacked.false_alarms == 0


def test_attackers_whose_steps_are_too_small_for_a_gap_teach_neither_rank_nor_subspace():
    plan = AttackPlan((Tactic(own=0, copy=-1, directions=0, ladder=1.12, noise=0),))
    spec = ProblemSpec(n_clients=50, poisoned_fraction=0.4, seed=91002)
    assert evaluate(plan, spec, quick=True).harm < 1.05
    assert evaluate(plan, spec, rank=3, quick=True).harm < 1.05


def test_copies_in_the_agreeing_half_do_not_silence_those_outside_it():
    tactic = Tactic(own=-0.3, size=0.07, directions=7, agree=0.1, copy=1, noise=0.07, ladder=1.08)
    spec = ProblemSpec(n_clients=8, poisoned_fraction=0.4, seed=329)
    assert evaluate(AttackPlan((tactic,)), spec, n_modules=3).harm < 1.1


def test_two_groups_of_copies_win_no_majority_with_those_they_copy():
    tactic = Tactic(own=0, size=0.17, directions=2, agree=0.4, alike=0, copy=1.15, noise=0)
    other = replace(tactic, size=0.14, directions=6, copy=1)
    spec = ProblemSpec(poisoned_fraction=0.4, seed=92014)
    assert evaluate(AttackPlan((tactic, other)), spec, n_modules=3).harm < 1.1


def test_repeating_one_honest_client_hides_no_direction_from_the_automatic_rank():
    tactic = Tactic(tilt=0.06, size=0.07, directions=5, inside=1, ladder=1.1, echo=1.12, mean=1)
    plan = AttackPlan((replace(tactic, noise=0),))
    for seed in (92017, 92057):
        spec = ProblemSpec(n_clients=8, poisoned_fraction=0.4, seed=seed)
        assert evaluate(plan, spec, quick=True).harm < 1.1


def test_near_copies_count_once_where_lines_are_drawn():
    plan = AttackPlan((Tactic(own=0, copy=-1, directions=0, ladder=1.09, noise=0),))
    trial = evaluate(plan, ProblemSpec(n_clients=50, poisoned_fraction=0.4, seed=4), quick=True)
    assert trial.flagged[trial.held].mean() > 0.5
    assert not trial.flagged[~trial.held].any()


def test_who_is_left_of_a_group_that_was_screened_still_shares_one_vote():
    # The reversed copies cancel the others in a mean, and so have full votes until they are gone.
    reverse = Tactic(share=0.6, own=0, copy=-1, noise=0, directions=0, ladder=1.06)
    copies = Tactic(share=0.4, copy=0.5, echo=0.83, noise=0)
    spec = ProblemSpec(poisoned_fraction=0.4, seed=8)
    assert evaluate(AttackPlan((reverse, copies)), spec, "clair_screen").harm < 1.05


def test_every_attempt_is_kept_and_the_worst_unseen_one_is_what_progress_told():
    reports = []
    result = search(replace(CONFIG, defence="clair_former"), reports.append)
    assert result.attempts == tuple(report.attempt for report in reports)
    assert max(a.harm for a in result.attempts) == reports[-1].worst
    assert max(a.harm for a in result.attempts if a.unseen) == reports[-1].hidden


def test_suspicion_is_the_attacker_s_highest_score_over_the_highest_honest_one():
    plan = AttackPlan((Tactic(size=5),))
    problem = sample_problem(SPEC, plan)
    held = problem.contaminated
    kinds = detect_updates(problem.updates, SPEC.rank).evidence
    expected = max(kind.scores[held].max() / kind.scores[~held].max() for kind in kinds)
    assert evaluate(plan, SPEC, "fedavg").suspicion == pytest.approx(expected)
    assert evaluate(plan, SPEC, "clair", 3).suspicion == pytest.approx(expected)
    assert expected > 5
    assert evaluate(AttackPlan((Tactic(noise=0),)), SPEC, "median").suspicion < 1


# -- the rule of before, and what each part of the present one is for ----------------------------


def struck(plan, seed, held=8):
    return strike(Scenario(ProblemSpec(poisoned_fraction=held / 20, seed=seed), plan=plan))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("key", "today", "former"), [("masking", 8, 1), ("captured", 8, 0), ("noiseless", 8, 0)]
)
def test_the_former_rule_is_deceived_where_the_present_one_is_not(key, today, former, seed):
    found = struck(GALLERY[key].plan, seed)
    assert len(found.fates()["caught"]) == today
    assert len(found.fates("former")["caught"]) == former
    assert abs(found.prices["clair"].cost) < 0.05
    assert found.prices["clair_former"].cost > 0.2
    assert found.score == 0


def test_noise_gives_the_noiseless_away_to_the_former_rule_too():
    (tactic,) = GALLERY["noiseless"].plan.tactics
    found = struck(AttackPlan((replace(tactic, noise=1),)), 1)
    assert len(found.fates("former")["caught"]) == 8


def test_inside_nobody_is_caught_and_only_averages_pay():
    found = struck(GALLERY["flip"].plan, 1)
    assert not found.flagged().any()
    assert not found.flagged("former").any()
    assert found.prices["clair"].cost < 0.02
    assert found.prices["fedavg"].cost > 0.2


def test_a_majority_has_the_honest_flagged():
    plan = AttackPlan((Tactic(own=0, size=1, directions=3, alike=0.7),))
    found = struck(plan, 1, held=11)
    assert len(found.held) == 20
    np.testing.assert_array_equal(found.flagged(), ~found.held)
    assert found.prices["clair"].cost > 0.5


def test_without_attackers_the_former_rule_accuses_nobody():
    for seed in range(5):
        problem = sample_problem(replace(SPEC, seed=seed, poisoned_fraction=0))
        assert not former_evidence(problem.updates, 3).flagged.any()


def test_a_strike_has_the_prices_that_the_search_would_measure():
    plan = GALLERY["one_direction"].plan
    found = strike(Scenario(SPEC, rank=3, plan=plan))
    for key in set(ROWS) & set(DEFENCES):
        assert found.prices[key].attacked == pytest.approx(evaluate(plan, SPEC, key, 3).harm), key
        assert found.prices[key].alone == pytest.approx(harm_without(SPEC, key, 3)), key
    assert found.prices["local"].cost == pytest.approx(0)


# -- the record that ships -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def record():
    return read_record(json.loads((ASSETS / "redteam" / "record.json").read_text("utf-8")))


def test_the_record_is_of_this_gallery_and_these_defences(record):
    assert record.config == RECORD_CONFIG
    assert set(record.cells) == {(a, d) for a in GALLERY for d in DEFENCES}
    assert set(record.alone) == set(record.found) == set(record.attempts) == set(DEFENCES)


@pytest.mark.parametrize(
    ("attack", "defence"),
    [("masking", "clair_former"), ("copies", "clair"), ("shift", "krum"), ("flip", "fedavg")],
)
def test_a_sample_of_the_record_computed_again_is_the_same(record, attack, defence):
    again, kept = cell(record.config, attack, defence), record.cells[attack, defence]
    assert (again.harm, again.caught) == pytest.approx((kept.harm, kept.caught), rel=1e-4)
    assert alone(record.config, defence) == pytest.approx(record.alone[defence], rel=1e-4)
    found = record.found[defence]
    spec = replace(record.config.search.spec, seed=found.seed)
    trial = evaluate(found.plan, spec, defence)
    assert not (trial.flagged & trial.held).any()
    assert trial.harm > 0.99 * found.harm


def test_a_search_of_the_record_begins_the_same_way_again(record):
    begun = []
    search(record.config.config_of("median"), begun.append, lambda: len(begun) >= 40)
    for now, kept in zip(begun, record.attempts["median"], strict=False):
        assert now.attempt.plan == kept.plan
        assert now.attempt.unseen == kept.unseen
        assert now.attempt.harm == pytest.approx(kept.harm, rel=1e-3)
        assert now.attempt.suspicion == pytest.approx(kept.suspicion, rel=1e-3)
