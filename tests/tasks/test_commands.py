"""The tasks' commands: what they write, and how wrong settings are told."""

from __future__ import annotations

import json

import pytest

from clair.__main__ import main
from clair.federated.digits import DigitsConfig


def test_digits_without_a_browser(tmp_path, capsys):
    out = tmp_path / "out.json"
    given = ["digits", "--clients", "6", "--steps", "2", "--skew", "0.5", "--rank", "2"]
    assert main([*given, "--no-screen", "--json", str(out)]) == 0
    payload = json.loads(out.read_text())
    expected = DigitsConfig(n_clients=6, steps=2, skew=0.5, rank=2)
    assert DigitsConfig(**payload["config"]) == expected
    printed = capsys.readouterr().out
    assert "accuracy" in printed
    assert f"{payload['accuracy']['clair']['accuracy']:.3f}" in printed


def test_regression_without_a_browser(capsys):
    assert main(["regression", "--clients", "8", "--no-refit", "--json", "-"]) == 0
    payload = json.loads(capsys.readouterr().out)
    assert payload["config"]["refit"] is False
    assert payload["config"]["rank"] == "auto"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["regression", "--poisoned", "0.6"], "--poisoned must be in [0, 0.5), got 0.6"),
        (["digits", "--n-local", "2"], "--n-local must be at least 4, got 2"),
        (["digits", "--json", "/no/such/place/x.json"], "--json must name a file in a folder"),
    ],
)
def test_wrong_settings_exit_2_and_name_the_option(given, words, capsys):
    assert main(given) == 2
    streams = capsys.readouterr()
    assert words in streams.err
    assert streams.out == ""


@pytest.mark.parametrize("task", ["regression", "digits"])
def test_help_explains_every_option(task, capsys):
    with pytest.raises(SystemExit):
        main([task, "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "Non-negative; the same" in words
    assert "(default: 0.3)" in words
