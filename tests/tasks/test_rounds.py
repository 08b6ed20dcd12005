"""Several rounds: one is the round of old, clean ones stay clean, and averaging adds up."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from clair.federated.digits import DigitsConfig, DigitsResult, run_digits
from clair.federated.digits.data import make_federation
from clair.federated.digits.run import DigitsTask
from clair.federated.progress import JobClock
from clair.federated.round import Plan, federate
from clair.federated.rounds import _after_first, federate_rounds
from clair.federated.training import Schedule

CPU = torch.device("cpu")
SHORT = DigitsConfig(n_clients=8, steps=40, seed=5)
COSTS = {"train": 1.0, "clair": 1.0, "finetune": 1.0, "evaluate": 1.0}


def plan(steps: int, **options) -> Plan:
    schedule = Schedule(steps, 5e-3)
    return Plan(lora_rank=4, schedule=schedule, finetune_steps=steps, seed=0, rank=2, **options)


@pytest.fixture(scope="module")
def reports() -> list:
    return []


@pytest.fixture(scope="module")
def late(reports) -> DigitsResult:
    """Four rounds, poisoned from the third on."""
    config = DigitsConfig(n_clients=10, steps=60, rounds=4, poison_from=3, seed=1, n_samples=0)
    return run_digits(config, progress=reports.append)


def test_one_round_is_the_round_of_old():
    task = DigitsTask(SHORT, make_federation(SHORT), CPU)
    old = federate(task, plan(20), JobClock(COSTS))
    new, outcomes = federate_rounds([task], plan(20), JobClock(COSTS))
    assert outcomes == ()
    for method, scores in old.accuracy.items():
        np.testing.assert_array_equal(scores.accuracy, new.accuracy[method].accuracy)
        for name, part in old.estimates[method].items():
            np.testing.assert_array_equal(part, new.estimates[method][name])


def test_identical_honest_clients_gain_nothing_from_each_other_and_lose_nothing():
    """Whatever averages them has to give what one of them learns alone in twice the steps."""
    config = replace(SHORT, poisoned_fraction=0.0)
    federation = make_federation(config)
    for part in (federation.pixels, federation.labels):
        part[:] = part[0]
    task = DigitsTask(config, federation, CPU)
    once = federate(task, plan(20), JobClock(COSTS))
    alone = once.estimates["local_longer"]["head"]  # trained on for as many steps on its own
    twice, _ = federate_rounds([task, task], plan(20), JobClock(COSTS, rounds=2))
    for method in ("local", "fedavg", "median", "krum", "clair", "clair_published"):
        np.testing.assert_allclose(twice.estimates[method]["head"], alone, atol=1e-5)


def test_nobody_is_poisoned_before_their_round(late):
    assert late.contaminated.any()
    for one in late.rounds:
        np.testing.assert_array_equal(one.poisoned, late.contaminated & (one.number >= 3))
        flagged = np.array([degree == "flagged" for degree in one.degrees])
        np.testing.assert_array_equal(flagged, one.poisoned)
    honest = run_digits(replace(late.config, poisoned_fraction=0.0))
    everywhere = {}
    for k, one in enumerate(late.rounds):
        own = [one.accuracy[m].accuracy.mean() for m in ("fedavg", "clair", "krum")]
        clean = ~late.contaminated
        other = [honest.rounds[k].accuracy[m].accuracy[clean] for m in ("fedavg", "clair", "krum")]
        everywhere[one.number] = np.allclose(own, [np.mean(values) for values in other])
    assert everywhere == {1: True, 2: True, 3: False, 4: False}


def test_oracles_know_that_nobody_is_poisoned_yet(late):
    first, third = late.rounds[0].accuracy, late.rounds[2].accuracy
    np.testing.assert_array_equal(first["fedavg_benign"].accuracy, first["fedavg"].accuracy)
    assert third["fedavg_benign"].accuracy.mean() > third["fedavg"].accuracy.mean()


def test_what_pays_is_decided_where_models_have_seen_one_half_only(late):
    once = run_digits(replace(late.config, rounds=1, poison_from=1, poisoned_fraction=0.0))
    assert late.sharing == once.sharing


def test_flagged_clients_train_on_from_the_kept_average_and_others_from_their_own():
    config = replace(SHORT, n_clients=10, steps=60, seed=1)
    task = DigitsTask(config, make_federation(config), CPU)
    done = federate(task, plan(60), JobClock(COSTS))
    flagged = done.fit.flagged
    assert flagged.any()
    start = _after_first(done, task.contaminated)["clair"]
    mean = np.average(done.estimates["local"]["head"], axis=0, weights=done.fit.influence)
    np.testing.assert_allclose(start.common["head"], mean)
    np.testing.assert_allclose(start.own["head"][flagged], mean[None].repeat(flagged.sum(), 0))
    kept = done.estimates["clair"]["head"][~flagged]
    np.testing.assert_array_equal(start.own["head"][~flagged], kept)


def test_poison_costs_the_average_and_not_clair(late):
    assert late.detection.exact
    drop = [one.accuracy["fedavg"].accuracy.mean() for one in late.rounds]
    assert drop[2] < drop[1] - 0.02
    kept = [one.accuracy["clair"].accuracy.mean() for one in late.rounds]
    assert kept[2] > kept[1] - 0.02


def test_a_run_over_rounds_is_read_again_from_its_file(late):
    again = DigitsResult.from_json(json.loads(json.dumps(late.light().shown_json())))
    assert again.config == late.config
    assert again.summary() == late.summary()
    for one, other in zip(late.rounds, again.rounds, strict=True):
        assert (one.number, one.degrees, one.reasons) == (
            other.number,
            other.degrees,
            other.reasons,
        )
        np.testing.assert_array_equal(one.poisoned, other.poisoned)
        for method, scores in one.accuracy.items():
            np.testing.assert_allclose(scores.accuracy, other.accuracy[method].accuracy, atol=1e-5)


def test_progress_rises_through_all_rounds_and_curves_are_those_of_clair(late, reports):
    fractions = [one.fraction for one in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert list(dict.fromkeys(one.round for one in reports)) == [1, 2, 3, 4]
    losses = np.array([one.losses for one in reports if one.losses is not None])
    np.testing.assert_array_equal(losses, late.loss_history)


def test_poison_cannot_begin_after_the_last_round():
    with pytest.raises(ValueError, match="poison_from must be at most rounds, 2, got 3"):
        DigitsConfig(rounds=2, poison_from=3)
