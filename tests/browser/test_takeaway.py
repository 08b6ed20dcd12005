"""The report in a real browser, as whoever receives it opens it: from disk, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clair.figures.base import Chart, new_figure
from clair.report.document import Report, Screen, Section, Setting
from clair.report.page import to_html
from clair.report.recipe import Recipe
from clair.report.tables import table

BAD = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Reader:
    """A tab without a network, and what went wrong in it."""

    def __init__(self, browser: Any, width: int = 1280) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(dialog.message))
        self.page.on("console", self._said)

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def open(self, path: Path, charts: int) -> Any:
        """Open a file and wait until its charts are drawn."""
        self.page.goto(path.as_uri())
        self.page.wait_for_function(
            "n => [...document.querySelectorAll('.plot')].filter(p => p.querySelector('.main-svg'))"
            ".length === n",
            arg=charts,
        )
        return self.page


@pytest.fixture
def reader(chromium: Any) -> Iterator[Callable[..., Reader]]:
    """Make readers, and close them at the end."""
    opened: list[Reader] = []

    def make(width: int = 1280) -> Reader:
        opened.append(Reader(chromium, width))
        return opened[-1]

    yield make
    for one in opened:
        one.context.close()


def overflow(page: Any) -> int:
    return int(
        page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
    )


def test_the_labs_report_goes_out_and_opens_anywhere(
    server: Any, visit: Callable[..., Any], reader: Callable[..., Reader], tmp_path: Path
) -> None:
    visitor = visit(server)
    page = visitor.go("/lab?clients=12&attack=colluding&pooling=eb&seed=5")
    said = page.locator(".clair-sentence").inner_text()
    page.get_by_role("button", name="Take it away").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Report", exact=True).click()
    file = tmp_path / caught.value.suggested_filename
    assert file.name == "clair-lab-seed-5.html"
    caught.value.save_as(file)
    with page.expect_download() as caught:
        page.get_by_role("button", name="Clients (CSV)").click()
    caught.value.save_as(tmp_path / "clients.csv")
    assert len((tmp_path / "clients.csv").read_text(encoding="utf-8").splitlines()) == 13

    for width in (1280, 390):
        one = reader(width)
        report = one.open(file, 11)
        assert report.locator(".lead").inner_text() == said
        link = report.get_by_role("link").get_attribute("href")
        assert link.startswith(f"{server.url}/lab?")
        assert "pooling=On" in link
        assert overflow(report) == 0
        assert [url for url in one.asked if not url.startswith(("file:", "data:", "blob:"))] == []
        assert one.problems == []
    # the report's link leads back to the same screen
    again = visit(server)
    assert again.go(link.removeprefix(server.url)).locator(".clair-sentence").inner_text() == said


def test_printed_charts_fit_the_paper_whatever_the_screen(
    reader: Callable[..., Reader], tmp_path: Path
) -> None:
    figure = new_figure("light", 300)
    figure.add_scatter(x=[1, 2, 3], y=[3, 1, 2])
    chart = Chart(figure, "title", "caption", "alt")
    report = Report("p", "t", "s", Recipe("python"), sections=(Section("S", charts=(chart,)),))
    file = tmp_path / "r.html"
    file.write_text(to_html(report), encoding="utf-8")
    page = reader(1280).open(file, 1)
    page.emulate_media(media="print")
    page.evaluate("() => { document.body.style.width = '600px' }")
    page.add_style_tag(content=".plot { width: 500px !important }")
    box = page.locator(".main-svg").first.bounding_box()
    assert box is not None
    assert abs(box["width"] - 500) < 1
    assert abs(box["height"] - 500 * 300 / 840) < 20  # as wide as its drawing was, only smaller


def test_hostile_names_do_nothing_and_no_other_script_could_run(
    reader: Callable[..., Reader], tmp_path: Path
) -> None:
    figure = new_figure("light", 200)
    figure.add_bar(x=[BAD, "</script><script>alert(3)</script>"], y=[1, 2])
    content = table("t", BAD, [("name", BAD)], [(BAD,)], BAD)
    report = Report(
        BAD,
        BAD,
        BAD,
        Recipe(BAD, BAD, BAD),
        screen=Screen((Setting(BAD, BAD, BAD),), "javascript:alert(4)"),
        sections=(Section(BAD, (BAD,), (Chart(figure, BAD, BAD, BAD),), (content,)),),
    )
    file = tmp_path / "r.html"
    file.write_text(to_html(report), encoding="utf-8")
    one = reader()
    page = one.open(file, 1)
    assert page.locator("main img").count() == 0
    assert page.get_by_role("link").count() == 0
    assert one.problems == []
    # as if a name had not been escaped
    broken = to_html(report).replace("<main>", "<main><script>window.ran = true</script>")
    (tmp_path / "broken.html").write_text(broken, encoding="utf-8")
    other = reader()
    assert other.open(tmp_path / "broken.html", 1).evaluate("window.ran") is None
    assert any("Content Security Policy" in problem for problem in other.problems)
