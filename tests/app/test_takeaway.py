"""The downloads of every page belong to the result that it shows."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from clair.app.kit.exports import link_to, screen_of
from clair.app.kit.page_list import PAGES
from clair.app.kit.state import Control
from clair.app.kit.trained import export_of
from clair.app.pages import copying, lab, regression
from clair.report.lab import lab_export
from clair.report.scenario import scenario_json
from clair.simulation.scenario import run_scenario
from tests.app.elements import visit

#: The lessons hand theirs out at the end of a course, see `test_lessons`.
RESULTS = [page.stem for page in PAGES if page.stem != "lessons"]


def open_page(page: str, **params: str) -> AppTest:
    return visit(page, **params)


def labels(app: AppTest) -> list[str]:
    return [button.proto.label for button in app.get("download_button")]


def codes(app: AppTest) -> list[str]:
    return [code.value for code in app.code]


@pytest.mark.parametrize("page", RESULTS)
def test_every_page_with_a_result_hands_it_out_in_the_same_way(page: str) -> None:
    app = open_page(page)
    assert not app.exception
    found = labels(app)
    assert found[0] == "Report"
    assert any(label.endswith("(CSV)") for label in found)
    assert found.count("All numbers (JSON)") == 1
    assert "import" in codes(app)[0]


def test_the_code_follows_the_controls() -> None:
    app = open_page("lab", clients="12")
    assert "ProblemSpec(n_clients=12)" in codes(app)[0]
    assert codes(app)[1] == "python -m clair simulate --clients 12"
    app.slider(key="noise").set_value(0.1).run()
    assert codes(app)[1] == "python -m clair simulate --clients 12 --noise 0.1"
    app.button(key="lab_reset").click().run()
    assert codes(app)[1] == "python -m clair simulate"


def test_nothing_is_handed_out_where_there_is_no_result() -> None:
    app = open_page("lab", clients="3", poisoned="0.4")
    assert app.warning
    assert labels(app) == []
    assert codes(app) == []


def test_a_run_is_handed_out_as_it_was_whatever_the_controls_say() -> None:
    app = open_page("copying", copy_seed="3")
    assert codes(app)[1] == "python -m clair copytask"  # the run made beforehand, seed 0
    outcome = copying.PAGE.default_outcome()
    report = export_of(copying.PAGE, outcome).report()
    assert report.sentence == outcome.summary()
    seeds = [s.value for s in report.screen.settings if s.label == "Seed"]
    assert seeds == ["0"]
    assert dict(report.made_with)["trained on"] == outcome.device


def test_files_of_the_lab_hold_the_numbers_of_the_page() -> None:
    values = {control.key: control.default for control in lab.CONTROLS}
    values |= {"attack": "colluding", "pooling": "eb", "d_in": 20, "seed": 5}
    result = run_scenario(lab.scenario_of(values))
    parcel = lab_export(result, screen_of("lab", lab.CONTROLS, values, lab.ALL_GROUPS))
    assert json.loads(parcel.json()) == json.loads(json.dumps(scenario_json(result)))
    for title in parcel.tables:
        assert len(parcel.csv(title).splitlines()) > 10
    page = parcel.html()
    assert "/lab?attack=Colluding&amp;d_in=20&amp;seed=5&amp;pooling=On" in page
    assert page.count("<div class='plot'") == 11


def test_a_link_opens_the_screen_it_was_made_of() -> None:
    values = {control.key: control.default for control in regression.SCREEN}
    values |= {"reg_clients": 12, "reg_attack": "sign_flip", "reg_screen": True}
    query = urlsplit(link_to("regression", regression.SCREEN, values)).query
    app = open_page("regression", **{k: v[0] for k, v in parse_qs(query).items()})
    assert app.slider(key="reg_clients").value == 12
    assert app.selectbox(key="reg_attack").value == "sign_flip"
    assert "--screen" in codes(app)[1]


def test_settings_are_said_as_the_page_says_them() -> None:
    controls = (
        Control("a", "Share", "float", 0.25, "", 0, 1, 0.05, format="percent", group="x"),
        Control("b", "Strength", "float", 1.0, "", 0, 3, 0.1, format="%.1f×", group="x"),
        Control("c", "Threshold", "optional_float", None, "", group="x"),
        Control("d", "Screen", "flag", False, "", group="x"),
        Control("e", "Side", "segment", "o", "", options=(("o", "Output"),), group="x"),
        Control("f", "View", "flag", False, "", group="view"),
    )
    values = {"a": 0.3, "b": 2.0, "c": None, "d": True, "e": "o", "f": True}
    screen = screen_of("lab", controls, values, {"x": "All"})
    assert [(s.value, s.changed) for s in screen.settings] == [
        ("30%", True),
        ("2.0×", True),
        ("automatic", False),
        ("on", True),
        ("Output", False),
    ]
    assert screen.link == "/lab?a=0.3&b=2.0&d=true&f=true"
