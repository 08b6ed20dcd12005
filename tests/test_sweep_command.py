"""The command ``sweep``: its bytes, going on after an interrupt, code of one's own, its files."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pytest

from clair import ProblemSpec
from clair.__main__ import main
from clair.cli.sweep import config_of
from clair.figures.paper import _EMPTY, _color
from clair.method.fit import fit
from clair.method.metrics import detection_scores
from clair.report.sweep_figure import success_svg
from clair.report.sweeps import sweep_command
from clair.simulation import own_code as own
from clair.simulation.attacks import ATTACKS
from clair.simulation.matrix_model import sample_problem
from clair.simulation.own_code import own_code
from clair.simulation.sweeps.axes import Axis, parse_axis
from clair.simulation.sweeps.grid import SweepConfig, cell_spec
from clair.simulation.sweeps.run import run_sweep
from clair.simulation.sweeps.trial import run_trial
from clair.theory.boundary import predicted

SIZE = ["--clients", "8", "--d-out", "10", "--d-in", "8", "--true-rank", "2"]
SMALL = [*SIZE, "--trials", "2", "--quiet"]
GRID = ["--axis", "noise=0.02,0.1,0.3", "--axis", "poisoned_fraction=0.1:0.9:3", *SMALL]
MINE = """
import os
import time

import numpy as np

def slow(honest, context, rng):
    time.sleep(float(os.environ.get("SLOW", "0")))
    return -honest

def reversed_(honest, context, rng):
    return -honest

def wrong_shape(honest, context, rng):
    return honest[0]

def nothing(honest, context, rng):
    return honest * np.nan

def fails(honest, context, rng):
    return {}["key"]

def first(updates, rank):
    return np.arange(len(updates)) == 0

def scores(updates, rank):
    return np.zeros(len(updates))
"""


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLAIR_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "mine.py").write_text(MINE)
    yield tmp_path
    sys.modules.pop("mine", None)
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]


def test_an_interrupted_run_goes_on_to_the_bytes_of_an_unbroken_one(somewhere):
    grid = ["--axis", "noise=0:0.3:24", "--methods", "clair", *SMALL, "--attack", "mine.py:slow"]
    arguments = [sys.executable, "-m", "clair", "sweep", *grid, "--json", "broken.json"]
    root = str(next(p for p in map(os.path.abspath, sys.path) if os.path.isdir(f"{p}/clair")))
    process = subprocess.Popen(
        [*arguments, "--workers", "2"],
        env={**os.environ, "PYTHONPATH": root, "SLOW": "0.1"},  # the whole takes seconds
        # A process that is started in the background ignores SIGINT, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stderr=subprocess.PIPE,
        text=True,
    )
    kept = somewhere / "cache" / "sweeps"
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not any(p.stat().st_size for p in kept.glob("*.jsonl")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    words = process.communicate(timeout=60)[1]
    assert process.returncode == 130, words
    done = int(re.search(r"(\d+) of 24 cells are kept.*--resume", words)[1])
    assert 0 < done < 24
    assert not (somewhere / "broken.json").exists()
    before = next(kept.glob("*.jsonl")).read_text().splitlines()
    resumed = ["--json", "resumed.json", "--resume", "--workers", "1"]
    assert main(["sweep", *grid, *resumed]) == 0
    assert next(kept.glob("*.jsonl")).read_text().splitlines()[: len(before)] == before
    assert main(["sweep", *grid, "--json", "whole.json", "--workers", "1"]) == 0
    whole = (somewhere / "whole.json").read_bytes()
    assert (somewhere / "resumed.json").read_bytes() == whole
    assert len(json.loads(whole)["cells"]) == 24


def test_table_and_figure_hold_the_same_numbers(somewhere):
    outputs = ["--csv", "t.csv", "--figure", "f.svg", "--json", "t.json", "--workers", "1"]
    assert main(["sweep", *GRID, *outputs, "--figure-of", "f1"]) == 0
    rows = list(csv.DictReader((somewhere / "t.csv").read_text().splitlines()))
    assert [float(row["noise"]) for row in rows[:3]] == [0.02, 0.1, 0.3]
    cells = json.loads((somewhere / "t.json").read_text())["cells"]
    for row, cell in zip(rows, cells, strict=True):
        if "obstacle" in cell:
            assert row["f1"] == ""
        else:
            means = np.mean(cell["trials"], axis=0)
            assert [float(row[name]) for name in ("exact", "f1", "subspace_error")] == list(means)
    drawn = re.findall(r'fill="(#\w+)" shape-rendering', (somewhere / "f.svg").read_text())
    assert drawn == [_color(float(row["f1"])) if row["f1"] else _EMPTY for row in rows]
    assert _EMPTY in drawn  # one honest client of eight is left where 90 % are poisoned
    assert "data:font/woff2;base64," in (somewhere / "f.svg").read_text()


def test_a_curve_has_a_point_for_every_value_at_its_mean(somewhere):
    outputs = ["--figure", "c.svg", "--json", "c.json", "--workers", "1", "--figure-of"]
    assert main(["sweep", "--axis", "noise=0.02:0.5:5", *SMALL, *outputs, "subspace_error"]) == 0
    written = json.loads((somewhere / "c.json").read_text())
    means = np.array([np.mean(cell["trials"], axis=0)[2] for cell in written["cells"]])
    picture = (somewhere / "c.svg").read_text()
    points = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', picture)
    x, y = np.array(points, dtype=float).T
    assert len(x) == len(means) == 5
    np.testing.assert_allclose(np.diff(x), np.diff(x)[0], atol=0.02)
    slope, start = np.polyfit(means, y, 1)
    assert slope < 0
    np.testing.assert_allclose(slope * means + start, y, atol=0.02)


def test_the_predicted_boundary_is_drawn_between_its_sides(somewhere):
    axes = (Axis("noise", (0.02, 0.3, 1.0, 2.0)), Axis("poisoned_fraction", (0.1, 0.3, 0.45)))
    config = SweepConfig(ProblemSpec(n_clients=12, d_out=10, d_in=8, rank=2), axes, trials=1)
    result = run_sweep(config, workers=1)
    beyond = predicted(config, "exact") >= 0.5
    sides = (beyond[:, 1:] != beyond[:, :-1]).sum() + (beyond[1:] != beyond[:-1]).sum()
    assert sides > 0
    path = re.search(r'<path d="([^"]*)" fill="none"', success_svg(result, "exact", 0.5))[1]
    assert path.count("M") == sides


def test_the_example_in_the_documentation_runs(somewhere, capsys):
    words = own.__doc__
    code = words.split("::", 1)[1].split("\nand then", 1)[0]
    (somewhere / "example.py").write_text(textwrap.dedent(code))
    command = re.search(r"``python -m clair (sweep .*?)``", words, re.DOTALL)[1]
    arguments = command.replace("mine:", "example:").split()
    assert main([*arguments, *SIZE, "--trials", "1", "--workers", "1", "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_own_attack_and_detector_reach_the_fit():
    base = ProblemSpec(n_clients=8, d_out=10, d_in=8, rank=2)
    config = SweepConfig(base, (Axis("seed", (3,)),), 1, methods=("clair",))
    attack = replace(config, attack=own_code("attack", "mine:reversed_"))
    like = replace(config, base=replace(base, attack="sign_flip"))
    assert run_trial(attack, 0) == run_trial(like, 0) != run_trial(config, 0)
    judged = replace(config, detector=own_code("detector", "mine.py:first"), methods=())
    problem = sample_problem(cell_spec(config, 0))
    truth = detection_scores(np.arange(8) == 0, problem.contaminated)
    assert run_trial(judged, 0)[:2] == (truth.exact, truth.f1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--attack", "absent:f"], "must name a module that can be imported, got 'absent'"),
        (["--attack", "mine:absent"], "must name a function of mine"),
        (["--attack", "mine:first"], "must take (honest, context, rng), got (updates, rank)"),
        (["--attack", "mine:fails"], "raised KeyError: 'key' (mine.py, line"),
        (["--axis", "attack=alie", "--attack", "mine:reversed_"], "axis attack must not be given"),
        (["--axis", "noise=0.2,0.1"], "must increase"),
        (["--axis", "noise=0:1"], "must be first:last:count"),
        (["--axis", "color=1"], "axis must be one of"),
        (["--axis", "solver=simplex"], "solver must be one of"),
        (["--methods", "copy"], "--methods must be one of"),
        (["--poisoned", "0.99"], "no cell can be drawn: only 1 honest client is left"),
        (["--figure", "f.svg"], "--figure needs one axis or two, got 0"),
        (["--figure", "absent/f.svg"], "--figure must name a file in a folder that exists"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments, words, capsys):
    try:
        code = main(["sweep", *SMALL, "--workers", "1", *arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2
    streams = capsys.readouterr()
    assert words in streams.err
    assert "Traceback" not in streams.err
    assert streams.out == ""


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("attack", "wrong_shape", r"numbers of shape \(2, 10, 8\), got float64 of shape"),
        ("attack", "nothing", "must return finite numbers, got 160 that are NaN"),
        ("detector", "scores", r"truth values of shape \(8,\), got float64"),
    ],
)
def test_what_own_code_returns_is_checked(kind, name, words):
    base = ProblemSpec(n_clients=8, d_out=10, d_in=8, rank=2)
    config = replace(SweepConfig(base), **{kind: own_code(kind, f"mine:{name}")})
    with pytest.raises(ValueError, match=words):
        run_trial(config, 0)


def test_the_command_of_a_sweep_describes_the_same_sweep():
    import argparse
    import shlex

    from clair.cli import sweep

    config = SweepConfig(
        ProblemSpec(noise=0.1, second_share=0.5, seed=7),
        (Axis("screen_coefficients", (False, True)), Axis("gap", ((1.1, 1.2), (1.2, 1.3)))),
        3,
        {"use_rank": "auto", "polish": False},
        ("f1",),
        ("fedavg",),
    )
    parser = argparse.ArgumentParser()
    sweep.add_parser(parser.add_subparsers())
    words = shlex.split(sweep_command(config))
    assert config_of(parser.parse_args(words[3:])) == config


def test_options_as_axes_meet_the_same_problems_and_change_the_fit():
    spec = ProblemSpec(n_clients=8, d_out=10, d_in=8, rank=2, attack="sign_flip")
    config = SweepConfig(spec, (parse_axis("screen=off,on"), parse_axis("noise=0.01,0.02")), 2)
    assert cell_spec(config, 0, 1) == cell_spec(config, 1, 1)
    assert cell_spec(config, 0, 1).seed != cell_spec(config, 2, 1).seed
    for cell, screen in ((0, False), (1, True)):
        problem = sample_problem(cell_spec(config, cell))
        found = fit(problem.updates, 2, screen_coefficients=screen).flagged
        assert run_trial(config, cell)[0] == np.array_equal(found, problem.contaminated)


def test_a_mixture_of_attacks_is_made_of_both_and_uneven_data_of_unequal_noise():
    spec = ProblemSpec(poisoned_fraction=0.4, noise=0.0, attack="scaled", second_share=0.5)
    problem = sample_problem(spec)
    bad = problem.contaminated
    factors = (problem.updates / problem.true_updates)[bad]
    assert np.allclose(factors[:4], 10)
    assert np.allclose(factors[4:], -1)
    assert np.array_equal(problem.updates[~bad], problem.true_updates[~bad])
    drawn = sample_problem(replace(spec, poisoned_fraction=0, noise=0.1, data_spread=1.0))
    levels = (drawn.updates - drawn.true_updates).std(axis=(1, 2))
    assert levels.max() > 2 * levels.min()
    assert np.log(levels / 0.1).std() == pytest.approx(0.5, rel=0.4)
    assert set(ATTACKS) >= {spec.attack, spec.second_attack}
