"""The digits page from state to state; runs are real but short."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import clair.federated.digits as digits
from clair.app.pages.digits import CONTROLS, PAGE, PRESETS
from clair.federated.digits import OPENING, DigitsConfig
from clair.federated.sharing import CANDIDATES
from clair.jobs import JobPool, JobState
from tests.app.elements import charts, prose, visit

PATIENCE = 60.0
STEPS = 3


class Trainer:
    """`run_digits` with few steps, a pause in the middle, and any error wanted."""

    def __init__(self) -> None:
        self.real = digits.run_digits
        self.go_on = threading.Event()
        self.at_step = threading.Event()
        self.error: Exception | None = None
        self.configs: list[DigitsConfig] = []

    def __call__(
        self,
        config: DigitsConfig,
        *,
        progress: Callable[[Any], None],
        cancelled: Callable[[], bool],
    ) -> Any:
        self.configs.append(config)

        def pause(report: Any) -> None:
            progress(report)
            if report.stage == "train" and report.step == STEPS:
                self.at_step.set()
                assert self.go_on.wait(PATIENCE)
                if self.error is not None:
                    raise self.error

        result = self.real(replace(config, steps=STEPS), progress=pause, cancelled=cancelled)
        return replace(result, config=config)


@pytest.fixture
def trainer(pool: JobPool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainer]:
    stand_in = Trainer()
    monkeypatch.setattr(digits, "run_digits", stand_in)
    yield stand_in
    stand_in.go_on.set()


def open_page(**params: str) -> AppTest:
    return visit("digits", **params)


def press_run(app: AppTest, trainer: Trainer) -> str:
    app.button(key="digits_run").click().run()
    assert trainer.at_step.wait(PATIENCE)
    app.run()
    assert not app.exception
    return str(app.query_params["job"])


def test_first_paint_shows_the_precomputed_run(trainer: Trainer) -> None:
    app = open_page()
    outcome = PAGE.default_outcome()
    assert outcome.summary() in prose(app)
    assert "made beforehand" in prose(app)
    assert len(charts(app)) == 6
    assert sum(element.proto.body.count("<figure") for element in app.get("html")) == 12
    assert trainer.configs == []
    assert CANDIDATES[outcome.sharing.chosen] in prose(app)
    assert len(app.dataframe[0].value) == len(outcome.sharing.errors)
    assert "5 of the 16 are poisoned" in prose(app)


def test_run_to_the_result_and_back_by_link(pool: JobPool, trainer: Trainer) -> None:
    app = open_page(dig_clients="8", dig_attack="backdoor")
    assert "clients 8 instead of 16" in prose(app)
    job_id = press_run(app, trainer)
    assert trainer.configs == [replace(OPENING, n_clients=8, attack="backdoor")]
    assert "2 of them poisoned: can you tell which?" in prose(app)
    assert len(charts(app)) == 1
    assert app.button(key="digits_run").disabled
    trainer.go_on.set()
    assert pool.wait(job_id, timeout=PATIENCE).state is JobState.DONE
    app.run()
    assert not app.exception
    assert "Below: your run" in prose(app)
    assert "instead of" not in prose(app).split("**The settings")[-1].split("Run shows")[0]
    assert list(app.segmented_control(key="digits_measure").options) == [
        "held-out images read right",
        "marked images read as 0 (backdoor)",
    ]
    app.segmented_control(key="digits_measure").set_value("backdoor").run()
    assert not app.exception
    later = open_page(job=job_id)
    assert "Below: your run" in prose(later)


def test_cancel_and_failure_leave_the_page_whole(pool: JobPool, trainer: Trainer) -> None:
    app = open_page()
    job_id = press_run(app, trainer)
    app.button(key="digits_cancel").click().run()
    trainer.go_on.set()
    assert pool.wait(job_id, timeout=PATIENCE).state is JobState.CANCELLED
    app.run()
    assert "nothing of that run is kept" in prose(app)
    trainer.at_step.clear()
    trainer.error = RuntimeError("made up")
    job_id = press_run(app, trainer)
    assert pool.wait(job_id, timeout=PATIENCE).state is JobState.FAILED
    app.run()
    assert not app.exception
    assert len(app.error) == 1
    assert "made beforehand" in prose(app)


def test_the_truth_can_stay_hidden(trainer: Trainer) -> None:
    app = open_page()
    app.segmented_control(key="dig_reveal").set_value("never").run()
    assert "Guess, then reveal it" in prose(app)
    assert "Every poisoned client stands above" not in prose(app)
    app.segmented_control(key="dig_reveal").set_value("end").run()
    assert "Every poisoned client stands above" in prose(app)


def test_changed_settings_are_told_and_reset_takes_them_back(trainer: Trainer) -> None:
    app = open_page()
    app.select_slider(key="dig_skew").set_value(0.3).run()
    app.slider(key="dig_disputed").set_value(5).run()
    assert "skew of the mix of digits 0.3 instead of none" in prose(app)
    assert "digits in dispute 5 instead of 3" in prose(app)
    app.button(key="digits_reset").click().run()
    assert "instead of" not in prose(app)


def test_longer_runs_are_announced_as_longer() -> None:
    base = PAGE.expected_seconds(OPENING)
    assert PAGE.expected_seconds(replace(OPENING, n_clients=32)) > 1.5 * base


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: p.key)
def test_every_preset_is_a_valid_screen(preset) -> None:
    values = {control.key: control.default for control in CONTROLS} | dict(preset.values)
    for control in CONTROLS:
        assert control.valid(values[control.key]), control.key
    assert isinstance(PAGE.config_of(values), DigitsConfig)
