"""The whole copy task on one small real run: progress, cancelling, determinism, results."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from clair.federated import Cancelled
from clair.federated.copytask import CopyTaskConfig, CopyTaskResult, run_copytask
from clair.federated.copytask import model as copytask_model
from clair.federated.copytask.data import apply_style, make_federation
from clair.federated.copytask.federated import CopyTask
from clair.federated.copytask.model import load_base_model
from clair.federated.copytask.pretrain import exact_match, sample_texts
from clair.federated.copytask.run import plan_of, stage_costs
from clair.federated.device import limited_threads, resolve_device
from clair.federated.progress import JobClock
from clair.federated.results import STAGE_LABELS, TrainingProgress
from clair.federated.round import MORE_TUNED, tampered, train_adapters
from clair.federated.shares import whole
from clair.methods import METHODS
from clair.sentences import detection_sentence

CPU = torch.device("cpu")
SMALL = CopyTaskConfig(n_clients=8, steps=40, n_test=8, n_samples=2, device="cpu")

# Need a client's own data in matrix form, or on halves of it.
ELSEWHERE = {"clair_halves", "clair_own", "pooled_benign"}
METHODS_HERE = [key for key in METHODS if key not in {*ELSEWHERE, *MORE_TUNED.values()}]


@dataclass
class Watched:
    """A run with everything it reported."""

    result: CopyTaskResult
    reports: list[TrainingProgress] = field(default_factory=list)


@pytest.fixture(scope="module")
def small_run() -> Watched:
    reports: list[TrainingProgress] = []
    return Watched(run_copytask(SMALL, progress=reports.append), reports)


def adapters(config):
    task = CopyTask(config, make_federation(config), load_base_model(CPU))
    plan, clock = plan_of(config), JobClock(stage_costs(config))
    everybody = [whole(np.arange(config.n_clients), config.n_local)]
    return train_adapters(task, plan, replace(plan.schedule, steps=5), clock, "train", everybody)[0]


def test_every_method_is_scored_on_the_benign_clients(small_run: Watched) -> None:
    result = small_run.result
    assert list(result.accuracy) == METHODS_HERE
    assert result.contaminated.sum() == SMALL.n_poisoned == 2
    for value in result.accuracy.values():
        for measure in (value.token, value.exact_match):
            assert measure.shape == (6,)
            assert ((measure >= 0) & (measure <= 1)).all()
    assert result.accuracy["base"].exact_match.max() == 0
    assert result.accuracy["local"].token.mean() > 0.7
    assert result.loss_history.shape == (40, 8)
    assert result.loss_history[-1].max() < 0.5 * result.loss_history[0].min()


def test_the_samples_are_held_out_texts_written_by_every_method(small_run: Watched) -> None:
    federation = make_federation(SMALL)
    assert len(small_run.result.samples) == 2
    for sample in small_run.result.samples:
        client = federation.clients[sample.client]
        assert not federation.contaminated[sample.client]
        assert sample.prompt == client.test_texts[0]
        assert sample.expected == apply_style(sample.prompt, client.style)
        assert list(sample.outputs) == METHODS_HERE
        # The base model copies verbatim: this is what there is to unlearn.
        assert sample.outputs["base"] == sample.prompt
        assert any(sample.outputs[key] != sample.prompt for key in ("local", "clair"))


def test_progress_only_moves_forward_and_passes_through_every_stage(small_run: Watched) -> None:
    reports = small_run.reports
    assert list(dict.fromkeys(report.stage for report in reports)) == list(STAGE_LABELS)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == pytest.approx(1)
    assert reports[-1].seconds_left == pytest.approx(0, abs=0.01)
    training = [report for report in reports if report.losses is not None]
    assert [report.step for report in training] == list(range(1, 41))
    np.testing.assert_array_equal([r.losses for r in training], small_run.result.loss_history)
    assert all(report.seconds_left > 0 for report in training)


@pytest.mark.parametrize("stage", ["train", "finetune", "evaluate"])
def test_cancelling_stops_at_that_very_step(stage: str) -> None:
    config = replace(SMALL, steps=6, finetune_steps=6, n_clients=4)
    seen = []

    def cancelled() -> bool:
        return bool(seen) and (seen[-1].stage, seen[-1].step) == (stage, 3)

    with pytest.raises(Cancelled):
        run_copytask(config, progress=seen.append, cancelled=cancelled)
    assert (seen[-1].stage, seen[-1].step) == (stage, 3)


def test_same_seed_same_bytes_and_another_seed_others() -> None:
    config = replace(SMALL, n_clients=4)
    with limited_threads(1):
        first, again, other = (
            adapters(config),
            adapters(config),
            adapters(replace(config, seed=config.seed + 1)),
        )
    for name, part in first.items():
        assert part.B.tobytes() == again[name].B.tobytes()
        assert part.A.tobytes() == again[name].A.tobytes()
        assert not np.allclose(part.B, other[name].B)


def test_update_attacks_change_what_contaminated_clients_send() -> None:
    for attack, factor in (("sign_flip", -1), ("scaled", 10), ("shift", 1)):
        config = replace(SMALL, n_clients=4, attack=attack)
        task = CopyTask(config, make_federation(config), load_base_model(CPU))
        updates = adapters(config)
        for name, sent in tampered(task, updates).items():
            expected = updates[name].dense()
            expected[task.contaminated] *= factor
            np.testing.assert_allclose(sent.dense(), expected)


def test_json_holds_what_scripts_rely_on(small_run: Watched) -> None:
    result = small_run.result
    numbers = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert {
        "config", "device", "seconds", "contaminated", "flagged", "precision", "recall", "f1",
        "contamination_norms", "accuracy",
    } <= set(numbers)  # fmt: skip
    assert {"train", "evaluate", "clair"} <= set(numbers["seconds"])
    assert numbers["contaminated"] == (np.flatnonzero(result.contaminated) + 1).tolist()
    assert len(numbers["contamination_norms"]) == 8
    for key, value in numbers["accuracy"].items():
        assert {"token", "exact_match", "exact_match_sd"} <= set(value)
        assert value["exact_match"] == pytest.approx(result.accuracy[key].exact_match.mean())
    assert numbers["config"]["seed"] == SMALL.seed
    assert numbers["device"] == "CPU (1 thread)"


def test_the_sentence_says_the_numbers(small_run: Watched) -> None:
    result = small_run.result
    sentence = result.summary()
    assert sentence.startswith(detection_sentence(result.detection, SMALL.n_clients))
    for key in ("clair", "clair_eb", "local", "fedavg"):
        assert f"{result.accuracy[key].exact_match.mean():.0%}" in sentence


def test_missing_weights_are_an_error_and_never_random_ones(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"python -m clair\.federated\.copytask\.pretrain"):
        load_base_model(CPU, tmp_path / "none.safetensors")


def test_foreign_weights_are_refused(tmp_path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "foreign.safetensors"
    save_file({"model.embed_tokens.weight": torch.zeros(81, 64)}, path)
    with pytest.raises(ValueError, match="weights must fit the architecture"):
        load_base_model(CPU, path)


def test_the_shipped_model_copies_as_its_record_says() -> None:
    record = json.loads(copytask_model.WEIGHTS.with_suffix(".json").read_text())
    assert record["architecture"] == copytask_model.ARCHITECTURE
    assert copytask_model.WEIGHTS.stat().st_size < 5e6
    model = load_base_model(CPU)
    assert sum(p.numel() for p in model.parameters()) == record["n_parameters"]
    texts = sample_texts(200, np.random.default_rng(99))
    assert exact_match(model, texts) >= record["reached"]["exact_match_sentences"] - 0.02


def test_threads_are_given_back_even_after_a_cancelled_job() -> None:
    before = torch.get_num_threads()
    with pytest.raises(Cancelled):
        run_copytask(replace(SMALL, threads=before + 1), cancelled=lambda: True)
    assert torch.get_num_threads() == before


def test_devices_that_are_not_there_are_refused() -> None:
    assert resolve_device("cpu") == CPU
    for name in ("cuda", "mps"):
        there = torch.cuda.is_available() if name == "cuda" else torch.backends.mps.is_available()
        if not there:
            with pytest.raises(ValueError, match=f"device must be .*got '{name}'"):
                resolve_device(name)


def test_bfloat16_asks_for_cuda() -> None:
    with pytest.raises(ValueError, match='precision "bfloat16" needs a CUDA device, got'):
        run_copytask(replace(SMALL, precision="bfloat16"))
