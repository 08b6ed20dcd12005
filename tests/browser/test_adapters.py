"""The page "Your adapters" in a real browser: uploads, privacy between visitors, downloads."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clair.adapters.simulate import SimulatedSet, write_simulated


def sentence(page: Any) -> str:
    """Read the plain sentence under the title."""
    return str(page.locator(".clair-sentence").first.inner_text())


def wait_for(page: Any, words: str) -> None:
    """Wait until the sentence holds some words."""
    page.wait_for_function(
        "(words) => document.querySelector('.clair-sentence')?.innerText.includes(words)", arg=words
    )


def test_upload_judge_download_and_nothing_for_the_next_visitor(
    server: Any, visit: Callable[..., Any], tmp_path: Path
) -> None:
    root = tmp_path / "mine"
    spec = SimulatedSet(n_clients=6, n_poisoned=1, layers=3, seed=3)
    (poisoned,) = write_simulated(root, spec)
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root).as_posix())
    first, second = visit(server), visit(server)
    page, other = first.go("/adapters?view=where"), second.go("/adapters")
    assert "2 of 10" in sentence(page)
    page.locator("input[type=file]").set_input_files(str(tmp_path / "mine.zip"))
    wait_for(page, "1 of 6 adapters stands out over 6 modules")
    first.idle()
    assert poisoned in sentence(page)
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 2")
    other.reload()
    second.idle()
    assert "2 of 10" in sentence(other)
    assert poisoned not in other.locator("body").inner_text()

    page.get_by_role("button", name="Make refined adapters (5)").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Download refined adapters (5)").click()
    with zipfile.ZipFile(caught.value.path()) as archive:
        names = archive.namelist()
    assert "truncation.json" in names
    assert sum(name.endswith("adapter_model.safetensors") for name in names) == 5
    assert not any(poisoned in name for name in names)
    page.get_by_role("button", name="Take it away").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Report", exact=True).click()
    caught.value.save_as(tmp_path / "report.html")
    assert page.get_by_text("Copy link").count() == 0
    page.get_by_role("link", name="Overview").first.click()
    page.get_by_role("heading", name="Your adapters").wait_for(state="detached")
    first.idle()
    page.get_by_role("link", name="Your adapters").first.click()
    wait_for(page, "1 of 6 adapters stands out over 6 modules")
    page.reload()
    wait_for(page, "1 of 6 adapters stands out over 6 modules")
    first.idle()
    page.get_by_role("button", name="Remove").click()
    wait_for(page, "2 of 10")
    first.idle()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Sample zip").click()
    caught.value.save_as(tmp_path / "sample.zip")
    page.locator("input[type=file]").set_input_files(str(tmp_path / "sample.zip"))
    page.get_by_text("Shown: your upload").wait_for()
    wait_for(page, "2 of 10")


def test_the_html_report_draws_its_charts_and_asks_for_nothing(
    chromium: Any, tmp_path: Path
) -> None:
    from clair.adapters import audit, read_folder
    from clair.report.adapters import audit_report
    from clair.report.page import to_html

    write_simulated(tmp_path / "s", SimulatedSet())
    report = tmp_path / "report.html"
    found = audit(read_folder(tmp_path / "s"))
    report.write_text(to_html(audit_report(found)), encoding="utf-8")
    page = chromium.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(report.as_uri())
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 12")
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert problems == []
    fills = page.evaluate(
        "[...document.querySelectorAll('.scatterlayer .point')].map(p => p.style.fill)"
    )
    assert "rgb(0, 114, 178)" in fills  # the colours of the palette, not a template's
    page.close()
