"""The Overview from state to state, and its ways into the lab."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from clair.app.kit.content import content
from clair.app.kit.glossary import TERMS
from clair.app.pages import lab, overview
from clair.report.blocks import tables_of
from clair.report.overview import beyond, overview_export, pictures, worth
from clair.report.page import to_html
from clair.simulation.scenario import run_scenario
from tests.app.elements import bare, charts, sentence, visit

MILD = {"demo_heterogeneity": 0.0, "demo_scale": 1.0, "demo_poisoned": 0.25}


def opened(**params: str) -> AppTest:
    """Open the Overview as a fresh visitor."""
    return visit("overview", **params)


def test_first_paint_is_a_real_result() -> None:
    app = opened()
    assert app.title[0].value == "Learning together when some are lying"
    assert "flagged all 6 poisoned clients" in sentence(app)
    assert len(charts(app)) == 2
    text = " ".join(m.value for m in app.markdown)
    for limit in overview.LIMITS:
        assert limit.title in text
    assert "honest majority" in text
    for term in TERMS:
        assert f"**{term.name}.**" in text


def test_on_stage_the_picture_alone() -> None:
    app = opened(present="1")
    assert list(charts(app)) == ["overview_split"]
    assert not app.header
    before = sentence(app)
    app.slider(key="demo_poisoned").set_value(0.4).run()
    assert sentence(app) != before


def test_sliders_move_the_picture_and_reset_brings_it_back() -> None:
    app = opened()
    before = sentence(app)
    app.slider(key="demo_clients").set_value(40).run()
    assert "12 poisoned clients" in sentence(app)
    assert app.header[0].value == "40 updates, taken apart"
    app.selectbox(key="demo_attack").select("sign_flip").run()
    assert "missed all 12" in sentence(app)
    app.button(key="overview_reset").click().run()
    assert sentence(app) == before
    assert dict(app.query_params) == {}


def test_address_in_and_bad_values_out() -> None:
    assert "flagged both poisoned" in sentence(opened(demo_clients="8"))
    bad = opened(demo_clients="eight", demo_attack="?", demo_poisoned="7")
    assert sentence(bad) == sentence(opened())


def test_an_impossible_fraction_is_explained() -> None:
    app = opened(demo_poisoned="0.6", demo_clients="5")
    assert "honest clients would be left" in app.warning[0].value
    assert len(charts(app)) == 0
    assert [h.value for h in app.header][-2:] == ["Ways in", "What CLAIR cannot do"]


@pytest.mark.parametrize("key", ["colluders", "screened"])
def test_entries_open_the_lab_on_their_preset(key: str) -> None:
    app = opened()
    app.button(key=f"overview_entry_{key}").click().run()
    assert not app.exception
    assert app.title[0].value == "Subspace lab"
    values = {c.key: c.default for c in lab.CONTROLS} | dict(overview.preset(key).values)
    for name, value in values.items():
        assert app.session_state[name] == value, name
    assert app.selectbox(key="attack").value == values["attack"]


@pytest.mark.parametrize(
    ("chosen", "ahead"),
    [
        ({}, "CLAIR serves the honest clients best"),
        ({**MILD, "demo_attack": "random"}, "FedAvg is ahead here"),
        ({**MILD, "demo_attack": "replace"}, "Coordinate median"),
    ],
)
def test_the_report_says_what_the_page_says(chosen: dict[str, object], ahead: str) -> None:
    values = {c.key: c.default for c in overview.CONTROLS} | chosen
    result = run_scenario(lab.scenario_of(overview.lab_values(values)))
    views = pictures(result, overview.METHODS, content("overview")["errors"])
    report = overview_export(result, views, overview.screen(values)).report()
    app = opened(**{c.key: c.to_url(values[c.key]) for c in overview.CONTROLS if c.key in chosen})
    title = worth(result, overview.METHODS, "light").title
    assert title.startswith(ahead)
    shown = [m.value.replace("\\", "") for m in app.markdown]
    assert f"**{title}**" in shown
    assert report.page == "Overview"
    assert report.title == app.title[0].value
    page = to_html(report)
    assert f"<h3>{title}</h3>" in page
    assert page.count("<div class='plot'") == len(charts(app)) == 2
    (compared,) = tables_of(report.sections[1].blocks)
    assert [row[0] for row in compared.rows] == [
        result.error_of(key).label for key in overview.METHODS
    ]
    # Whoever is best of all that the lab compares is named in both.
    best = min((row for row in result.errors if not row.oracle), key=lambda row: row.mean)
    told = beyond(result, overview.METHODS)
    assert best.label in told
    assert told in page
    assert told in [bare(caption.value) for caption in app.caption]
    assert re.search(r"/overview(\?|$)", report.screen.link)
    assert ("demo_attack" in report.screen.link) == bool(chosen)
