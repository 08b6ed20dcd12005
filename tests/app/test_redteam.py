"""The red team page: the attack live, both rules, the search as a job, links to other pages."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from clair.app.kit.content import content
from clair.app.pages import lab, redteam, redteam_search
from clair.app.pages.redteam_controls import CONTROLS, PRESETS, VIEW, plan_of
from clair.app.pages.redteam_search import searched
from clair.app.pages.redteam_views import lessons
from clair.jobs import JobPool, JobState
from clair.redteam import RedTeamConfig, RedTeamResult, SearchProgress, evaluate, search
from clair.redteam.gallery import GALLERY
from clair.report.redteam import strike_export
from clair.report.redteam_lessons import lessons_export
from clair.report.redteam_search import search_export
from clair.simulation.scenario import run_scenario
from tests.app.elements import charts, prose, sentence, visit
from tests.snippets import run_snippet

PATIENCE = 120
SMALL = {"rt_clients": "9", "rt_held": "3", "rt_d_out": "12", "rt_d_in": "12"}
OPENING = {control.key: control.default for control in CONTROLS}


def red_team(**params: str) -> AppTest:
    return visit("redteam", **params)


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_first_paint_is_an_attack_and_what_it_costs() -> None:
    app = red_team()
    assert metrics(app)["Caught"] == "8 of 8"
    found = redteam.struck(OPENING)
    average = f"{100 * found.prices['fedavg'].cost:.0f} %"
    assert metrics(app)["Cost under averaging"] == average
    assert sentence(app).startswith("You held 8 of 20, were caught 8 times and cost the honest")
    assert sentence(app).endswith(f"the same attack costs {average}.")
    assert dict(app.query_params) == {}


@pytest.mark.parametrize("view", VIEW.ids)
def test_every_view_opens_by_link_and_says_something(view: str) -> None:
    app = red_team(rt_view=view)
    assert app.segmented_control(key="rt_view").value == view
    assert len(sentence(app)) > 40


def test_the_rule_of_before_is_one_press_away() -> None:
    app = red_team(rt_view="lessons")
    for key in content("redteam")["lessons"]:
        assert app.button(key=f"redteam_{key}_today")
    app.button(key="redteam_masking_former").click().run()
    assert metrics(app)["Caught"] == "1 of 8"
    assert "caught by the former rule once" in sentence(app)
    app.segmented_control(key="rt_rule").set_value("today").run()
    assert not app.exception
    assert metrics(app)["Caught"] == "8 of 8"


def test_presets_are_valid_and_those_of_the_gallery_are_its_plans() -> None:
    controls = {control.key: control for control in CONTROLS}
    for preset in PRESETS:
        assert all(controls[key].valid(value) for key, value in preset.values.items()), preset.key
        values = OPENING | dict(preset.values)
        assert redteam.obstacle(values) is None
        if preset.key in GALLERY:
            assert plan_of(values) == GALLERY[preset.key].plan
    assert set(content("redteam")["lessons"]) <= {preset.key for preset in PRESETS}


def test_a_second_group_can_be_all_of_yours() -> None:
    masking = next(preset for preset in PRESETS if preset.key == "masking")
    all_of_them = OPENING | dict(masking.values) | {"rt_second": 30}
    assert [tactic.size for tactic in plan_of(all_of_them).tactics] == [100]


def test_a_plan_in_the_address_takes_the_place_of_the_controls() -> None:
    app = red_team(rt_plan="size_7_noise_0")
    assert app.text_input(key="rt_plan").value == "size_7_noise_0"
    assert "of size 7" in prose(app)
    app.text_input(key="rt_plan").set_value("").run()
    assert "of size 3" in prose(app)
    assert not app.text_input
    app = red_team(rt_plan="size_<b>")
    assert not app.text_input
    assert "of size 3" in prose(app)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"rt_held": "18"}, "At least 3 honest ones are needed"),
        ({"rt_rank": "4", "rt_d_out": "4"}, "nothing lies outside it"),
    ],
)
def test_impossible_settings_are_explained(params: dict[str, str], words: str) -> None:
    app = red_team(**params)
    assert words in app.warning[0].value
    app.button(key="redteam_reset").click().run()
    assert not app.warning


def test_the_best_undetected_attack_stays_in_the_address() -> None:
    harmful = "own_-0.3_noise_0_echo_1_mean_-1"
    params = {"rt_clients": "8", "rt_held": "3", "rt_seed": "4"}
    app = red_team(**params, rt_plan=harmful)
    score = redteam.struck(
        OPENING | {"rt_clients": 8, "rt_held": 3, "rt_seed": 4, "rt_plan": harmful}
    ).score
    assert score > 0
    assert metrics(app)["Your best undetected"] == f"{100 * score:.1f} %"
    best = str(app.query_params["rt_best"])
    app.text_input(key="rt_plan").set_value("").run()
    assert metrics(app)["Your best undetected"] == f"{100 * score:.1f} %"
    app.button(key="redteam_best").click().run()
    assert plan_of({"rt_plan": app.text_input(key="rt_plan").value}).to_text() == best
    again = red_team(**params, rt_best=best)
    assert metrics(again)["Your best undetected"] == f"{100 * score:.1f} %"
    hostile = red_team(rt_best="<script>")
    assert metrics(hostile)["Your best undetected"] == "0.0 %"


def test_a_majority_has_neither_score_nor_search_nor_lab() -> None:
    app = red_team(rt_held="13")
    assert metrics(app)["Your best undetected"] == "–"
    assert app.button(key="redteam_lab").disabled
    app.segmented_control(key="rt_view").set_value("search").run()
    assert not app.exception
    assert "you win" in sentence(app)


def test_a_search_runs_as_a_job_and_its_worst_attack_opens_elsewhere(pool: JobPool) -> None:
    params = SMALL | {"rt_view": "search", "rt_defence": "clair_norms", "rt_budget": "120"}
    app = red_team(**params, rt_use_rank="3")
    assert "Press Search" in sentence(app)
    app.button(key="redteam_run").click().run()
    job_id = str(app.query_params["job"])
    job = pool.wait(job_id, timeout=PATIENCE)
    assert job.state is JobState.DONE
    app.run()
    assert not app.exception
    dots = charts(app)["redteam_attempts"]["data"]
    assert sum(len(t["customdata"]) for t in dots if "customdata" in t) == len(job.result.attempts)
    assert sentence(app).startswith("With 3 of 9 clients against CLAIR, contamination norms")
    app.button(key="redteam_worst_lab").click().run()
    assert app.title[0].value == "Subspace lab"
    values = {c.key: c.default for c in lab.CONTROLS} | {
        key: app.session_state[key] for key in ("clients", "poisoned", "plan", "seed", "use_rank")
    }
    assert app.session_state["detector"] == "norms"
    assert app.session_state["use_rank"] == 3
    spec = lab.spec_of(values | {"d_out": 12, "d_in": 12})
    trials = job.result.hidden.trials
    worst = max(trials, key=lambda t: t.harm * (not (t.flagged & t.held).any()))
    assert spec.seed == worst.seed
    again = evaluate(lab.scenario_of(values).plan, spec, "clair_norms", 3)
    assert again.harm == pytest.approx(worst.harm)
    assert metrics(app)["Poisoned found"] == f"{int((worst.flagged & worst.held).sum())} of 3"


def test_a_running_search_shows_what_it_tried_and_cancel_keeps_the_best(
    pool: JobPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, go_on = threading.Event(), threading.Event()

    def slowly(config: RedTeamConfig, progress: Any, cancelled: Any, workers: Any) -> RedTeamResult:
        reports: list[SearchProgress] = []

        def report(seen: SearchProgress) -> None:
            reports.append(seen)
            progress(seen)
            if len(reports) == 3:
                tried.set()
                assert go_on.wait(PATIENCE)

        return search(config, report, cancelled)

    monkeypatch.setattr(redteam_search, "search", slowly)
    app = red_team(**SMALL, rt_view="search", rt_defence="krum")
    app.button(key="redteam_run").click().run()
    assert tried.wait(PATIENCE)
    app.run()
    assert not app.exception
    assert "The computer attacks Krum" in sentence(app)
    dots = charts(app)["redteam_attempts"]["data"]
    assert sum(len(trace.get("customdata", ())) for trace in dots) == 3
    app.button(key="redteam_cancel").click().run()
    go_on.set()
    job = pool.wait(str(app.query_params["job"]), timeout=PATIENCE)
    app.run()
    assert not app.exception
    assert len(job.result.attempts) == 3
    assert "You stopped it early" in prose(app)
    assert app.button(key="redteam_worst_lab")


def test_both_sides_of_compare_are_the_same_draw() -> None:
    app = red_team(rt1_own="-1", rt1_size="0", rt_seed="5")
    app.button(key="redteam_compare").click().run()
    assert not app.exception
    assert app.title[0].value == "Compare A and B"
    assert app.session_state["a_seed"] == app.session_state["b_seed"] == 5
    assert app.session_state["a_plan"] == "share_1"
    assert app.session_state["b_plan"] == GALLERY["flip"].plan.to_text()
    assert "“Attack plan” is own honest update × -1 instead of honest" in sentence(app)


def test_what_is_handed_out_gives_the_numbers_of_the_page() -> None:
    values = OPENING | {"rt_held": 11, "rt_d_in": 12, "rt_d_out": 16, "rt_use_rank": 3}
    found = redteam.struck(values)
    export = strike_export(found, "former")
    names, printed = run_snippet(export.recipe.python)
    assert names["found"].prices == found.prices
    assert f"{found.prices['krum'].cost:+.1%}" in printed
    assert json.loads(export.json())["fates"]["today"]["missed"] == list(found.fates()["missed"])
    assert "You were the attacker" in export.html()
    own = searched(OPENING)
    assert own is not None
    assert own.found is not None
    told = search_export(own.config, own.found, own.attempts)
    assert told.recipe.command == "python -m clair redteam"
    assert told.csv("Attempts").count("\n") == len(dict(own.attempts)["clair"]) + 1
    assert own.found.plan.to_text() in told.html()


def test_the_lessons_hand_out_what_both_rules_said() -> None:
    taught = lessons()
    export = lessons_export(taught)
    _, printed = run_snippet(export.recipe.python)
    assert "Masking, today: 8 caught" in printed
    assert "Masking, former: 1 caught" in printed
    assert json.loads(export.json())["masking"]["prices"]
    page = export.html()
    assert all(f"Source: {one.source}"[:40] in page for one in taught.values())


def test_the_lab_holds_exactly_the_draw_of_the_attack() -> None:
    values = OPENING | {"rt_clients": 14, "rt_held": 5, "rt_seed": 3, "rt1_noise": 0.0}
    found = redteam.struck(values)
    shown = {c.key: c.default for c in lab.CONTROLS}
    shown |= redteam.lab_values(redteam.spec_of(values), plan_of(values), "auto")
    again = run_scenario(lab.scenario_of(shown))
    np.testing.assert_array_equal(again.problem.updates, found.result.problem.updates)
