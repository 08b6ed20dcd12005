"""The audit command from outside: exit codes, files, messages, interruption."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clair.__main__ import main
from clair.adapters import read_folder
from clair.adapters.progress import STAGE_LABELS
from clair.adapters.simulate import SimulatedSet, write_simulated

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 180.0  # seconds until a test that would hang fails instead
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
    assert re.search(r"client-02 +FLAGGED", out)
    assert "output side (decides)" in out
    assert run(site.root) == 2
    assert "at least 4 are needed" in capsys.readouterr().out
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
    # The published rule is the only kind that takes no part in the verdict, and its line says so.
    assert re.search(r"norm[^(]*does not decide", capsys.readouterr().out)
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
    assert page.count("<figure") == 6
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


def test_nothing_is_written_where_the_next_audit_would_count_it(site, tmp_path, capsys):
    site.fill(5)
    assert run(site.root, "--rank", "2", "--write", site.root / "c0" / "refined") == 2
    assert "outside of it" in capsys.readouterr().err
    assert sorted(p.name for p in site.root.rglob("*") if p.is_dir()) == [f"c{k}" for k in range(5)]


def test_the_numbers_are_written_also_where_nothing_could_be_judged(site, tmp_path, capsys):
    for k in range(4):
        site.add(f"c{k}", k, config={"base_model_name_or_path": f"org/model-{k % 2}"})
    assert run(site.root, "--out", tmp_path / "tie.json") == 2
    assert "--any-base" in json.loads((tmp_path / "tie.json").read_text())["reason"]
    assert run(tmp_path / "missing", "--out", tmp_path / "none.json") == 2
    assert "is not a folder" in json.loads((tmp_path / "none.json").read_text())["reason"]


def test_what_could_not_be_judged_may_be_accepted(site, capsys):
    site.fill(6)
    (site.root / "notes").mkdir()
    assert run(site.root, "--rank", "2") == 2
    assert run(site.root, "--rank", "2", "--allow-unjudged") == 0


def test_written_rank_and_energy_are_as_asked(site, tmp_path, capsys):
    site.fill(5)
    for option, value, check in (("--write-rank", 2, {2}), ("--write-energy", 0.5, {1, 2})):
        target = tmp_path / option
        run(site.root, "--rank", "2", "--write", target, option, value)
        assert {a.rank for a in read_folder(target).adapters} <= check


def wait_for(shown, process, words):
    """Read a terminal until it shows some words."""
    seen, end = b"", time.monotonic() + PATIENCE
    while words.encode() not in seen:
        assert process.poll() is None, "the command ended by itself"
        assert time.monotonic() < end, f"no {words!r} in {seen[-200:]!r}"
        if select.select([shown], [], [], 0.1)[0]:
            seen += os.read(shown, 4096)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("stage", ["folder", "read", "detect", "split", "write"])
def test_interruption_is_clean(tmp_path, stage):
    # Large enough for every stage to last while a busy machine wakes this process up.
    spec = SimulatedSet(n_clients=8, layers=12, modules=2, d_out=3000, d_in=3000, rank=8)
    write_simulated(tmp_path / "in", spec)
    command = [sys.executable, "-m", "clair", "audit", str(tmp_path / "in"), "--rank", "3"]
    command += ["--write", str(tmp_path / "out"), "--out", str(tmp_path / "r.json")]
    shown, terminal = os.openpty()  # progress is drawn on terminals only
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # A process that is started in the background ignores SIGINT, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(terminal)
    try:
        wait_for(shown, process, STAGE_LABELS[stage])
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.wait()
        os.close(shown)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_an_interrupt_swallowed_by_a_callback_is_not_lost(tmp_path, monkeypatch, capsys):
    write_simulated(tmp_path / "in", SimulatedSet())

    def swallowed(self, progress):
        with contextlib.suppress(
            KeyboardInterrupt
        ):  # as Python does in a weak reference's callback
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("clair.cli.audit.ProgressBar.show", swallowed)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run(tmp_path / "in", "--write", tmp_path / "out") == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
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
