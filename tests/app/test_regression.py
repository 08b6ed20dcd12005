"""The regression page from state to state: slider, view, address, preset, Reset."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from clair.app.pages import regression
from clair.federated.regression import ATTACKS
from tests.app.elements import charts, sentence, visit

FOUND, CLAIR, BEST, DIRECTIONS = range(4)


def page(**params: str) -> AppTest:
    """Open the page at that address as a fresh visitor."""
    return visit("regression", **params)


def numbers(app: AppTest) -> list[str]:
    return [*(metric.value for metric in app.metric), sentence(app)]


def test_first_paint_is_a_real_result() -> None:
    app = page()
    assert app.title[0].value == "Regression"
    assert numbers(app)[FOUND] == "6 of 6"
    assert "flagged all 6 poisoned clients and no honest one" in sentence(app)
    assert len(charts(app)) == 2
    assert dict(app.query_params) == {}


def test_slider_changes_the_numbers_and_reset_brings_them_back() -> None:
    app = page()
    before = numbers(app)
    app.slider(key="reg_noise").set_value(2.0).run()
    noisier = numbers(app)
    assert float(noisier[CLAIR]) > float(before[CLAIR])
    app.select_slider(key="reg_samples").set_value(160).run()
    assert float(numbers(app)[CLAIR]) < float(noisier[CLAIR])
    app.button(key="regression_reset").click().run()
    assert numbers(app) == before
    assert dict(app.query_params) == {}


def test_only_the_view_looked_at_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    small = regression.sample_curves
    monkeypatch.setattr(
        regression,
        "curves",
        lambda config: asked.append(config) or small(config, samples=(16, 64, 250), draws=1),
    )
    app = page(reg_clients="8")
    assert asked == []
    app.segmented_control(key="reg_view").set_value("samples").run()
    assert not app.exception
    assert len(asked) == 1
    assert len(charts(app)) == 4
    assert any("samples a client" in m.value for m in app.markdown)
    app.segmented_control(key="reg_view").set_value("verdict").run()
    assert len(charts(app)) == 3
    assert len(asked) == 1


def test_our_options_make_and_unmake_their_row() -> None:
    app = page()
    assert numbers(app)[BEST] < numbers(app)[CLAIR]
    app.toggle(key="reg_refit").set_value(False).run()
    app.toggle(key="reg_own").set_value(False).run()
    assert "once they go back to their own data" not in sentence(app)


def test_an_address_opens_exactly_that_screen() -> None:
    app = page(reg_attack="sign_flip", reg_screen="true", reg_seed="5", reg_view="verdict")
    assert app.selectbox(key="reg_attack").value == "sign_flip"
    assert app.number_input(key="reg_seed").value == 5
    assert numbers(app)[FOUND] == "6 of 6"
    app.toggle(key="reg_screen").set_value(False).run()
    assert numbers(app)[FOUND] == "0 of 6"
    assert "missed all 6 poisoned clients" in sentence(app)


def test_strength_reaches_ten() -> None:
    at = page(reg_strength="10", reg_clients="8")
    assert at.slider(key="reg_strength").value == 10
    assert "no honest one" in sentence(at)


def test_presets_are_whole_screens_with_a_true_promise() -> None:
    app = page(reg_noise="2.5")
    app.button(key="regression_preset_lonely").click().run()
    assert app.slider(key="reg_noise").value == 1.0
    assert "rose" in sentence(app)
    app.button(key="regression_preset_same").click().run()
    assert "would have been better here" in sentence(app)


@pytest.mark.parametrize("preset", regression.PRESETS, ids=lambda p: p.key)
def test_every_preset_is_a_valid_screen(preset) -> None:
    values = {control.key: control.default for control in regression.SCREEN} | dict(preset.values)
    for control in regression.SCREEN:
        assert control.valid(values[control.key]), control.key
    assert regression.config_of(values).attack in ATTACKS
