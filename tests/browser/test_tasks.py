"""Regression and digits in a real browser: live sliders, a real run, a phone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 1000  # milliseconds
PATIENCE = 120 * SECONDS


def sentence(page: Any) -> str:
    return str(page.locator(".clair-sentence").first.inner_text())


def overflow(page: Any) -> int:
    return int(
        page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
    )


def test_a_slider_moves_the_regression_and_its_link_opens_it_again(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/regression?reg_clients=12")
    assert "all 4 poisoned clients" in sentence(page)
    page.locator(".st-key-regression_comparison .main-svg").first.wait_for(timeout=PATIENCE)
    before = sentence(page)
    slider = page.get_by_role("slider", name="Noise")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(old) => document.querySelector('.clair-sentence')?.innerText !== old", arg=before
    )
    visitor.idle()
    after = sentence(page)
    assert "reg_noise=1.1" in page.url

    again = visit(server)
    assert sentence(again.go(page.url.removeprefix(server.url))) == after

    page.get_by_role("radio", name="How much data it takes").click()
    page.locator(".st-key-regression_gain .main-svg").first.wait_for(timeout=PATIENCE)
    assert page.locator(".js-plotly-plot").count() == 4


def test_a_digits_run_to_its_result_on_a_phone(
    server: Any, visit: Callable[..., Any], tmp_path: Path
) -> None:
    visitor = visit(server, viewport={"width": 390, "height": 1600})
    page = visitor.go("/digits?dig_seed=4")
    assert page.get_by_text("made beforehand").count() == 1
    assert page.locator("figure img").count() == 12
    assert overflow(page) == 0
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Below: your run").first.wait_for(timeout=PATIENCE)
    visitor.idle()
    assert re.search(r"flagged (all|only)? ?\d? ?.*poisoned clients", sentence(page))
    assert "job=" in page.url
    assert overflow(page) == 0
    page.get_by_role("button", name="Take it away").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="All numbers (JSON)").click()
    download.value.save_as(tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["config"]["seed"] == 4
    assert set(run["flips_to_clair"]) >= {"local", "fedavg"}


def test_a_recorded_federation_tells_its_rounds_on_a_phone(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server, viewport={"width": 390, "height": 1600})
    page = visitor.go("/federation")
    assert overflow(page) == 0
    for key in ("federation_rounds", "federation_rounds_verdict", "federation_losses"):
        page.locator(f".st-key-{key} .main-svg").first.wait_for(timeout=PATIENCE)
    assert page.get_by_text("set aside: did not answer").count() == 2
    shown = page.locator(".st-key-federation_rounds .ytitle").first
    before = shown.text_content()
    with visitor.rerun():
        page.get_by_role("radio", name="exact copies after the client's own training").click()
    visitor.until(lambda: shown.text_content() != before, "the other measure")
