"""The page "Your adapters" from state to state, with uploads in memory."""

from __future__ import annotations

import gc
import io
import json
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from clair.adapters import Audit, AuditOptions, read_folder
from clair.adapters.simulate import SimulatedSet, write_simulated
from clair.app.components import chart
from clair.app.kit import jobs
from clair.app.kit.plain import plain
from clair.app.pages import adapters, adapters_upload
from clair.app.pages.adapters import Source
from clair.jobs import JobPool, JobState
from tests.app.elements import charts, prose, sentence, visit

SITES = adapters.EXAMPLE
PATIENCE = 60.0  # seconds until a test that would hang fails instead


def opened(**query: str) -> AppTest:
    """Open the page as a fresh visitor, with parameters in the address."""
    return visit("adapters", **query)


def packed(folder: Path, *names: str) -> bytes:
    """Zip some of the clients below a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names or sorted(p.name for p in folder.iterdir()):
            for path in (folder / name).iterdir():
                archive.write(path, path.relative_to(folder).as_posix())
    return buffer.getvalue()


def judged(at: AppTest, kind: str = "adapters") -> AppTest:
    """Run the page once its job in the queue has ended."""
    assert not at.exception
    job_id = at.session_state["_jobs"].get(kind)
    if job_id is not None:
        jobs.pool().wait(job_id, timeout=PATIENCE)
        at.run()
        assert not at.exception
    return at


def test_first_paint_shows_the_bundled_example_and_names_its_truth() -> None:
    at = opened()
    assert not at.exception
    names = adapters.truth()
    assert all(name in sentence(at) for name in names)
    assert sentence(at).startswith("2 of 10 adapters")
    assert next(m for m in at.metric if m.label == "Flagged").value == "2 of 10"
    assert any("bundled example" in m.value for m in at.markdown)


@pytest.mark.parametrize("view", ["evidence", "where", "modules", "sides"])
def test_every_view_draws(view: str) -> None:
    at = opened(view=view)
    assert not at.exception
    assert len(charts(at)) >= 1


def test_settings_change_the_result_and_reset_brings_it_back() -> None:
    at = opened(use_rank="1")
    assert next(m for m in at.metric if m.label == "Shared rank").value == "1"
    at.button(key="adapters_reset").click().run()
    assert next(m for m in at.metric if m.label == "Shared rank").value != "1"
    assert sentence(at).startswith("2 of 10 adapters")


def test_an_upload_replaces_the_example_and_its_removal_brings_it_back(tmp_path: Path) -> None:
    poisoned = write_simulated(tmp_path / "s", SimulatedSet(n_clients=6, n_poisoned=1, seed=3))
    at = opened()
    uploader = at.file_uploader(key="adapters_upload")
    judged(uploader.upload("mine.zip", packed(tmp_path / "s"), "application/zip").run())
    assert sentence(at).startswith(f"1 of 6 adapters stands out over 4 modules: {poisoned[0]}.")
    assert not any("bundled example" in m.value for m in at.markdown)
    # What is drawn of it is not kept where others' drawings are.
    for view in adapters.VIEW.ids:
        before = len(chart._KEPT._entries)
        at.segmented_control(key="view").set_value(view).run()
        assert not at.exception
        assert charts(at)
        assert len(chart._KEPT._entries) == before
    # Another visitor of the same server sees nothing of it.
    assert sentence(opened()).startswith("2 of 10 adapters")
    at.file_uploader(key="adapters_upload").set_value([]).run()
    assert sentence(at).startswith("2 of 10 adapters")


def test_an_upload_stays_on_other_pages_and_in_a_reloaded_tab_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (poisoned,) = write_simulated(tmp_path / "s", SimulatedSet(n_clients=6, n_poisoned=1, seed=3))
    monkeypatch.setattr(jobs, "visitor", lambda: "one browser")
    at = opened()
    assert any("bundled example" in m.value for m in at.markdown)
    uploader = at.file_uploader(key="adapters_upload")
    judged(uploader.upload("mine.zip", packed(tmp_path / "s"), "application/zip").run())
    at.switch_page("pages/overview.py").run()
    at.switch_page("pages/adapters.py").run()
    again = judged(opened())
    for shown in (at, again):
        assert poisoned in sentence(shown)
        assert any("mine.zip" in m.value for m in shown.markdown)
    again.button(key="adapters_remove").click().run()
    assert sentence(again).startswith("2 of 10 adapters")
    del at, again, uploader, shown
    gc.collect()
    assert not adapters_upload._BY_VISITOR


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let audits of uploads wait until this event is set."""
    opened, real = threading.Event(), adapters.run

    def run(source: Source, options: AuditOptions, report: Any = None, stop: Any = None) -> Audit:
        if source.files:
            assert opened.wait(PATIENCE)
        return real(source, options, report, stop)

    monkeypatch.setattr(adapters, "run", run)
    yield opened
    opened.set()


def test_an_audit_waits_in_the_queue_with_its_place_and_can_be_cancelled(
    pool: JobPool, gate: threading.Event
) -> None:
    first, second = opened(), opened()
    for at in (first, second):
        at.file_uploader(key="adapters_upload").upload(
            "a.zip", packed(SITES), "application/zip"
        ).run()
        assert sentence(at) == "Your adapters are being judged."
    assert "job" not in first.query_params
    assert "number 1 in the queue, 1 run before yours" in prose(second)
    second.button(key="adapters_cancel").click().run()
    assert sentence(second) == "No verdict: the run was stopped."
    gate.set()
    assert sentence(judged(first)).startswith("2 of 10 adapters")
    assert sentence(second.run()) == "No verdict: the run was stopped."
    second.button(key="adapters_run").click().run()
    assert sentence(judged(second)).startswith("2 of 10 adapters")
    pool.close()  # what is kept in the session needs no job any more
    assert sentence(second.run()).startswith("2 of 10 adapters")


def test_other_files_or_settings_stop_the_audit_that_is_under_way(
    pool: JobPool, gate: threading.Event
) -> None:
    at = opened()
    at.file_uploader(key="adapters_upload").upload("a.zip", packed(SITES), "application/zip").run()
    old = at.session_state["_jobs"]["adapters"]
    pool.wait(old, until=JobState.RUNNING, timeout=PATIENCE)
    at.segmented_control(key="side").set_value("input").run()
    assert at.session_state["_jobs"]["adapters"] != old
    assert pool.get(old).stopping
    gate.set()
    judged(at)
    assert pool.wait(old, timeout=PATIENCE).state is JobState.CANCELLED
    assert sentence(at).startswith("2 of 10 adapters")


def test_a_full_queue_is_said_and_run_asks_again(pool: JobPool, gate: threading.Event) -> None:
    at = opened()
    busy = [pool.submit("0", lambda r, c: gate.wait(PATIENCE), kind="test")]
    pool.wait(busy[0], until=JobState.RUNNING, timeout=PATIENCE)
    busy += [pool.submit(who, lambda r, c: None, kind="test") for who in ("1", "2")]
    at.file_uploader(key="adapters_upload").upload("a.zip", packed(SITES), "application/zip").run()
    assert "This machine is busy" in prose(at)
    gate.set()
    for job_id in busy:
        pool.wait(job_id, timeout=PATIENCE)
    at.button(key="adapters_run").click().run()
    assert sentence(judged(at)).startswith("2 of 10 adapters")


def test_refined_adapters_are_made_when_asked_for_and_for_these_settings() -> None:
    def downloads() -> list[str]:
        labels = [button.label for button in at.get("download_button")]
        return [label for label in labels if "refined" in label]

    at = opened()
    assert not downloads()
    at.button(key="adapters_make").click().run()
    judged(at, "refined")
    assert downloads() == ["Download refined adapters (8)"]
    at.selectbox(key="size").select("rank4").run()
    assert not downloads()
    assert at.button(key="adapters_make").label == "Make refined adapters (8)"


def test_an_upload_that_cannot_be_judged_says_why(tmp_path: Path) -> None:
    at = opened()
    names = sorted(p.name for p in SITES.iterdir())[:2]
    at.file_uploader(key="adapters_upload").upload(
        "two.zip", packed(SITES, *names), "application/zip"
    ).run()
    judged(at)
    assert "at least 4 are needed" in sentence(at)
    at.file_uploader(key="adapters_upload").set_value(
        [("broken.zip", b"PK nonsense", "application/zip")]
    ).run()
    judged(at)
    assert "could not be judged" in sentence(at)


def test_an_adapter_that_cannot_be_read_is_named_with_its_reason_and_the_others_judged() -> None:
    names = sorted(path.name for path in SITES.iterdir())
    buffer = io.BytesIO(packed(SITES))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("si*te*/adapter_config.json", "{}")
        archive.writestr("si*te*/adapter_model.safetensors", b"no tensors")
    at = opened()
    at.file_uploader(key="adapters_upload").upload(
        "all.zip", buffer.getvalue(), "application/zip"
    ).run()
    judged(at)
    assert sentence(at).startswith("2 of 10 adapters")
    (told,) = [m.value for m in at.markdown if m.value.startswith("Not judged:")]
    assert plain("si*te*") in told
    assert len(told) > len("Not judged: si te: ") + 20  # a reason, too
    table = at.dataframe[0].value
    assert sorted(table["client"]) == sorted([*names, "si*te*"])
    assert not table[table["verdict"] != "not judged"].isna().any().any()


def test_nothing_of_an_upload_stays_on_disk_and_the_download_holds_refined_adapters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    source = Source((("all.zip", "1", packed(SITES)),))
    options = adapters.options_of({c.key: c.default for c in adapters.CONTROLS})
    result = adapters.run(source, options)
    assert result.judged is None
    assert [c.name for c in result.named("flagged")] == adapters.truth()
    data = adapters.refined_zip(source, options, {"energy": 0.9})
    assert list((tmp_path / "temporary").iterdir()) == []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        table = json.loads(archive.read("truncation.json"))
        archive.extractall(tmp_path / "out")
    (tmp_path / "out" / "truncation.json").unlink()
    assert len(read_folder(tmp_path / "out").adapters) == len(table) == 8
    assert all(0 < entry["truncation_error"] <= 0.1**0.5 + 1e-9 for entry in table)


@pytest.mark.parametrize(
    ("size", "expected"),
    [("own", {}), ("rank8", {"rank": 8}), ("energy99", {"energy": 0.99})],
)
def test_sizes_of_refined_adapters(size: str, expected: dict[str, float]) -> None:
    assert adapters.size_of({"size": size}) == expected


def test_names_from_outside_are_no_markdown() -> None:
    assert plain("**a** [b](c) `d` :red[e] $x$") == (r"\*\*a\*\* \[b\]\(c\) \`d\` \:red\[e\] \$x\$")


def test_refined_adapters_follow_halves_that_come_along() -> None:
    names = [path.name for path in sorted(SITES.iterdir())][:6]
    full = packed(SITES, *names)
    files = tuple((f"{name}.zip", name, full) for name in ("all", "half-a", "half-b"))
    source, options = Source(files), AuditOptions(rank=2)
    result = adapters.run(source, options)
    assert result.options.pooling == "halves"
    assert result.caveat == ""
    made = zipfile.ZipFile(io.BytesIO(adapters.refined_zip(source, result.options, {})))
    kept = len(result.named("kept")) + len(result.named("suspect"))
    assert len([n for n in made.namelist() if n.endswith(".safetensors")]) == kept
    alone = adapters.run(Source(files[:1]), options)
    assert "nobody can know" in alone.caveat
    assert any("nobody can know" in c.value for c in opened().caption)
