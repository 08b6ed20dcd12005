"""What a visitor takes away: the code that is handed out gives the numbers that are shown."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields, is_dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clair
from clair.__main__ import main
from clair.adapters import EXAMPLE, AuditOptions, audit, audit_json, read_folder
from clair.adapters.simulate import SimulatedSet, write_simulated
from clair.app.pages.theory import SECTION
from clair.federated.copytask import CopyTaskConfig, run_copytask
from clair.federated.digits import DigitsConfig, run_digits
from clair.federated.regression import RegressionConfig, run_regression
from clair.federated.task_result import task_json
from clair.figures.base import Chart, new_figure
from clair.report.adapters import audit_report, deviations
from clair.report.adapters import clients as audit_clients
from clair.report.adapters_method import audit_recipe
from clair.report.blocks import (
    Choice,
    Facts,
    Live,
    OnScreen,
    Parts,
    Printed,
    Words,
    columns,
    plots_of,
)
from clair.report.document import Fact, Report, Screen, Section, Setting, Verbatim
from clair.report.lab import lab_report
from clair.report.page import to_html
from clair.report.pair import pair_json, pair_recipe, pair_report, pair_table
from clair.report.recipe import Recipe, literal
from clair.report.scenario import client_table, error_table, scenario_json, scenario_recipe
from clair.report.studies import (
    REMEDY_NAMES,
    Study,
    blind_study,
    certificate_study,
    gain_study,
    phase_study,
    sets_study,
    stable_study,
    study_json,
    window_study,
)
from clair.report.tables import table, to_csv
from clair.report.tasks import task_recipe
from clair.report.theory import Told, study_report
from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.matrix_model import ProblemSpec, sample_problem
from clair.simulation.scenario import Scenario, run_scenario
from clair.simulation.sweeps.grid import Axis, SweepConfig
from clair.simulation.sweeps.run import run_sweep
from clair.theory.curves import REMEDIES, gain, remedy, separation, stability
from clair.theory.lam_path import certificate_at, lam_path
from tests.snippets import run_snippet

ROOT = Path(__file__).resolve().parents[1]
BAD = "<script>alert(1)</script><img src=x onerror=alert(2)>"

SCENARIOS = {
    "defaults": Scenario(),
    "input side": Scenario(ProblemSpec(d_out=12, d_in=20, n_clients=9, seed=3), side="input"),
    "pooling, non-square": Scenario(
        ProblemSpec(d_out=20, d_in=8, rank=5, attack="colluding", n_clients=15, noise=0.1),
        rank=5,
        pooling="eb",
    ),
    "halves, off the subspace": Scenario(
        ProblemSpec(d_out=14, d_in=22, n_clients=12, off_subspace=0.7, seed=5), pooling="halves"
    ),
    "sign flip, screened": Scenario(
        ProblemSpec(attack="sign_flip", poisoned_fraction=0.4, heterogeneity=0.3, d_in=24),
        screen_coefficients=True,
    ),
    "given threshold": Scenario(
        ProblemSpec(attack="alie", attack_scale=2.5, off_subspace=0.3, seed=11), threshold=0.35
    ),
    "norms, unpolished": Scenario(
        ProblemSpec(n_clients=8, d_out=10, d_in=14, rank=2, poisoned_fraction=0.0, noise=0.0),
        detector="norms",
        polish=False,
        rank=2,
    ),
    "a plan": Scenario(
        ProblemSpec(n_clients=10, d_out=12, d_in=9, rank=2, attack_scale=2.0, seed=4),
        plan=AttackPlan((Tactic(share=0.1, own=-0.3), Tactic(size=0.25, noise=0, directions=2))),
    ),
    "irls": Scenario(ProblemSpec(n_clients=11, unevenness=0.5, attack="replace"), solver="irls"),
}


def run_command(line: str, target: Path, capsys: Any) -> dict[str, Any]:
    """Run a command line in this process and return the JSON it wrote."""
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "clair"]
    assert main([*words[3:], "--json", str(target)]) == 0
    capsys.readouterr()
    return json.loads(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_snippet_and_command_of_the_lab_give_the_same_numbers(name, tmp_path, capsys):
    result = run_scenario(SCENARIOS[name])
    recipe = scenario_recipe(SCENARIOS[name])
    names, printed = run_snippet(recipe.python)
    assert np.array_equal(names["fit"].scores, result.fit.scores)
    assert np.array_equal(names["fit"].refined, result.fit.refined)
    assert np.array_equal(names["fit"].flagged, result.fit.flagged)
    assert [row.method for row in names["errors"]] == [row.method for row in result.errors]
    for mine, theirs in zip(names["errors"], result.errors, strict=True):
        assert np.array_equal(mine.per_client, theirs.per_client)
    for k, degree in enumerate(result.fit.degrees, 1):
        assert f"client {k}: {degree}" in printed
    written = run_command(recipe.command, tmp_path / "out.json", capsys)
    assert written == json.loads(json.dumps(scenario_json(result)))


def test_code_and_tables_of_a_comparison_hold_both_sides(tmp_path, capsys):
    names = ("input side", "sign flip, screened")
    sides = {side: run_scenario(SCENARIOS[name]) for side, name in zip("AB", names, strict=True)}
    a, b = sides.values()
    recipe = pair_recipe(a, b)
    for source, result in zip(recipe.python.split("# B\n"), (a, b), strict=True):
        assert np.array_equal(run_snippet(source)[0]["fit"].refined, result.fit.refined)
    both = pair_json(a, b, ["noise is 0.1 instead of 0.03"])
    for line, key in zip(recipe.command.splitlines(), "ab", strict=True):
        written = run_command(line, tmp_path / f"{key}.json", capsys)
        assert written == json.loads(json.dumps(both[key]))
    clients = pair_table(a, b, client_table)
    assert [row[0] for row in clients.rows] == ["A"] * 9 + ["B"] * 20
    screened = clients.columns.index("flagged_by_screen")  # a column that only B has
    assert {row[screened] for row in clients.rows if row[0] == "A"} == {None}
    assert [bool(row[screened]) for row in clients.rows if row[0] == "B"] == list(b.fit.screened)
    page = to_html(pair_report(a, b, ["noise is 0.1 instead of 0.03"]))
    assert recipe.command in parsed(page).text  # two lines, to be copied as they stand
    assert "A: <strong>The problem.</strong> 9 clients" in page
    assert "B: <strong>The problem.</strong> 20 clients" in page


def test_only_what_differs_from_the_defaults_is_written():
    plain = scenario_recipe(Scenario())
    assert plain.command == "python -m clair simulate"
    assert "ProblemSpec()" in plain.python
    flip = scenario_recipe(SCENARIOS["sign flip, screened"])
    assert flip.command == (
        "python -m clair simulate --d-in 24 --poisoned 0.4 --heterogeneity 0.3 --attack sign_flip "
        "--screen"
    )
    assert "--no-polish" in scenario_recipe(SCENARIOS["norms, unpolished"]).command


def test_simulate_from_a_shell(tmp_path):
    """Check that the real command prints what the page says."""
    scenario = SCENARIOS["given threshold"]
    command = shlex.split(scenario_recipe(scenario).command)
    done = subprocess.run(
        [sys.executable, *command[1:], "--json", str(tmp_path / "o.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    numbers = scenario_json(run_scenario(scenario))
    assert done.stdout.startswith(numbers["sentence"])
    assert json.loads((tmp_path / "o.json").read_text(encoding="utf-8")) == numbers
    for entry in numbers["errors"].values():
        assert re.search(rf"{re.escape(entry['label'])} +{entry['mean']:.6f} ± ", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--poisoned", "1"], "--poisoned must be in [0, 1), got 1"),
        (["--true-rank", "9", "--d-in", "4"], "--true-rank must be at most"),
        (["--rank", "40"], "--rank must be"),
        (["--threshold", "-1"], "--threshold must be"),
        (["--json", "/no/such/folder/x.json"], "--json must name a file in a folder that exists"),
    ],
)
def test_simulate_names_the_option_that_is_wrong(arguments, words, capsys):
    assert main(["simulate", *arguments]) == 2
    streams = capsys.readouterr()
    assert words in streams.err
    assert streams.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stable", "--values", "0.1,x"], "must be numbers between commas, got '0.1,x'"),
        (["certificate"], "--lam"),
        (["stable", "--values", "0.1", "--poisoned", "1"], "--poisoned must be in [0, 1)"),
    ],
)
def test_theory_names_the_option_that_is_wrong(arguments, words, capsys):
    try:
        code = main(["theory", *arguments])
    except SystemExit as end:  # what the parser itself refuses
        code = end.code
    assert code == 2
    assert words in capsys.readouterr().err


TASKS = {
    "regression": (
        RegressionConfig(
            n_clients=9, samples=25, attack="sign_flip", screen_coefficients=True, refit=False
        ),
        run_regression,
        "clair.federated.regression:run_regression",
        "excess",
    ),
    "digits": (
        DigitsConfig(n_clients=5, steps=8, skew=0.7, boost=1.5, rank=2, seed=3, n_samples=2),
        run_digits,
        "clair.federated.digits:run_digits",
        "accuracy",
    ),
    "copytask": (
        CopyTaskConfig(
            n_clients=4, steps=3, attack="sign_flip", screen_coefficients=True, device="cpu"
        ),
        run_copytask,
        "clair.federated.copytask:run_copytask",
        "exact_match",
    ),
}


@pytest.mark.parametrize("kind", TASKS)
def test_snippet_and_command_of_a_task_give_the_same_numbers(kind, tmp_path, capsys):
    config, run, path, measure = TASKS[kind]
    wanted = json.loads(json.dumps(run(config).to_json()))
    recipe = task_recipe(kind, config, path, measure)
    names, printed = run_snippet(recipe.python)
    assert names["config"] == config
    mine = json.loads(json.dumps(names["result"].to_json()))
    written = run_command(recipe.command, tmp_path / "out.json", capsys)
    assert {**mine, "seconds": None} == {**wanted, "seconds": None}
    assert {**written, "seconds": None} == {**task_json(kind, wanted), "seconds": None}
    assert printed.startswith(names["result"].summary())
    assert written["kind"] == kind
    assert written["version"] == clair.__version__


class Tags(HTMLParser):
    """All tags of a page with their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def hostile_report() -> Report:
    """Make a report in which all that may come from a visitor or an upload is hostile."""
    figure = new_figure("light", 200)
    figure.add_bar(x=[BAD, "</script>"], y=[1, 2])
    chart = Chart(figure, BAD, BAD, f'" onmouseover="alert(3)" {BAD}')
    rows = [(BAD, 1.5, "kept")]
    content = table("t", BAD, [("name", BAD), ("x", "x"), ("verdict", "verdict")], rows, BAD)
    return Report(
        page=BAD,
        title=f"</title>{BAD}",
        sentence=BAD,
        recipe=Recipe(BAD, BAD, BAD),
        screen=Screen((Setting(BAD, BAD, BAD, True),), f"javascript:alert(4)//{BAD}"),
        facts=(Fact(BAD, BAD, BAD),),
        sections=(
            Section(BAD, (BAD,), (chart,), (content,)),
            Section(BAD, blocks=(Words(BAD), Words(BAD, "heading"), Facts((Fact(BAD, BAD, BAD),)))),
        ),
        method=(BAD,),
        limits=(BAD, Verbatim("a*b*c `d`")),
        made_with=((BAD, BAD),),
    )


def test_nothing_from_outside_becomes_markup():
    page = to_html(hostile_report())
    found = parsed(page)
    names = [name for name, _ in found.tags]
    assert "img" not in names
    assert "a*b*c `d`" in found.text
    assert names.count("script") == 3  # the charts' data, plotly.js and our few lines
    assert not [a for _, attributes in found.tags for a in attributes if a.startswith("on")]
    assert not [a for name, a in found.tags if name == "a"]  # no link that is no web address
    assert BAD in found.text


def test_paper_holds_every_choice_and_nothing_that_only_a_screen_can_show():
    choice = Choice("k", "l", {"a": (Words("first"),), "b": (Words("second"),)}, {})
    blocks = (
        choice,
        columns([Words("left")], [OnScreen((Words("hidden"),)), Words("right")]),
        Parts("p", {"One": (Printed((Words("on paper"),)),)}),
        Live(lambda theme: pytest.fail("drawn on paper")),
    )
    report = Report("p", "t", "s", Recipe("pass"), sections=(Section("x", blocks=blocks),))
    section = to_html(report).split("<h2>x</h2>")[1].split("</section>")[0]
    assert re.findall("<p>(.*?)</p>", section) == ["first", "second", "left", "right", "on paper"]


def test_the_policy_lets_exactly_our_scripts_run_and_nothing_be_fetched():
    page = to_html(lab_report(run_scenario(SCENARIOS["irls"])))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.split("script-src")[1]
    import base64
    import hashlib

    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    for name, attributes in parsed(page).tags:
        assert name not in ("link", "iframe", "object", "base")
        assert "src" not in attributes


def test_the_report_of_the_lab_says_what_the_page_says():
    result = run_scenario(SCENARIOS["sign flip, screened"])
    link = "http://host/lab?attack=Sign+flip&screen=true"
    settings = (Setting("Attack", "Sign flip", "Clients and attackers", True),)
    report = lab_report(result, Screen(settings, link))
    found = parsed(to_html(report))
    assert scenario_json(result)["sentence"] in found.text
    assert scenario_recipe(result.scenario).command in found.text
    assert ("a", {"href": link}) in found.tags
    plots = [one for section in report.sections for one in plots_of(section.blocks)]
    assert len(plots) == 11
    for one in plots:
        assert one.chart("light").title in found.text
    assert "coefficient screen alone" in found.text
    assert not re.search(r"20\d\d-\d\d", found.text.split("Made with")[1].split("[{")[0])
    # equal results give equal files
    assert to_html(lab_report(run_scenario(result.scenario), report.screen)) == to_html(report)


def test_where_clair_loses_the_report_says_so():
    same = run_scenario(Scenario(ProblemSpec(poisoned_fraction=0.0, heterogeneity=0.0)))
    words = " ".join(lab_report(same).limits)
    assert "at least as good as CLAIR" in words
    assert "FedAvg" in words
    missed = run_scenario(Scenario(ProblemSpec(attack="sign_flip")))
    assert "did not flag five poisoned clients" in " ".join(lab_report(missed).limits)


def test_the_report_claims_no_line_where_none_was_drawn():
    drowned = run_scenario(Scenario(ProblemSpec(noise=0.3)))
    assert np.isinf(drowned.fit.threshold)
    words = " ".join(lab_report(drowned).method)
    assert "no gap between scores was wide enough" in words
    assert "in the widest gap" not in words
    published = run_scenario(Scenario(detector="norms"))
    assert "in the widest gap" in " ".join(lab_report(published).method)


@pytest.mark.parametrize("text", ["it's", 'a "b" \\', "é 😀", "\ud800", "tab\tline\n"])
def test_source_of_a_text_is_that_text(text):
    assert eval(literal(text)) == text
    assert literal(text).startswith('"')


def test_tables_hold_every_digit():
    result = run_scenario(SCENARIOS["pooling, non-square"])
    rows = list(csv.DictReader(io.StringIO(to_csv(error_table(result)))))
    honest = int((~result.problem.contaminated).sum())
    assert len(rows) == len(result.errors) * honest
    eb = [float(row["error"]) for row in rows if row["method"] == "clair_eb"]
    assert np.array_equal(eb, result.error_of("clair_eb").per_client)
    clients = list(csv.DictReader(io.StringIO(to_csv(client_table(result)))))
    assert [float(row["score"]) for row in clients] == result.fit.scores.tolist()
    assert [row["verdict"] == "flagged" for row in clients] == result.fit.flagged.tolist()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r\n+", " =", "\u00a0@", "＝"])
def test_no_text_is_a_formula_for_a_spreadsheet(start):
    content = table(
        "t", "t", [("name", "n"), ("x", "x")], [(f"{start}HYPERLINK(1)", -1.5), ("a-b", None)]
    )
    first, second = list(csv.reader(io.StringIO(to_csv(content))))[1:]
    assert first[0].startswith("'")
    assert first[0].endswith("HYPERLINK(1)")
    assert first[1] == "-1.5"
    assert second == ["a-b", ""]


AUDITS = {
    "defaults": AuditOptions(),
    "input side, no shape, rank 5": AuditOptions(rank=5, side="input", compare_shape=False),
    "irls, screened, pooled": AuditOptions(
        solver="irls", screen_coefficients=True, pooling="eb", side="output"
    ),
}


@pytest.mark.parametrize("name", AUDITS)
def test_snippet_and_command_of_an_audit_give_the_same_numbers(name, tmp_path, capsys):
    folder = None if name == "defaults" else str(EXAMPLE)
    wanted = numbers_of(audit(read_folder(EXAMPLE), AUDITS[name]))
    recipe = audit_recipe(AUDITS[name], folder)
    names, printed = run_snippet(recipe.python)
    assert numbers_of(names["result"]) == wanted
    assert printed.startswith(wanted["sentence"])
    words = shlex.split(recipe.command)[3:]
    assert main([*words, "--out", str(tmp_path / "o.json")]) == wanted["exit_code"]
    capsys.readouterr()
    written = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    assert {**written, "seconds": None} == wanted


def numbers_of(result: Any) -> dict[str, Any]:
    """Collect all numbers of an audit except how long it took."""
    return {**json.loads(json.dumps(audit_json(result))), "seconds": None}


def test_names_of_uploaded_adapters_are_text_in_every_file(tmp_path):
    root = tmp_path / "sites"
    write_simulated(root, SimulatedSet(n_clients=6, n_poisoned=1, layers=2, seed=3))
    names = ["=cmd()", "<img src=x onerror=alert(1)>", "*bold* `code`"]
    for name, folder in zip(names, sorted(root.iterdir()), strict=False):
        folder.rename(root / name)
    result = audit(read_folder(root))
    found = parsed(to_html(audit_report(result)))
    tags = [name for name, _ in found.tags]
    assert "img" not in tags
    assert tags.count("script") == 3
    assert names[1] in found.text
    for content in (to_csv(audit_clients(result)), to_csv(deviations(result))):
        cells = [row[0] for row in csv.reader(io.StringIO(content))][1:]
        assert "'=cmd()" in cells
        assert "=cmd()" not in cells


SPEC = ProblemSpec(n_clients=9, d_out=10, d_in=14, rank=2, noise=0.05, seed=4)
CLEAN = ProblemSpec(n_clients=8, d_out=9, d_in=6, rank=2, noise=0.0, unevenness=0.3)


def a_study(section: str, tmp_path: Path) -> tuple[Study, Any]:
    """Make a small study of a section, and the result it tells of."""
    if section == "window":
        path = lam_path(sample_problem(CLEAN), (0.5, 0.71, 1.0))
        return window_study(CLEAN, path), path
    if section == "certificate":
        problem = sample_problem(CLEAN)
        proof = certificate_at(problem, 0.8)
        return certificate_study(CLEAN, problem, proof), proof
    if section == "phase":
        axes = Axis("noise", (0.0, 0.2)), Axis("rank", (1, 2))
        swept = run_sweep(SweepConfig(SPEC, axes, trials=2), workers=1, folder=tmp_path)
        return phase_study(swept), swept
    if section == "stable":
        curves = stability(SPEC, (0.0, 0.04))
        return stable_study(SPEC, curves), curves
    if section == "sets":
        scores = separation(SPEC, "attack_scale", (0.5, 2.0), trials=2)
        return sets_study(SPEC, "attack_scale", scores), scores
    if section == "gain":
        gained = gain(SPEC, "n_clients", (6, 9), trials=2)
        return gain_study(SPEC, "n_clients", gained), gained
    found = {key: remedy(SPEC, key, trials=1) for key in REMEDIES}
    return blind_study(SPEC, found, REMEDY_NAMES), found


@pytest.mark.parametrize("section", SECTION.ids)
def test_snippet_and_command_of_a_theory_section_give_the_same_numbers(
    section, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CLAIR_CACHE_DIR", str(tmp_path / "other"))
    study, result = a_study(section, tmp_path)
    names, printed = run_snippet(study.recipe.python)
    assert printed
    again = next(
        names[key] for key in ("path", "proof", "result", "curves", "remedies") if key in names
    )
    assert_same(again, result)
    rows = study_json(study, "said", {})["rows"]
    assert len(rows) == len(study.table.rows) > 1
    written = run_command(study.recipe.command, tmp_path / "out.json", capsys)
    assert json.dumps(written["rows"]) == json.dumps(rows)  # as text, for what is not a number
    assert written.get("section", "phase") == section
    told = Told(study, "said", "what *this* is", (Words("* one\n* two"),), {})
    report = study_report(told, Screen())
    page = to_html(report)
    assert "said" in parsed(page).text
    assert "<ul><li>one</li><li>two</li></ul>" in page
    prose = re.sub("`[^`]+`", "", " ".join(report.method))
    assert not re.search(r"\\[a-z]|\$", prose)  # formulas stay formulas, words are words


def assert_same(one: Any, other: Any) -> None:
    """Assert that two results are equal in every number, whatever they are made of."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_same(value, other[key])
    elif isinstance(one, np.ndarray):
        assert np.array_equal(one, other, equal_nan=True)
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_same(first, second)
    elif is_dataclass(one):
        for entry in fields(one):
            if entry.name != "seconds":
                assert_same(getattr(one, entry.name), getattr(other, entry.name))
    else:
        assert one == other
