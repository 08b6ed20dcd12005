"""The command line as a whole: its overview, and what it costs to ask for it."""

import json
import os
import subprocess
import sys

import pytest

import clair
from clair.__main__ import main
from clair.cli.commands import COMMANDS
from clair.cli.tasks import TASKS


def test_the_overview_names_every_command_and_loads_no_numerics():
    code = (
        "import sys, clair.__main__ as line\n"
        "try: line.main(['--help'])\n"
        "finally: assert not {'numpy', 'scipy', 'torch', 'streamlit'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"\n    {name}" in run.stdout for name in COMMANDS)


def test_every_task_has_its_line_in_the_overview():
    assert set(TASKS) == {n for n, (module, _) in COMMANDS.items() if module == "clair.cli.tasks"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"clair {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "DIR", "--bogus"],
        ["bogus"],
        ["--bogus"],
        [],
        ["simulate", "--halves", "--pooling", "eb"],
        ["simulate", "--pooling", "eb", "--halves"],
    ],
    ids=" ".join,
)
def test_what_it_does_not_know_or_contradicts_itself_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way there")
@pytest.mark.parametrize(
    "arguments", [["simulate", "--clients", "4", "--json"], ["audit", "--example", "--out"]]
)
def test_a_reader_that_goes_away_ends_a_command_quietly(arguments, tmp_path):
    written = tmp_path / "numbers.json"
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "clair", *arguments, str(written)],
            stdout=write,
            stderr=subprocess.PIPE,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
    assert json.loads(written.read_text(encoding="utf-8"))


def test_public_names_are_there_when_asked_for():
    assert set(clair.__all__) <= set(dir(clair))
    assert all(hasattr(clair, name) for name in clair.__all__)
    assert not hasattr(clair, "no_such_name")
