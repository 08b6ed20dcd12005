"""The text-copying page in a real browser with the real training."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 1000  # milliseconds
MINUTES = 60 * SECONDS  # the default run takes 4 to 20 s on two idle cores; busy ones get more
# Live views are tested on runs that outlast every wait below and are then cancelled.
LONG = "copy_steps=200&copy_clients=64"
ASSET = Path(__file__).parents[2] / "assets" / "copytask" / "default_result.json"


def press_run(page: Any) -> Any:
    """Press Run and return the live panel."""
    page.get_by_role("button", name="Run").click()
    live = page.locator(".st-key-copying_live")
    live.get_by_role("button", name="Cancel").wait_for(timeout=MINUTES)
    page.wait_for_url(re.compile("job="))
    return live


def wait_for_text(page: Any, text: str, minutes: float = 3) -> None:
    page.get_by_text(text).first.wait_for(timeout=minutes * MINUTES)


def job_of(page: Any) -> str:
    found = re.search(r"[?&]job=([\w-]+)", page.url)
    assert found, page.url
    return found.group(1)


def test_the_default_job_to_its_result(
    server: Any, visit: Callable[..., Any], tmp_path: Path
) -> None:
    visitor = visit(server)
    page = visitor.go("/copying")
    assert page.get_by_text("made beforehand").count() == 1
    page.get_by_role("button", name="Run").click()
    wait_for_text(page, "Below: your run")
    job = job_of(page)
    page.reload()  # a new session finds the result by its address
    wait_for_text(page, "Below: your run")
    assert job_of(page) == job
    page.locator(".st-key-copying_comparison .main-svg").first.wait_for(timeout=MINUTES)

    page.get_by_role("button", name="Take it away").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="All numbers (JSON)").click()
    download.value.save_as(tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    beforehand = json.loads(ASSET.read_text())
    assert run["config"] == beforehand["config"]
    assert run["contaminated"] == run["flagged"] == beforehand["flagged"]
    for method, values in beforehand["accuracy"].items():
        # other processors round differently, and eighty steps make that visible
        assert abs(run["accuracy"][method]["token"] - values["token"]) < 0.1, method


def test_a_running_job_is_found_again_while_a_second_visitor_waits_for_its_end(
    server: Any, visit: Callable[..., Any]
) -> None:
    page = visit(server).go(f"/copying?copy_seed=3&{LONG}")
    other = visit(server).go("/copying?copy_seed=2&copy_steps=10")
    live = press_run(page)
    other_live = press_run(other)
    wait_for_text(other, "number 1 in the queue, 1 run before yours")
    assert other.get_by_text("While you wait").count() == 1
    wait_for_text(page, "Training the clients, step")
    live.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=MINUTES)
    job = job_of(page)

    page.get_by_role("link", name="Overview").click()
    badge = page.get_by_role("link", name=re.compile("Text copying: ")).first
    badge.wait_for(timeout=MINUTES)
    badge.click()
    cancel = live.get_by_role("button", name="Cancel")
    cancel.wait_for(timeout=MINUTES)
    assert job_of(page) == job

    page.reload()  # a new session finds the job by its address
    cancel.wait_for(timeout=MINUTES)
    assert job_of(page) == job
    wait_for_text(page, "Training the clients, step")
    cancel.click()
    wait_for_text(page, "nothing of that run is kept", minutes=1)
    wait_for_text(other, "Below: your run")
    assert other_live.count() == 0
    assert other.get_by_role("button", name="Run").is_enabled()
