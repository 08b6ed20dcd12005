"""``python -m clair redteam``."""

from __future__ import annotations

import json

import pytest

from clair import ProblemSpec, sample_problem
from clair.__main__ import main
from clair.redteam import evaluate
from clair.simulation.attack_plan import AttackPlan

SMALL = ["redteam", "--clients", "8", "--d-out", "12", "--d-in", "10", "--budget", "60"]


def test_json_on_standard_output_is_nothing_but_json_and_the_same_every_time(capsys) -> None:
    arguments = [*SMALL, "--rank", "3", "--poisoned", "0.3", "--json", "-", "--seed", "4"]
    assert main(arguments) == 0
    first = capsys.readouterr()
    assert "Searching" in first.err
    assert main(arguments) == 0
    assert capsys.readouterr().out == first.out
    numbers = json.loads(first.out)
    held = {k for draw in numbers["worst"]["draws"] for k in draw["held"]}
    assert held <= set(range(1, 9))
    assert numbers["n_fits"] <= 60
    # a plan and a draw are enough to have the number again
    draw = numbers["worst"]["draws"][0]
    spec = ProblemSpec(**{**numbers["config"]["problem"], "seed": draw["seed"]})
    plan = AttackPlan.from_json(numbers["worst"]["plan"])
    assert evaluate(plan, spec, "clair", 3).harm == pytest.approx(draw["error_over_oracle"])
    truth = sample_problem(spec).contaminated
    assert [k + 1 for k in range(8) if truth[k]] == draw["held"]


def test_words_carry_the_numbers_and_quiet_is_quiet(capsys, tmp_path) -> None:
    target = tmp_path / "out.json"
    assert main([*SMALL, "--defence", "krum", "--quiet", "--json", str(target)]) == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    numbers = json.loads(target.read_text(encoding="utf-8"))
    assert numbers["sentence"] in streams.out
    assert f"{numbers['unflagged']['error_over_oracle']:.2f}" in streams.out
    assert f"{numbers['no_attack']['error_over_oracle']:.2f}" in streams.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--poisoned", "0"], "--poisoned must leave the attacker at least one client"),
        (["--poisoned", "1"], "--poisoned must be in [0, 1), got 1"),
        (["--budget", "3"], "--budget must be at least 50, got 3"),
        (["--workers", "0"], "workers must be at least 1, got 0"),
        (["--rank", "0"], "--rank must be at least 1, got 0"),
        (["--true-rank", "0"], "--true-rank must be at least 1, got 0"),
    ],
)
def test_bad_input_exits_2_and_says_which_rule_was_broken(arguments, message, capsys) -> None:
    assert main(["redteam", *arguments]) == 2
    streams = capsys.readouterr()
    assert message in streams.err
    assert streams.out == ""
