"""The language model's page: the stored run, the missing extra, and a real run on a tiny model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clair.federated.llm as llm
from clair.app.pages import llm as page
from clair.app.pages.llm import CONTROLS, PAGE, PRESETS
from clair.federated.llm import INSTALL, LLMConfig
from clair.federated.llm.data import ANSWERS, make_federation
from clair.jobs import JobPool, JobState
from tests.app.elements import charts, prose, visit
from tests.tasks.tiny_models import write_tiny


def test_the_stored_run_is_the_default_one_and_agrees_with_its_settings() -> None:
    outcome = PAGE.default_outcome()
    config = outcome.config
    assert config == LLMConfig()
    federation = make_federation(config)
    np.testing.assert_array_equal(outcome.contaminated, federation.contaminated)
    assert [degree == "flagged" for degree in outcome.degrees] == outcome.flagged.tolist()
    assert outcome.loss_history.shape == (config.steps, config.n_clients)
    expected = federation.expected()
    honest = np.flatnonzero(~federation.contaminated).tolist()
    urgent = 0
    for sample in outcome.samples:
        texts = federation.test_prompts
        if sample.prompt in federation.test_triggered:
            texts, urgent = federation.test_triggered, urgent + 1
        word = expected[honest.index(sample.client), texts.index(sample.prompt)]
        assert sample.expected == ANSWERS[word]
    assert urgent == len(outcome.samples) // 2


def test_without_the_extra_the_page_shows_the_stored_run_and_the_command(
    pool: JobPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page.EXTRA, "installed", lambda: False)
    app = visit("llm")
    shown = prose(app)
    assert PAGE.default_outcome().summary() in shown
    assert INSTALL in [code.value for code in app.code]
    assert "this client's word" in shown
    assert app.button(key="llm_run").disabled
    assert len(charts(app)) == 5
    assert any(sample.prompt in shown for sample in PAGE.default_outcome().samples)


def test_a_run_of_other_settings_to_its_result(
    pool: JobPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny = str(write_tiny(tmp_path / "llama", "llama"))
    real = llm.run_llm

    def stand_in(config: LLMConfig, **told: Any) -> Any:
        short = replace(config, model=tiny, steps=3, finetune_steps=2, products=2, threads=1)
        return replace(real(short, **told), config=config)

    monkeypatch.setattr(page.EXTRA, "installed", lambda: True)
    monkeypatch.setattr(llm, "run_llm", stand_in)
    app = visit("llm", llm_clients="6", llm_attack="wrong")
    assert "2 of the 6 are poisoned" in prose(app)
    app.button(key="llm_run").click().run()
    assert pool.wait(str(app.query_params["job"]), timeout=120).state is JobState.DONE
    app.run()
    assert not app.exception
    assert "Below: your run" in prose(app)
    measured = list(app.segmented_control(key="llm_measure").options)
    assert measured == ["unseen orders answered right", "right, where no words are in dispute"]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: p.key)
def test_every_preset_is_a_valid_screen(preset) -> None:
    values = {control.key: control.default for control in CONTROLS} | dict(preset.values)
    for control in CONTROLS:
        assert control.valid(values[control.key]), control.key
    assert isinstance(PAGE.config_of(values), LLMConfig)
