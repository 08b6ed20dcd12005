"""The Subspace lab from state to state: slider, address, preset, Reset, impossible settings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from streamlit.testing.v1 import AppTest

from clair.app.kit.state import read
from clair.app.pages import lab as page
from clair.executors import Workers
from clair.simulation.sweeps.repeats import repeats_of
from clair.simulation.sweeps.run import run_sweep
from tests.app.elements import charts, sentence, visit

FOUND, ERROR, ANGLE, MARGIN = range(4)


def lab(**params: str) -> AppTest:
    """Open the lab at that address as a fresh visitor."""
    return visit("lab", **params)


def notes(app: AppTest) -> list[str]:
    """Read the passing notes on the screen."""
    return [toast.value.replace("\\", "") for toast in app.toast]


def numbers(app: AppTest) -> list[str]:
    """Read the four numbers and the sentence."""
    return [*(metric.value for metric in app.metric), sentence(app)]


def test_first_paint_is_a_real_result() -> None:
    app = lab()
    assert app.title[0].value == "Subspace lab"
    assert numbers(app)[FOUND] == "5 of 5"
    assert "flagged all 5 poisoned clients" in sentence(app)
    assert app.segmented_control(key="view").value == "split"
    assert not app.warning


def test_draws_are_run_kept_and_shown(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CLAIR_CACHE_DIR", str(tmp_path))
    small = {"clients": "8", "d_out": "12", "d_in": "12", "view": "Errors"}
    assert "This is one draw" in " ".join(c.value for c in lab(**small).caption)
    app = lab(**small, draws="10")
    assert app.button(key="lab_repeat").label == "Run"
    values = {c.key: app.session_state[c.key] for c in page.CONTROLS if c.key in app.session_state}
    config = repeats_of(page.scenario_of(read(page.CONTROLS) | values), 10)
    with ThreadPoolExecutor(1) as pool:
        run_sweep(config, workers=Workers(pool, 1))
    app.run()
    assert not app.exception
    assert "Over 10 draws" in " ".join(m.value for m in app.markdown)
    assert not [button for button in app.button if button.key == "lab_repeat"]
    assert app.query_params["draws"] in ("10", ["10"])


def test_slider_changes_the_numbers_and_reset_brings_them_back() -> None:
    app = lab()
    before = numbers(app)
    app.slider(key="noise").set_value(0.1).run()
    noisier = numbers(app)
    assert noisier[ERROR] != before[ERROR]
    assert float(noisier[ERROR]) > float(before[ERROR])
    app.slider(key="clients").set_value(12).run()
    assert numbers(app)[FOUND] == "3 of 3"
    app.button(key="lab_reset").click().run()
    assert numbers(app) == before
    assert app.slider(key="noise").value == 0.03
    assert dict(app.query_params) == {}


def test_an_address_opens_exactly_that_screen() -> None:
    app = lab(clients="9", seed="7", attack="Colluding", screen="true", use_rank="2", view="Errors")
    assert app.slider(key="clients").value == 9
    assert app.number_input(key="seed").value == 7
    assert app.selectbox(key="attack").value == "colluding"
    assert app.toggle(key="screen").value is True
    assert app.select_slider(key="use_rank").value == 2
    assert app.segmented_control(key="view").value == "errors"
    again = lab(**{key: str(value) for key, value in app.query_params.items()})
    assert numbers(again) == numbers(app)


def test_an_address_may_name_options_by_id() -> None:
    app = lab(attack="sign_flip", view="subspace")
    assert app.selectbox(key="attack").value == "sign_flip"
    assert app.segmented_control(key="view").value == "subspace"
    assert app.query_params["attack"] == "Sign flip"
    assert app.query_params["view"] == "Subspace"


@pytest.mark.parametrize(
    "params",
    [
        {"clients": "many", "noise": "-3", "attack": "telepathy", "seed": "-1"},
        {"clients": "1000000", "rank": "nan", "view": "", "screen": "maybe"},
        {"use_rank": "99", "threshold": "abc", "poisoned": "inf", "heterogeneity": "<script>"},
    ],
)
def test_bad_values_in_the_address_are_dropped(params: dict[str, str]) -> None:
    app = lab(**params)
    assert numbers(app) == numbers(lab())
    assert not [key for key in params if key in app.query_params]
    told = "".join(notes(app))
    for raw in params.values():
        assert f" = {raw} is ignored; it must be " in told
    app.run()
    assert not app.toast


def test_a_note_on_the_link_names_the_control_the_value_and_the_rule() -> None:
    (note,) = notes(lab(poisoned="7"))
    assert "Poisoned fraction = 7 is ignored; it must be a number from 0 to 0.6" in note
    assert not lab(poisoned="0.2").toast


def test_every_attack_can_be_shown_at_ten_times_an_honest_update() -> None:
    for attack in ("one_direction", "decoy", "echo"):
        app = lab(scale="10", attack=attack)
        assert app.slider(key="scale").value == 10
        assert app.selectbox(key="attack").value == attack
        assert not app.toast
        assert charts(app)


def test_a_threshold_that_keeps_nobody_leaves_a_page_that_says_so() -> None:
    app = lab(threshold="0.05", screen="true")
    assert not app.exception
    assert numbers(app)[FOUND].startswith("5 of 5")


def test_presets_set_the_screen_and_say_what_to_look_for() -> None:
    app = lab()
    app.slider(key="clients").set_value(30).run()
    app.button(key="lab_preset_blind").click().run()
    assert not app.exception
    assert app.slider(key="clients").value == 20
    assert app.selectbox(key="attack").value == "sign_flip"
    assert app.segmented_control(key="view").value == "subspace"
    assert dict(app.query_params) == {"attack": "Sign flip", "view": "Subspace"}
    assert numbers(app)[FOUND] == "0 of 5"
    assert any("Look for: attackers on the line" in caption.value for caption in app.caption)
    app.button(key="lab_preset_screened").click().run()
    assert numbers(app)[FOUND] == "5 of 5"


def test_a_link_knows_its_preset_and_view_at_once() -> None:
    app = lab(noise="0.0", view="solver")
    assert any("No noise: exact, and proven" in caption.value for caption in app.caption)
    app = lab(view="errors")
    assert not any("Look for" in caption.value for caption in app.caption)


def test_the_view_survives_a_detour_over_settings_without_a_result() -> None:
    app = lab(view="errors")
    app.slider(key="clients").set_value(3).run()
    assert app.warning
    app.slider(key="clients").set_value(20).run()
    assert app.segmented_control(key="view").value == "errors"
    assert app.query_params["view"] == "Errors"


def test_the_verdict_says_what_decided() -> None:
    def words(**options: str) -> str:
        app = lab(view="verdict", **options)
        return " ".join(str(e.value) for e in [*app.caption, *app.info, *app.metric])

    assert "the line lies in the widest gap" in words(detector="norms")
    assert "the line lies in the widest gap" not in words()
    assert "the threshold is the one you set" in words(threshold="0.5")
    assert "no gap between the scores is wide enough" in words(poisoned="0.0")
    screened = words(attack="sign_flip", screen="true")
    assert "Flagged by the coefficient screen alone: 2, 7, 10, 13, 16" in screened
    assert "1.0×" not in screened


def test_seed_and_options_matter() -> None:
    app = lab()
    before = numbers(app)
    app.number_input(key="seed").set_value(11).run()
    assert numbers(app)[ERROR:] != before[ERROR:]
    app.number_input(key="seed").set_value(0).run()
    assert numbers(app) == before
    app.segmented_control(key="pooling").set_value("eb").run()
    assert float(numbers(app)[ERROR]) < float(before[ERROR])
    app.number_input(key="threshold").set_value(0.1).run()
    assert "15 false alarms" in app.metric[FOUND].delta


@pytest.mark.parametrize("view", ["split", "verdict", "errors", "subspace", "solver"])
@pytest.mark.parametrize("options", [{}, {"solver": "IRLS", "side": "Input", "d_in": "20"}])
def test_every_view_draws(view: str, options: dict[str, str]) -> None:
    app = lab(view=view, **options)
    assert charts(app)


@pytest.mark.parametrize("view", ["split", "verdict", "errors", "subspace", "solver"])
def test_from_one_half_on_every_view_shows_what_happens(view: str) -> None:
    app = lab(view=view, poisoned="0.6", attack="Colluding")
    assert not app.warning
    assert "by definition" in sentence(app)
    assert numbers(app)[FOUND] == "0 of 12"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"rank": "8", "d_out": "4"}, "cannot be 8"),
        ({"clients": "3", "poisoned": "0.4"}, "Only 2 honest clients"),
    ],
)
def test_impossible_settings_are_explained_in_place(params: dict[str, str], words: str) -> None:
    app = lab(**params)
    assert words in app.warning[0].value
    assert not app.metric
    app.button(key="lab_reset").click().run()
    assert not app.warning
    assert numbers(app)[FOUND] == "5 of 5"
