"""Federated digits: images, federation, poison, the round of a federation, and the commands."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from clair.federated import Cancelled
from clair.federated.digits import ATTACKS, OPENING, DigitsConfig, DigitsResult, run_digits
from clair.federated.digits.data import (
    N_CLASSES,
    TARGET,
    load_split,
    make_federation,
    with_patch,
)
from clair.federated.digits.model import load_base_model
from clair.federated.digits.precompute import RESULT
from clair.federated.digits.pretrain import CONFIG, accuracy
from clair.federated.digits.run import DigitsTask
from clair.federated.lora import ClientUpdates
from clair.federated.progress import JobClock
from clair.federated.regression import RegressionConfig, run_regression
from clair.federated.round import Plan, federate, own_tests, train_adapters
from clair.federated.shares import Share, halves, whole
from clair.federated.sharing import voters
from clair.federated.training import Schedule
from clair.method.fit import fit
from clair.method.updates import LoraFactors

CPU = torch.device("cpu")
SHORT = DigitsConfig(n_clients=6, steps=4, seed=2)


@pytest.fixture(scope="module")
def default() -> DigitsResult:
    return run_digits(OPENING)


# -- images and base model ---------------------------------------------------------------------


def test_the_images_are_the_whole_set_in_three_disjoint_parts():
    split = load_split()
    parts = (split.pretrain, split.clients, split.test)
    assert [len(part.digits) for part in parts] == [600, 847, 350]
    together = np.concatenate([part.pixels for part in parts])
    assert len(np.unique(together, axis=0)) == 1797  # no image twice, so none in two parts
    assert together.min() == 0
    assert together.max() == 1
    counts = np.bincount(np.concatenate([part.digits for part in parts]))
    assert counts.min() >= 174
    assert counts.max() <= 183


def test_the_base_model_reads_as_recorded():
    record = json.loads(RESULT.with_name("base.json").read_text())
    assert {key: record[key] for key in CONFIG} == CONFIG
    read = accuracy(load_base_model(CPU), load_split().test)
    assert read == pytest.approx(record["held_out_accuracy"], abs=0.006)
    assert read > 0.95


def test_source_and_licence_are_recorded():
    words = RESULT.with_name("README.md").read_text()
    for needed in ("Alpaydin", "10.24432/C50P49", "CC BY 4.0", "scikit-learn", "make_images.py"):
        assert needed in words


# -- federation --------------------------------------------------------------------------------


def test_clients_permute_the_disputed_names_only():
    config = DigitsConfig(disputed=4, poisoned_fraction=0.0, seed=5)
    codes = make_federation(config).codes
    moved = np.flatnonzero((codes != np.arange(N_CLASSES)).any(axis=0))
    assert 2 <= len(moved) <= 4
    np.testing.assert_array_equal(np.sort(codes, axis=1), np.tile(np.arange(10), (16, 1)))
    assert len(np.unique(codes, axis=0)) > 4
    alike = make_federation(replace(config, disputed=0)).codes
    assert (alike == np.arange(N_CLASSES)).all()


@pytest.mark.parametrize("attack", [key for key in ATTACKS if key != "sign_flip"])
def test_poison_touches_contaminated_clients_only(attack):
    clean = make_federation(replace(SHORT, poisoned_fraction=0.0))
    bad = make_federation(replace(SHORT, attack=attack))
    assert bad.contaminated.sum() == SHORT.n_poisoned == 2
    for k, poisoned in enumerate(bad.contaminated):
        assert np.array_equal(clean.labels[k], bad.labels[k]) == (not poisoned)
        changed = (clean.pixels[k] != bad.pixels[k]).any(axis=1)
        assert changed.sum() == (SHORT.n_local // 2 if poisoned and attack == "backdoor" else 0)
        if changed.any():
            assert (bad.labels[k][changed] == TARGET).all()
            np.testing.assert_array_equal(
                bad.pixels[k][changed], with_patch(bad.pixels[k])[changed]
            )


def test_colluders_agree_and_flippers_do_not():
    config = DigitsConfig(disputed=0, poisoned_fraction=0.4, n_local=60, seed=1)
    honest = make_federation(replace(config, poisoned_fraction=0.0)).labels

    def maps(attack):
        bad = make_federation(replace(config, attack=attack))
        found = []
        for k in np.flatnonzero(bad.contaminated):
            pairs = {(int(a), int(b)) for a, b in zip(honest[k], bad.labels[k], strict=True)}
            assert all(a != b for a, b in pairs)
            assert len(pairs) == len({a for a, _ in pairs})  # a map: one name for each
            found.append(dict(pairs))
        return found

    colluding = maps("colluders")
    joint = {a: b for one in colluding for a, b in one.items()}
    assert all(one[a] == joint[a] for one in colluding for a in one)
    flipped = maps("label_flip")
    assert len({(one[a] - a) % 10 for one in flipped for a in list(one)[:1]}) > 1


def test_skew_makes_one_sided_clients():
    even = make_federation(DigitsConfig(seed=3)).mix
    skewed = make_federation(DigitsConfig(seed=3, skew=0.1))
    assert (even == 0.1).all()
    np.testing.assert_allclose(skewed.mix.sum(axis=1), 1)
    assert np.median(skewed.mix.max(axis=1)) > 0.4


# -- runs --------------------------------------------------------------------------------------


def test_the_default_run_finds_the_poisoned_and_serves_the_honest(default):
    means = {key: float(value.accuracy.mean()) for key, value in default.accuracy.items()}
    assert default.detection.exact
    assert min(means["clair"], means["clair_eb"]) > means["local"] + 0.01
    assert means["clair"] > max(means["fedavg"], means["fedavg_finetuned"], means["base"])
    assert 0 < means["local"] < 1
    assert default.loss_history[-1].max() < default.loss_history[0].min() * 5


def test_the_page_opens_with_exactly_this_run(default):
    payload = json.loads(RESULT.read_text())
    assert DigitsConfig(**payload["config"]) == OPENING
    assert payload["flagged"] == (np.flatnonzero(default.flagged) + 1).tolist()
    assert tuple(payload["degrees"]) == default.degrees
    for method, numbers in payload["accuracy"].items():
        assert default.mean(method, "accuracy") == pytest.approx(numbers["accuracy"], abs=0.02)


def test_flips_are_the_difference_of_the_accuracies(default):
    for method, flips in default.flips.items():
        gain = default.mean("clair", "accuracy") - default.mean(method, "accuracy")
        assert (flips.to_right - flips.to_wrong) / flips.total == pytest.approx(gain, abs=1e-6)
        assert min(flips.to_right, flips.to_wrong) >= 0


def test_samples_show_what_the_numbers_count(default):
    assert len(default.samples) == 12
    codes = make_federation(DigitsConfig()).codes
    for sample in default.samples:
        assert not default.contaminated[sample.client]
        assert sample.expected == codes[sample.client, sample.digit]
        right = {key: read == sample.expected for key, read in sample.readings.items()}
        assert right["local"] != right["clair"]


def test_same_config_same_bytes():
    first, again = run_digits(SHORT), run_digits(SHORT)
    assert first.loss_history.tobytes() == again.loss_history.tobytes()
    left, right = first.to_json(), again.to_json()
    left.pop("seconds"), right.pop("seconds")
    assert left == right


def test_a_boosted_backdoor_owns_the_average_and_not_clair():
    config = DigitsConfig(attack="backdoor", boost=5.0, poisoned_fraction=0.4, seed=1)
    result = run_digits(config)
    assert result.mean("fedavg", "backdoor") > 0.9
    assert result.mean("clair", "backdoor") < 0.1
    assert result.mean("base", "backdoor") < 0.1
    assert "the backdoor works on" in result.summary()


def test_without_dispute_averaging_the_honest_wins_and_many_disputes_favour_staying_alone():
    alike = run_digits(DigitsConfig(disputed=0, seed=1))
    assert alike.mean("fedavg_benign", "accuracy") > alike.mean("clair", "accuracy")
    many = run_digits(DigitsConfig(disputed=7, seed=1))
    assert many.mean("local", "accuracy") > many.mean("clair_eb", "accuracy")


def test_a_flagged_client_sends_what_the_boost_makes_of_its_update():
    config = replace(SHORT, attack="sign_flip", boost=4.0)
    task = DigitsTask(config, make_federation(config), CPU)
    assert sorted(set(task.factors)) == [-4.0, 1.0]
    assert ((task.factors == -4.0) == task.contaminated).all()


# -- the round every trained task runs through -------------------------------------------------


def plan(**options):
    return Plan(
        lora_rank=4, schedule=Schedule(4, 5e-3), seed=0, rank=2, **{"finetune_steps": 0, **options}
    )


def test_a_round_leaves_the_model_as_it_was_and_no_finetuning_is_fedavg():
    task = DigitsTask(SHORT, make_federation(SHORT), CPU)
    pixels = torch.from_numpy(load_split().test.pixels[:20])
    before = task.model(pixels)
    done = federate(task, plan(), JobClock({"train": 1, "clair": 1, "evaluate": 1}))
    torch.testing.assert_close(task.model(pixels), before, rtol=0, atol=0)
    fedavg, tuned = done.estimates["fedavg"], done.estimates["fedavg_finetuned"]
    np.testing.assert_array_equal(fedavg["head"], tuned["head"])
    np.testing.assert_allclose(
        fedavg["head"][0], done.estimates["local"]["head"].mean(axis=0), atol=1e-12
    )
    assert done.accuracy["base"].accuracy.shape == ((~task.contaminated).sum(),)


def test_finetuning_lowers_the_loss_of_the_average():
    task = DigitsTask(SHORT, make_federation(SHORT), CPU)
    clock = JobClock({"train": 1, "clair": 1, "finetune": 1, "evaluate": 1})
    done = federate(task, plan(finetune_steps=30), clock)
    losses = {}
    for method in ("fedavg", "fedavg_finetuned"):
        attached = ClientUpdates(task.model, done.estimates[method])
        everybody = task.examples([whole(np.arange(SHORT.n_clients), task.n_local)])
        losses[method] = everybody.losses().numpy()[~task.contaminated]
        attached.remove()
    assert (losses["fedavg_finetuned"] < losses["fedavg"]).all()


def test_the_choice_to_share_rests_on_training_data_alone(monkeypatch):
    """Check that held-out data, whatever they say, change neither tests nor choice."""
    config = DigitsConfig(n_clients=8, steps=20, seed=2)
    task = DigitsTask(config, make_federation(config), CPU)
    clock = {"train": 1, "clair": 1, "evaluate": 1}
    before = federate(task, plan(), JobClock(clock))
    one, other = halves(np.arange(8), 16)
    assert not (one.examples[:, :, None] == other.examples[:, None]).any()
    monkeypatch.setattr(task, "scores", lambda: before.accuracy["base"])
    task._test = task._marked = torch.zeros_like(task._test)
    after = federate(task, plan(), JobClock(clock))
    assert before.sharing == after.sharing
    assert set(before.tests) == set(before.candidates)
    assert all(values.shape == (before.sharing.n_clients,) for values in before.tests.values())


def test_clients_test_on_the_half_they_did_not_train_on():
    task = DigitsTask(SHORT, make_federation(SHORT), CPU)
    shares = halves(np.arange(SHORT.n_clients), task.n_local)
    schedule, clock = Schedule(60, 1e-2), JobClock({"train": 1})
    trained = train_adapters(task, plan(), schedule, clock, "train", shares)[0]["head"]
    one, other = (
        {"head": LoraFactors(B=trained.B[part], A=trained.A[part])}
        for part in (slice(0, SHORT.n_clients), slice(SHORT.n_clients, None))
    )
    found = fit(one, rank=2)
    who = voters(found)

    def errors(sent, share):
        attached = ClientUpdates(task.model, {"head": sent["head"].dense()[who]})
        with torch.no_grad():
            found = task.examples([Share(who, share.examples[who])]).errors().numpy()
        attached.remove()
        return found

    unseen = (errors(one, shares[1]) + errors(other, shares[0])) / 2
    seen = (errors(one, shares[0]) + errors(other, shares[1])) / 2
    tests = own_tests(task, found, shares, (one, other))
    np.testing.assert_allclose(tests["local"], unseen, atol=1e-6)
    assert seen.mean() < unseen.mean() - 0.05


def test_one_example_a_client_leaves_nothing_to_test_on():
    task = DigitsTask(SHORT, make_federation(SHORT), CPU)
    task._pixels, task._labels = task._pixels[:, :1], task._labels[:, :1]
    done = federate(task, plan(), JobClock({"train": 1, "clair": 1, "evaluate": 1}))
    assert done.sharing.chosen == "local"
    assert done.tests == {}


def test_progress_never_falls_and_names_every_stage():
    seen = []
    run_digits(SHORT, progress=seen.append)
    fractions = [one.fraction for one in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert list(dict.fromkeys(one.stage for one in seen)) == [
        "prepare",
        "train",
        "clair",
        "finetune",
        "evaluate",
    ]
    assert all(one.losses is not None for one in seen if one.stage == "train" and one.step)


@pytest.mark.parametrize("stage", ["prepare", "train", "clair", "finetune", "evaluate"])
def test_cancelling_works_at_every_stage(stage):
    seen = []
    with pytest.raises(Cancelled):
        run_digits(
            SHORT, progress=seen.append, cancelled=lambda: bool(seen) and seen[-1].stage == stage
        )
    assert seen[-1].stage == stage


# -- one form for every task -------------------------------------------------------------------


def test_an_outcome_survives_its_json(default):
    payload = json.loads(json.dumps(default.shown_json()))
    again, light = type(default).from_json(payload), default.light()
    np.testing.assert_allclose(
        again.accuracy["clair"].backdoor, default.accuracy["clair"].backdoor, atol=1e-5
    )
    assert again.config == default.config
    assert again.samples == default.samples == light.samples
    assert again.flips == default.flips
    assert again.detection == light.detection == default.detection
    assert again.summary() == light.summary() == default.summary()
    assert json.loads(json.dumps(light.shown_json())) == payload == again.shown_json()
    assert not hasattr(light.fit, "refined")


def test_tasks_agree_in_form(default):
    regression = run_regression(RegressionConfig(n_clients=8)).to_json()
    digits = json.loads(json.dumps(default.to_json()))
    shared = set(regression) - {"sizes", "preliminary_error"}
    assert shared <= set(digits)
    for payload in (regression, digits):
        for numbers in payload["accuracy"].values():
            assert all(f"{name}_sd" in numbers for name in numbers if not name.endswith("_sd"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_clients": 3}, "n_clients must be at least 4, got 3"),
        ({"disputed": 11}, "disputed must be at most 10, got 11"),
        ({"boost": 0.5}, r"boost must be in \[1, 100\], got 0.5"),
        ({"skew": 0.0}, "skew must be greater than 0, got 0"),
        ({"layers": "none"}, "layers must be one of .*'head'.*, got 'none'"),
        ({"poisoned_fraction": 0.5}, r"poisoned_fraction must be in \[0, 0.5\), got 0.5"),
    ],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        DigitsConfig(**options)


# -- commands ----------------------------------------------------------------------------------
