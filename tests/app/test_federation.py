"""The page of a federation under Flower, where Flower need not be installed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clair import flower
from clair.app.kit import trained
from clair.app.pages import federation as page
from clair.app.pages.federation import PAGE, truth
from clair.flower import INSTALL, FlowerConfig, FlowerResult
from clair.jobs import JobPool, JobState
from tests.app.elements import charts, prose, visit


def test_the_stored_run_is_the_default_one_and_agrees_with_its_settings() -> None:
    outcome = PAGE.default_outcome()
    assert isinstance(outcome, FlowerResult)
    config = outcome.config
    assert config == FlowerConfig()
    np.testing.assert_array_equal(outcome.contaminated, truth(config))
    assert [one.number for one in outcome.rounds] == list(range(1, config.rounds + 1))
    assert outcome.loss_history.shape == (config.rounds * config.steps, config.n_clients)
    for one in outcome.rounds:
        np.testing.assert_array_equal(one.poisoned, truth(config) & (one.number >= 2))
        for scores in one.accuracy.values():
            assert scores.sent.shape == outcome.scored.shape
        for name, k in outcome.mishap_clients.items():
            number = config.mishaps[name]
            happens = one.number >= number if name == "leave" else one.number == number
            assert (one.degrees[k] == "set aside") == happens
            assert bool(one.reasons[k]) >= happens
    again = FlowerResult.from_json(outcome.shown_json())
    assert again.summary() == outcome.summary()


def test_without_flower_the_page_shows_the_stored_run_and_the_command(
    pool: JobPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page.EXTRA, "installed", lambda: False)
    app = visit("federation")
    assert not app.exception
    assert PAGE.default_outcome().summary() in prose(app)
    assert INSTALL in [code.value for code in app.code]
    assert app.button(key="federation_run").disabled
    assert len(charts(app)) == 3
    assert "did not answer" in prose(app)


def test_a_live_run_replaces_the_stored_one(pool: JobPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_in(config: FlowerConfig, **told: Any) -> FlowerResult:
        return replace(PAGE.default_outcome(), config=config)

    monkeypatch.setattr(page.EXTRA, "installed", lambda: True)
    monkeypatch.setattr(flower, "run_flower", stand_in)
    app = visit("federation", fed_rounds="1", fed_from="3")
    assert "train and send once" in prose(app)
    app.button(key="federation_run").click().run()
    job = pool.wait(str(app.query_params["job"]), timeout=60)
    assert job.state is JobState.DONE
    assert (job.config.rounds, job.config.poison_from) == (1, 1)
    app.run()
    assert "Below: your run" in prose(app)


def test_too_long_a_run_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained, "MOST_SECONDS", 1e-3)
    app = visit("copying", copy_rounds="5")
    assert app.button(key="copying_run").disabled
    assert "choose fewer rounds" in prose(app)
