"""The audit command from outside: exit codes, files, messages, interruption."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clair.__main__ import main
from clair.adapters import read_folder
from clair.adapters.simulate import SimulatedSet, write_simulated

ROOT = Path(__file__).resolve().parents[2]
SITES = ROOT / "assets" / "adapters" / "sites"


def run(*arguments):
    return main(["audit", *map(str, arguments)])


def test_clean_contaminated_and_undecided_have_their_exit_codes(site, tmp_path, capsys):
    write_simulated(tmp_path / "clean", SimulatedSet(n_poisoned=0))
    write_simulated(tmp_path / "bad", SimulatedSet())
    site.fill(2)
    assert run(tmp_path / "clean") == 0
    assert "None of 8 adapters stands out" in capsys.readouterr().out
    assert run(tmp_path / "bad") == 1
    out = capsys.readouterr().out
    assert "client-02  FLAGGED" in out
    assert "output side (decides)" in out
    assert run(site.root) == 2
    assert "at least 3 are needed" in capsys.readouterr().out
    (tmp_path / "clean" / "client-03" / "adapter_model.safetensors").write_bytes(b"junk")
    assert run(tmp_path / "clean") == 2
    out = capsys.readouterr().out
    assert "1 could not be judged" in out
    assert "client-03/adapter_model.safetensors: is no safetensors file" in out
    assert run(tmp_path / "missing") == 2
    assert "is not a folder" in capsys.readouterr().err


def test_bundled_example_is_judged_right_on_both_sides(tmp_path, capsys):
    truth = json.loads((SITES.parent / "truth.json").read_text())["poisoned"]
    assert run(SITES, "--out", tmp_path / "r.json") == 1
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["flagged"] == truth
    assert [side["flagged"] for side in report["sides"].values()] == [truth, truth]
    assert sum(f.stat().st_size for f in SITES.rglob("*") if f.is_file()) < 500_000


def test_the_json_report_holds_everything_and_only_json(tmp_path, capsys):
    write_simulated(tmp_path / "in", SimulatedSet())
    code = run(tmp_path / "in", "--out", tmp_path / "a/b/r.json", "--write", tmp_path / "out")
    assert code == 1
    text = (tmp_path / "a/b/r.json").read_text(encoding="utf-8")
    report = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert report["exit_code"] == 1
    assert len(report["clients"]) == 8
    assert len(report["written"]) == 6
    for module in report["modules"]:
        assert module["layer"] in (0, 1)
        assert len(module["deviation"]) == len(report["judged_clients"]) == 8
        assert set(module["suggested_rank"]) == set(module["shared_energy"]) == {"output", "input"}
    for entry in report["written"]:
        assert 0 < entry["truncation_error"] < 0.2
    refined = read_folder(tmp_path / "out")
    assert [a.name for a in refined.adapters] == report["kept"]
    assert {a.rank for a in refined.adapters} == {4}
    assert not list(tmp_path.rglob(".partial*"))


def test_html_report_asks_nobody_for_anything_and_escapes_names(site, tmp_path, capsys):
    site.fill(6, poisoned=[2])
    (site.root / "c2").rename(site.root / "<img src=x onerror=alert(1)>")
    assert run(site.root, "--rank", "2", "--html", tmp_path / "r.html") == 1
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<figure") == 5
    assert len(re.findall(r"plotly\.js \(cartesian[^)]*\) v\d", page)) == 1
    assert "<img src=x" not in page
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page.split("<body>")[1])
    capsys.readouterr()
    site.add("lonely", config={"use_dora": True})
    for k in range(5):
        name = f"c{k}" if k != 2 else "<img src=x onerror=alert(1)>"
        for file in (site.root / name).iterdir():
            file.unlink()
    assert run(site.root, "--html", tmp_path / "none.html") == 2
    assert "could not be judged" in (tmp_path / "none.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rank", "0"], "must be a whole number"),
        (["--rank", "many"], "must be a whole number"),
        (["--side", "left"], "invalid choice"),
        (["--write-rank", "2", "--write-energy", "0.5"], "not allowed with"),
    ],
)
def test_wrong_usage_is_explained(site, capsys, arguments, words):
    with pytest.raises(SystemExit) as caught:
        run(site.fill(3), *arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_nothing_is_overwritten_or_left_half_done(site, tmp_path, capsys):
    site.fill(5)
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine").write_text("keep")
    assert run(site.root, "--rank", "2", "--write", target) == 2
    assert "overwrite nothing" in capsys.readouterr().err
    assert (target / "mine").read_text() == "keep"
    assert run(site.root, "--rank", "2", "--write", tmp_path / "o", "--write-energy", "2") == 2
    assert "energy must be" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "site"]


def test_written_rank_and_energy_are_as_asked(site, tmp_path, capsys):
    site.fill(5)
    for option, value, check in (("--write-rank", 2, {2}), ("--write-energy", 0.5, {1, 2})):
        target = tmp_path / option
        run(site.root, "--rank", "2", "--write", target, option, value)
        assert {a.rank for a in read_folder(target).adapters} <= check


def test_interruption_is_clean(tmp_path):
    write_simulated(tmp_path / "in", SimulatedSet(n_clients=16, layers=20, modules=4, rank=8))
    command = [sys.executable, "-m", "clair", "audit", str(tmp_path / "in")]
    command += ["--write", str(tmp_path / "out"), "--out", str(tmp_path / "r.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    time.sleep(1.5)  # past the imports or not: either way nothing may be left behind
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert process.returncode == -signal.SIGINT or b"Interrupted" in err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_the_command_needs_neither_torch_nor_streamlit():
    code = (
        "import sys; from clair.__main__ import main\n"
        "try: main(['audit', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'streamlit', 'transformers', 'plotly', 'peft'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "exit codes: 0" in done.stdout
