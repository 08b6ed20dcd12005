"""The text-copying page from state to state, with a fast stand-in for the training."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import clair.federated.copytask as copytask
from clair.app.pages import copying
from clair.app.pages import copying_vocabulary as copying_words
from clair.federated import Cancelled, MethodAccuracy, Sample, TrainingProgress
from clair.federated.copytask import OPENING, CopyTaskConfig, CopyTaskResult
from clair.federated.copytask.data import make_federation
from clair.jobs import JobPool, JobState
from clair.method.evidence import gap_rule
from clair.method.metrics import detection_scores
from tests.app.elements import charts, prose, visit

PAGE = "pages/copying.py"
PATIENCE = 20.0
METHODS = ("base", "local", "fedavg", "fedavg_finetuned", "clair", "clair_eb", "fedavg_benign")


def made_up_result(config: CopyTaskConfig) -> CopyTaskResult:
    """Make up a result in which CLAIR finds the truth of the federation without a mistake."""
    truth = make_federation(config).contaminated
    rng = np.random.default_rng(config.seed)
    n_benign = int((~truth).sum())
    accuracy = {
        key: MethodAccuracy(np.full(n_benign, 0.9), rng.uniform(0.4, 0.6, n_benign))
        for key in METHODS
    }
    fit = SimpleNamespace(
        scores=np.where(truth, 1.5, 0.9),
        contamination_norms=np.where(truth, 16.0, 12.0),
        threshold=1.2,
        margin=1.6,
        benign=~truth,
        flagged=truth,
        degrees=tuple(np.where(truth, "flagged", "kept").tolist()),
        reasons=tuple(np.where(truth, "it stands out", "").tolist()),
        influence=(~truth).astype(float),
        evidence=(
            gap_rule("outside", np.where(truth, 1.5, 0.9)),
            gap_rule("norms", np.where(truth, 16.0, 12.0)),
        ),
        rank=4,
        notes=(),
    )
    return CopyTaskResult(
        config=config,
        device="CPU (1 thread)",
        seconds={"train": 1.0, "clair": 0.1, "evaluate": 0.5},
        contaminated=truth,
        fit=fit,  # type: ignore[arg-type]
        loss_history=np.geomspace(3.0, 0.1, config.steps)[:, None] * rng.uniform(1, 2, truth.size),
        accuracy=accuracy,
        samples=(Sample(0, "rose seed", "R0S3", dict.fromkeys(METHODS, "R0s3")),),
        detection=detection_scores(truth, truth),
    )


class Trainer:
    """Stands in for `run_copytask`: reports one step, then waits until told how to end."""

    def __init__(self) -> None:
        self.at_step = threading.Event()
        self.go_on = threading.Event()
        self.error: Exception | None = None
        self.configs: list[CopyTaskConfig] = []

    def __call__(
        self,
        config: CopyTaskConfig,
        *,
        progress: Callable[[TrainingProgress], None],
        cancelled: Callable[[], bool],
    ) -> CopyTaskResult:
        self.configs.append(config)
        losses = np.linspace(1, 2, config.n_clients)
        for step in (1, 2, 3):
            progress(TrainingProgress("train", step, config.steps, 0.25, 7.0, losses / step))
        self.at_step.set()
        assert self.go_on.wait(PATIENCE)
        if cancelled():
            raise Cancelled
        if self.error is not None:
            raise self.error
        return made_up_result(config)


@pytest.fixture
def trainer(pool: JobPool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainer]:
    stand_in = Trainer()
    monkeypatch.setattr(copytask, "run_copytask", stand_in)
    yield stand_in
    stand_in.go_on.set()


def open_page(**params: str) -> AppTest:
    """Open the page as a new visitor, with these parameters in the address."""
    return visit("copying", **params)


def run(at: AppTest, trainer: Trainer) -> str:
    """Press Run, wait until the training stands at its step, and return the job's id."""
    at.button(key="copying_run").click().run()
    assert trainer.at_step.wait(PATIENCE)
    at.run()
    assert not at.exception
    return str(at.query_params["job"])


def test_on_stage_one_thing_at_a_time(trainer):
    at = open_page(present="1")
    assert copying.PAGE.default_outcome().summary() in prose(at)
    assert not at.header
    parts = at.segmented_control(key="copying_part")
    assert len(charts(at)) == 2
    parts.set_value("How the clients learned").run()
    assert not at.exception
    assert list(charts(at)) == ["copying_losses"]
    at.segmented_control(key="copying_part").set_value("Where it does not hold").run()
    assert not charts(at)
    assert "fine-tun" in prose(at)


def test_first_paint_shows_the_precomputed_run(trainer):
    at = open_page()
    outcome = copying.PAGE.default_outcome()
    assert outcome.summary() in prose(at)
    assert "made beforehand" in prose(at)
    assert len(charts(at)) == 5
    assert not at.button(key="copying_run").disabled
    assert trainer.configs == []
    assert "job" not in at.query_params


def test_run_to_the_result_and_back_by_link(pool, trainer):
    at = open_page()
    job_id = run(at, trainer)
    assert trainer.configs == [OPENING]
    assert "5 of them poisoned: can you tell which?" in prose(at)
    assert "step 3 of 80 · about 7 s left" in prose(at)
    assert at.progress[0].value == 25
    assert len(charts(at)) == 1  # the live curves, and no older result beside them
    assert at.button(key="copying_run").disabled

    reloaded = open_page(job=job_id)  # a new session, as after a reload
    assert "about 7 s left" in prose(reloaded)
    assert not reloaded.button(key="copying_cancel").disabled

    trainer.go_on.set()
    pool.wait(job_id, timeout=PATIENCE)
    at.run()
    assert "CLAIR flagged all 5 poisoned clients and no honest one" in prose(at)
    assert "Below: your run" in prose(at)
    assert len(charts(at)) == 5
    assert not at.button(key="copying_run").disabled
    later = open_page(job=job_id)
    assert "Below: your run" in prose(later)


def test_the_result_stays_after_leaving_the_page(pool, trainer):
    at = open_page()
    job_id = run(at, trainer)
    at.switch_page("pages/overview.py").run()
    assert any("**Text copying:** 25%, 7 s left" in link.label for link in at.page_link)
    trainer.go_on.set()
    pool.wait(job_id, timeout=PATIENCE)
    at.run()
    assert any("the result is there" in link.label for link in at.page_link)
    at.switch_page(PAGE).run()
    assert "Below: your run" in prose(at)
    assert at.query_params["job"] == job_id
    at.switch_page("pages/overview.py").run()
    assert not any("Text copying:" in link.label for link in at.page_link)  # seen by now


def test_cancel_a_running_job(pool, trainer):
    at = open_page()
    job_id = run(at, trainer)
    at.button(key="copying_cancel").click().run()
    assert "Stopping at the next step" in prose(at)
    assert at.button(key="copying_cancel").disabled
    trainer.go_on.set()
    assert pool.wait(job_id, timeout=PATIENCE).state is JobState.CANCELLED
    at.run()
    assert "nothing of that run is kept" in prose(at)
    assert "made beforehand" in prose(at)
    assert not at.button(key="copying_run").disabled


def test_a_second_visitor_sees_the_position_and_is_served(pool, trainer):
    first = open_page()
    first_id = run(first, trainer)
    second = open_page(copy_seed="5")
    second.button(key="copying_run").click().run()
    assert "number 1 in the queue, 1 run before yours; starts in about 7 s" in prose(second)
    assert "5 of them poisoned, wait for their turn" in prose(second)
    assert "While you wait: a run made beforehand" in prose(second)
    third = open_page(copy_seed="6")
    third.button(key="copying_run").click().run()
    assert "number 2 in the queue, 2 runs before yours" in prose(third)
    second.button(key="copying_cancel").click().run()
    assert "nothing of that run is kept" in prose(second)
    third.run()
    assert "number 1 in the queue, 1 run before yours" in prose(third)
    trainer.go_on.set()
    pool.wait(first_id, timeout=PATIENCE)
    pool.wait(str(third.query_params["job"]), timeout=PATIENCE)
    third.run()
    assert "Below: your run" in prose(third)
    assert [config.seed for config in trainer.configs] == [0, 6]


def test_a_full_queue_says_so(pool, trainer):
    run(open_page(), trainer)
    for seed in ("1", "2"):
        open_page(copy_seed=seed).button(key="copying_run").click().run()
    late = open_page(copy_seed="3")
    late.button(key="copying_run").click().run()
    assert "This machine is busy: 2 runs are waiting already" in prose(late)
    assert "made beforehand" in prose(late)  # the page goes on showing a result
    late.run()
    assert "This machine is busy" not in prose(late)  # said once


def test_a_failure_is_told_without_a_traceback(pool, trainer):
    trainer.error = RuntimeError("/srv/weights")
    at = open_page()
    job_id = run(at, trainer)
    trainer.go_on.set()
    pool.wait(job_id, timeout=PATIENCE)
    at.run()
    assert "The run stopped on an error (RuntimeError)" in prose(at)
    assert "weights" not in prose(at)
    assert not at.exception
    assert not at.button(key="copying_run").disabled


def test_the_previous_result_stays_when_a_later_run_is_cancelled(pool, trainer):
    at = open_page()
    trainer.go_on.set()
    first = run(at, trainer)
    pool.wait(first, timeout=PATIENCE)
    at.run()
    trainer.go_on.clear()
    trainer.at_step.clear()
    at.slider(key="copy_clients").set_value(20).run()
    second = run(at, trainer)
    assert second != first
    at.button(key="copying_cancel").click().run()
    trainer.go_on.set()
    pool.wait(second, timeout=PATIENCE)
    at.run()
    assert "Below: your run" in prose(at)
    assert "clients 20 instead of 12" in prose(at)


def test_an_equal_result_is_reused_where_one_would_have_to_wait(pool, trainer):
    first = open_page()
    first_id = run(first, trainer)
    second = open_page()
    second.button(key="copying_run").click().run()
    trainer.go_on.set()
    pool.wait(first_id, timeout=PATIENCE)
    pool.wait(str(second.query_params["job"]), timeout=PATIENCE)
    second.run()
    assert "somebody had just run exactly these" in prose(second)
    assert len(trainer.configs) == 1


def test_an_unknown_job_in_the_address_is_explained(trainer):
    at = open_page(job="made-up")
    assert "is not kept any more" in prose(at)
    assert "job" not in at.query_params
    assert "made beforehand" in prose(at)
    assert not at.exception


def test_a_run_that_has_vanished_is_told_on_its_page_and_beside_the_others(pool, trainer):
    at = open_page()
    job_id = run(at, trainer)
    trainer.go_on.set()
    pool.wait(job_id, timeout=PATIENCE)
    pool.forget(job_id)
    at.switch_page("pages/lab.py").run()
    assert any("not kept any more" in link.proto.label for link in at.sidebar.get("page_link"))
    at.switch_page("pages/copying.py").run()
    assert "Your run is not kept any more" in prose(at)
    assert "job" not in at.query_params
    assert "Your run is not kept any more" not in prose(at.run())  # said once


def test_a_run_dropped_because_nobody_looked_says_so(pool, trainer, monkeypatch):
    at = open_page()
    job_id = run(at, trainer)
    monkeypatch.setattr(pool, "_clock", lambda: time.monotonic() + 301)
    pool.tidy()
    trainer.go_on.set()
    pool.wait(job_id, timeout=PATIENCE)
    at.run()
    assert "Nobody looked at this run for some minutes" in prose(at)


def test_changed_settings_are_pointed_out_and_reset(trainer):
    at = open_page()
    at.slider(key="copy_clients").set_value(24)
    at.toggle(key="copy_screen").set_value(True).run()
    assert "clients 24 instead of 12; coefficient screen (ours) on instead of off" in prose(at)
    assert "10 of the 24 are poisoned" in prose(at)
    assert "The run below had other settings. CLAIR flagged" in prose(at)
    at.button(key="copying_reset").click().run()
    assert "instead of" not in prose(at)
    assert "other settings" not in prose(at)
    assert "5 of the 12 are poisoned" in prose(at)


def test_the_truth_can_stay_hidden(trainer):
    at = open_page(copy_reveal="never")
    assert "CLAIR flagged clients" in prose(at)
    assert "Guess, then reveal it." in prose(at)
    assert copying.PAGE.default_outcome().summary() not in prose(at)
    assert "Every poisoned client" not in prose(at)
    at.button_group(key="copy_reveal").set_value("end").run()
    assert copying.PAGE.default_outcome().summary() in prose(at)


@pytest.mark.parametrize("preset", copying.PRESETS, ids=lambda preset: preset.key)
def test_presets_are_settings_that_can_be_run(trainer, preset):
    at = open_page()
    at.button(key=f"copying_preset_{preset.key}").click().run()
    assert not at.exception
    assert preset.look_for in prose(at)
    values = {control.key: at.session_state[control.key] for control in copying.CONTROLS}
    assert copying.PAGE.config_of(values) == copying.PAGE.config_of(
        {control.key: control.default for control in copying.CONTROLS} | dict(preset.values)
    )


def test_what_is_shown_survives_json():
    result = made_up_result(CopyTaskConfig(n_clients=8, seed=3))
    outcome = result.light()
    again = CopyTaskResult.from_json(result.shown_json())
    assert outcome.shown_json() == again.shown_json()
    np.testing.assert_array_equal(again.contaminated, result.contaminated)
    np.testing.assert_array_equal(again.flagged, result.flagged)
    np.testing.assert_allclose(again.loss_history, result.loss_history, atol=1e-4)
    assert list(again.accuracy) == list(METHODS)
    assert outcome.summary() == again.summary() == result.summary()


def test_caveats_say_where_clair_loses():
    result = made_up_result(CopyTaskConfig())
    fine = MethodAccuracy(np.full(9, 1.0), np.full(9, 0.99))
    outcome = CopyTaskResult(**{**vars(result), "accuracy": {**result.accuracy, "fedavg": fine}})
    notes = "\n".join(copying_words.caveats(outcome))
    assert "*FedAvg* is at least as good: 99%" in notes
    assert "invisible without the coefficient screen" in notes


def test_caveats_name_what_brings_fedavg_down():
    result = made_up_result(CopyTaskConfig())

    def notes(benign: float, everybody: float) -> str:
        worth = {"fedavg_benign": benign, "fedavg": everybody, "clair": 0.9, "clair_eb": 0.9}
        accuracy = dict(result.accuracy)
        for key, value in worth.items():
            accuracy[key] = MethodAccuracy(np.full(9, value), np.full(9, value))
        outcome = CopyTaskResult(**{**vars(result), "accuracy": accuracy})
        return "\n".join(copying_words.caveats(outcome))

    assert "mostly because clients differ" in notes(0.4, 0.38)
    assert "mostly to the poison" in notes(0.85, 0.1)
