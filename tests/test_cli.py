"""``python -m clair copytask``."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from clair.__main__ import main
from clair.cli.tasks import TASKS
from clair.cli.terminal import ProgressBar
from clair.federated.copytask import CopyTaskConfig
from clair.federated.results import TrainingProgress

QUICK = ["copytask", "--clients", "4", "--steps", "4", "--device", "cpu"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clients", "2"], "--clients must be at least 4, got 2"),
        (["--poisoned", "0.6"], "--poisoned must be in [0, 0.5), got 0.6"),
        (["--heterogeneity", "1.5"], "--heterogeneity must be in [0, 1], got 1.5"),
        (["--heterogeneity", "nan"], "--heterogeneity must be a finite number, got nan"),
        (["--rank", "99"], "--rank must be at most 16, got 99"),
        (["--sentences", "0"], "--sentences must be at least 1, got 0"),
        (["--json", "/no/such/folder/out.json"], "--json must name a file in a folder that exists"),
    ],
)
def test_bad_input_exits_2_and_says_which_rule_was_broken(arguments, message, capsys) -> None:
    assert main(["copytask", *arguments]) == 2
    streams = capsys.readouterr()
    assert message in streams.err
    assert streams.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clients", "many"], "--clients: invalid int value: 'many'"),
        (["--attack", "sulk"], "--attack: invalid choice: 'sulk'"),
        (["--rank", "x"], "--rank: must be a whole number or \"auto\", got 'x'"),
    ],
)
def test_words_that_are_no_numbers_exit_2(arguments, message, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["copytask", *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_json_to_standard_output_is_nothing_but_json(capsys) -> None:
    pytest.importorskip("torch")
    assert main([*QUICK, "--json", "-", "--seed", "3", "--heterogeneity", "0.5"]) == 0
    streams = capsys.readouterr()
    numbers = json.loads(streams.out)
    assert numbers["config"]["heterogeneity"] == 0.5
    assert numbers["config"]["seed"] == 3
    assert "Training the clients" in streams.err


def test_table_on_standard_output_and_json_in_a_file(capsys, tmp_path) -> None:
    pytest.importorskip("torch")
    target = tmp_path / "out.json"
    assert main([*QUICK, "--json", str(target), "--quiet"]) == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    numbers = json.loads(target.read_text(encoding="utf-8"))
    for key in ("local", "clair"):
        assert f"{numbers['accuracy'][key]['exact_match']:.3f}" in streams.out
    assert "oracle" in streams.out


def test_interrupting_exits_130(monkeypatch, capsys) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    stopped = replace(TASKS["copytask"], run=interrupted)
    monkeypatch.setitem(TASKS, "copytask", stopped)
    assert main(QUICK) == 130
    assert "Interrupted" in capsys.readouterr().err


class Terminal:
    """A stream that calls itself a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_the_bar_shows_share_loss_and_time_left_and_goes_away() -> None:
    terminal = Terminal()
    bar = ProgressBar(terminal)
    bar.show(TrainingProgress("train", 20, 80, 0.5, 12.4, np.array([1.0, 2.0])))
    assert "[############------------]" in terminal.text
    assert "20/80, mean loss 1.50, 12 s left" in terminal.text
    bar.clear()
    assert terminal.text.endswith("\r\x1b[K")


def test_help_names_every_default(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["copytask", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, option in TASKS["copytask"].options.items():
        about = shown.split(f" {option} ")[-1].split(" --")[0]
        if name != "screen_coefficients":
            assert f"(default: {getattr(CopyTaskConfig(), name)})" in about, option


def test_help_needs_no_torch() -> None:
    code = "import sys; from clair.__main__ import main\ntry: main(['copytask', '--help'])\n"
    code += (
        "except SystemExit: pass\nprint('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")
    assert "Backdoor word" in done.stdout
