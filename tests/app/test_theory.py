"""State transitions of the Theory page."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from clair.app.kit.state import read
from clair.app.pages import lab, theory, theory_phase
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.sweeps.grid import METHODS, Axis, SweepConfig, cell_spec
from clair.simulation.sweeps.run import run_sweep
from clair.simulation.sweeps.trial import run_trial
from tests.app.elements import charts, sentence, visit


def open_page(**params):
    return visit("theory", **params)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep the sweeps of these tests apart from others."""
    monkeypatch.setenv("CLAIR_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("section", theory.SECTION.ids)
def test_every_section_opens_by_link_without_an_error_and_says_something(section):
    at = open_page(section=section)
    assert not at.exception
    assert at.segmented_control(key="section").value == section
    assert len(sentence(at)) > 40
    assert any("who showed it" in e.label for e in at.expander)


def test_window_follows_the_sliders_and_resets():
    at = open_page()
    first = sentence(at)
    assert "λ₀ lies inside" in first
    at.slider(key="th_uneven").set_value(0.6).run()
    assert "lies outside" in sentence(at)
    assert any("assumes even clients" in info.value for info in at.info)
    at.selectbox(key="th_attack").set_value("sign_flip").run()
    assert "window is empty" in sentence(at)
    at.button(key="theory_reset").click().run()
    assert sentence(at) == first


def test_noise_ends_exact_recovery_and_the_page_says_so():
    at = open_page()
    at.slider(key="th_exact_noise").set_value(0.02).run()
    assert not at.exception
    assert any("With noise nothing is exact" in info.value for info in at.info)


def test_certificate_says_what_failed():
    at = open_page(section="certificate")
    assert at.success
    assert not at.warning
    at.slider(key="th_lam").set_value(0.6).run()
    assert not at.success
    assert "No certificate" in at.warning[0].value
    assert "λ is too small" in at.warning[0].value
    assert "solver stopped" not in at.warning[0].value
    at.button(key="theory_preset_wrong_proof").click().run()
    assert "Proven optimal, and yet wrong" in sentence(at)


def test_impossible_settings_are_explained():
    at = open_page()
    at.slider(key="th_poisoned").set_value(0.45).run()
    at.slider(key="th_clients").set_value(3).run()
    assert not at.exception
    assert "honest clients would be left" in at.warning[0].value


@pytest.mark.parametrize("section", ["window", "certificate", "stable", "sets", "gain", "blind"])
def test_every_section_draws_a_lying_majority(section):
    at = open_page(section=section, th_poisoned="0.6")
    assert not at.exception
    assert charts(at)


def test_rank_that_fills_the_updates_is_explained():
    at = open_page()
    at.slider(key="th_d_out").set_value(4).run()
    at.slider(key="th_rank").set_value(4).run()
    assert not at.exception
    assert "nothing lies outside it" in at.warning[0].value


def test_link_to_a_section_s_own_control_counts_from_the_first_run():
    at = open_page(section="certificate", th_lam="0.6")
    assert any(c.value.startswith("**A proof that fails.**") for c in at.caption)
    at = open_page(section="sets", th_set_axis="attack_scale")
    assert "attack strength" in sentence(at)


def test_gain_turns_into_a_cost():
    at = open_page(section="gain")
    assert "Collaboration pays here by" in sentence(at)
    at.slider(key="th_off_subspace").set_value(1.0).run()
    assert "Here it costs" in sentence(at)


def test_blind_spots_name_what_helps():
    at = open_page(section="blind")
    assert "Coefficient screen raises the share found from 0% to 100%" in sentence(at)
    at.segmented_control(key="th_blind").set_value("noise").run()
    assert "nothing tried here does better" in sentence(at)


def test_phase_opens_on_the_shipped_diagram_and_other_axes_ask_for_a_run():
    at = open_page(section="phase")
    assert "of 500 settings" in sentence(at)
    assert "theory_run" not in [b.key for b in at.button]
    at.selectbox(key="th_measure").set_value("error").run()
    assert any("on the side it predicts" in c.value for c in at.caption)
    at.selectbox(key="th_y").set_value("noise").run()
    assert "must differ" in sentence(at)
    at.selectbox(key="th_y").set_value("rank").run()
    assert "Press Run" in sentence(at)
    assert at.button(key="theory_run").label == "Run"


def test_kept_cells_are_shown_and_continued():
    config = theory_phase.config_of(
        {c.key: c.default for c in theory.CONTROLS} | {"th_y": "rank", "th_grid": "coarse"}
    )
    calls = iter(range(1000))
    part = run_sweep(config, workers=1, cancelled=lambda: next(calls) >= 4)
    assert 0 < part.done.sum() < config.n_cells
    at = open_page(section="phase", th_y="rank", th_grid="coarse")
    assert at.button(key="theory_run").label == "Continue"
    assert any("4 cells are kept from before" in c.value for c in at.caption)


def test_damaged_and_unwritten_results_are_shown_and_said(cache):
    config = theory_phase.config_of(
        {c.key: c.default for c in theory.CONTROLS} | {"th_y": "rank", "th_grid": "coarse"}
    )
    calls = iter(range(1000))
    run_sweep(config, workers=1, cancelled=lambda: next(calls) >= 4)
    with (cache / "sweeps" / f"{config.digest}.jsonl").open("ab") as file:
        file.write(b"\xff\n" * 3)
    at = open_page(section="phase", th_y="rank", th_grid="coarse")
    assert "3 lines of it could not be read" in at.warning[0].value
    assert any("4 cells are kept from before" in c.value for c in at.caption)
    assert not at.run().warning
    shutil.rmtree(cache / "sweeps")
    (cache / "sweeps").write_text("in the way")
    calls = iter(range(1000))
    run_sweep(config, workers=1, cancelled=lambda: next(calls) >= 4)
    at.run()
    assert "not kept on disk" in at.warning[0].value
    assert any("4 cells are kept from before" in c.value for c in at.caption)


def test_cell_opens_in_the_lab_as_exactly_that_problem():
    at = open_page(section="phase")
    at.selectbox(key="theory_cell_noise").set_value(11)
    at.selectbox(key="theory_cell_attack_scale").set_value(8).run()
    config = theory_phase.config_of({c.key: c.default for c in theory.CONTROLS})
    cell = 8 * 20 + 11
    at.button(key="theory_open").click().run()
    assert not at.exception
    assert at.title[0].value == "Subspace lab"
    values = {c.key: at.session_state[c.key] for c in lab.CONTROLS if c.key in at.session_state}
    trial = theory_phase.interesting_trial(theory_phase.stored(config).result, cell)
    assert lab.spec_of(values) == cell_spec(config, cell, trial)
    assert values["use_rank"] == 3


@pytest.mark.parametrize("method", ["residual", "norms"])
def test_lab_shows_the_outcome_that_the_sweep_counted(method):
    config = SweepConfig(
        ProblemSpec(attack="colluding"),
        (Axis("noise", (0.05, 0.12, 0.19)), Axis("off_subspace", (0.0, 1.2))),
        2,
        METHODS[method],
    )
    for cell in range(6):
        values = theory_phase.lab_values(config, cell, 1)
        assert all(control.valid(values[control.key]) for control in lab.CONTROLS)
        result = lab.solve(lab.scenario_of(values))
        exact, f1, error = run_trial(config, cell, 1)
        assert (result.detection.exact, result.detection.f1) == (exact, f1)
        assert np.sin(np.radians(result.angles[-1])) == pytest.approx(error, abs=1e-6)


def test_strengths_reach_ten_times_an_honest_update():
    for values in (theory_phase.FINE["attack_scale"], theory_phase.FINE["attack_scale"][::2]):
        assert values[-1] == 10


def test_axes_keep_to_the_steps_of_the_lab():
    controls = {c.key: c for c in lab.SCENARIO}
    controls |= {c.key: c for c in lab.OPTIONS}
    for name, values in theory_phase.FINE.items():
        control = controls[(theory.SWEPT | theory.SWEPT_OPTIONS)[name]]
        assert all(control.valid(value) for value in values)
        if control.step is None:
            continue
        steps = (np.array(values) - control.low) / control.step
        assert steps == pytest.approx(np.round(steps), abs=1e-6)


def test_presets_are_valid_screens():
    known = {control.key: control for control in theory.CONTROLS}
    for preset in theory.PRESETS:
        for key, value in preset.values.items():
            assert known[key].valid(value), (preset.key, key)


def test_predicted_boundary_is_defined_wherever_a_cell_is():
    config = replace(
        theory_phase.config_of({c.key: c.default for c in theory.CONTROLS}),
        along=(Axis("rank", (1, 8)), Axis("n_clients", (6, 44))),
    )
    assert np.isfinite(theory_phase.boundary(config, "exact")).all()
    assert np.isfinite(theory_phase.boundary(config, "error")).all()
    assert read([theory.SECTION]) == {"section": "window"}
