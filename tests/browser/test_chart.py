"""The chart component in Chromium: drawn in place, resized, saved as a picture."""

from __future__ import annotations

import csv
import re
import struct
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import plotly.graph_objects as graph_objects
import pytest
from plotly.basedatatypes import BaseTraceType

from clair.app.pages import lab
from clair.simulation.scenario import run_scenario
from tests.serving import ROOT, Server

ALL_KINDS = {
    name.lower()
    for name in dir(graph_objects)
    if isinstance(kind := getattr(graph_objects, name), type) and issubclass(kind, BaseTraceType)
}
TALL = "document.querySelector('.clair-chart .main-svg').clientHeight"
FITS = """() => {
  const plot = document.querySelector('.js-plotly-plot')
  const fits = Math.abs(plot.querySelector('.main-svg').clientWidth - plot.clientWidth) < 2
  return fits && plot.clientWidth
}"""
DRAWN = "(n) => document.querySelectorAll('.clair-chart .main-svg').length >= 3 * n"


def test_a_change_is_drawn_into_the_same_chart_and_only_its_own(
    server: Server, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lab?view=verdict")
    page.wait_for_function(DRAWN, arg=2)
    page.evaluate(
        "document.querySelectorAll('.js-plotly-plot').forEach((plot, i) => { plot.mark = i })"
    )
    heights = (
        "[...document.querySelectorAll('.js-plotly-plot')]"
        ".slice(0, 2).map(plot =>"  # the third has a mark a client and kind of evidence
        " [plot.mark, plot._fullData.find(trace => trace.name === 'honest').y.length])"
    )
    before = page.evaluate(heights)
    page.get_by_role("group", name="Clients", exact=True).get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    wanted = [[place, honest + 1] for place, honest in before]
    page.wait_for_function(
        f"(wanted) => JSON.stringify({heights}) === JSON.stringify(wanted)", arg=wanted
    )


def test_a_chart_outlives_a_quick_hand_on_the_slider(
    server: Server, visit: Callable[..., Any]
) -> None:
    """Check that of calls in quick succession only the last one may ever clean up."""
    visitor = visit(server)
    page = visitor.go("/lab?view=errors")
    page.wait_for_function(DRAWN, arg=1)
    page.get_by_role("group", name="Noise", exact=True).get_by_role("slider").focus()
    for _ in range(6):
        with visitor.asks():
            page.keyboard.press("ArrowRight")
    page.wait_for_function("location.search.includes('noise=0.09')")
    visitor.idle()
    page.wait_for_function(DRAWN, arg=1)
    plot = "document.querySelector('.js-plotly-plot')"
    shown = page.evaluate(
        "JSON.parse(document.querySelector('.clair-chart').chart.spec).data.length"
    )
    assert page.evaluate(f"{plot}.data.length") == shown
    before = page.evaluate(f"{plot}.querySelector('.main-svg').clientWidth")
    page.set_viewport_size({"width": 600, "height": 1600})
    page.wait_for_function(f"(w) => {plot}.querySelector('.main-svg').clientWidth < w", arg=before)


def test_a_chart_says_why_it_is_not_drawn_and_what_it_would_show(
    server: Server, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    visitor.page.route("**/plotly-cartesian.min.js", lambda route: route.fulfill(status=404))
    page = visitor.go("/lab?view=verdict")
    page.wait_for_function(
        "document.querySelector('.clair-chart .plot')?.textContent.includes('By client')"
    )
    reason = page.locator(".clair-chart .plot p").first.inner_text()
    assert "plotly-cartesian.min.js" in reason
    assert "404" in reason
    page.unroute("**/plotly-cartesian.min.js")
    page.get_by_role("group", name="Noise", exact=True).get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(DRAWN, arg=2)
    assert "By client" not in page.locator(".clair-chart .plot").first.inner_text()


def saved_by_keyboard(page: Any) -> None:
    """Save a chart with its takeaway, as SVG by keyboard and as PNG."""
    chart = page.locator(".clair-chart").first
    chart.locator("summary").focus()
    page.keyboard.press("Enter")
    with page.expect_download() as svg:
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    assert svg.value.suggested_filename == "clair-lab-errors.svg"
    picture = ElementTree.parse(svg.value.path()).getroot()
    words = " ".join(" ".join(e.itertext()) for e in picture.iter() if e.tag.endswith("}text"))
    title = page.evaluate("document.querySelector('.clair-chart').chart.title")
    assert re.sub(r"\s", "", title) in re.sub(r"\s", "", words)
    assert "CLAIR" in words

    chart.locator("summary").click()
    with page.expect_download() as png:
        chart.get_by_role("button", name="Save as PNG").click()
    head = png.value.path().read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", head[16:20])[0] >= 1200
    assert page.evaluate("document.querySelector('.clair-chart details').open") is False


def saved_as_numbers(page: Any) -> None:
    """Save a chart as the numbers it shows."""
    page.locator(".clair-chart summary").first.click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Save data as CSV").click()
    assert caught.value.suggested_filename == "clair-lab-errors.csv"
    with open(caught.value.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for entry in run_scenario(lab.scenario_of({c.key: c.default for c in lab.CONTROLS})).errors:
        dots = [float(row["x"]) for row in rows if row["series"] == entry.label]
        assert dots == pytest.approx(entry.per_client, rel=1e-12)
        bar = [float(row["x"]) for row in rows if row["series"] == f"{entry.label}, mean"]
        assert bar == pytest.approx([entry.mean] * 2)


def check_bundle(page: Any) -> None:
    """Check that the bundle knows every kind of chart that we draw."""
    known = set(page.evaluate("Object.keys(Plotly.PlotSchema.get().traces)"))
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "clair").rglob("*.py"))
    used = {name.lower() for name in re.findall(r"\b(?:go\.|add_)(\w+)\(", sources)} & ALL_KINDS
    assert {"scatter", "bar", "heatmap"} <= used
    assert used <= known


def test_a_chart_is_saved_enlarged_and_fills_its_place(
    server: Server, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lab?view=errors")
    page.wait_for_function(DRAWN, arg=1)
    check_bundle(page)
    saved_by_keyboard(page)
    saved_as_numbers(page)
    before = page.evaluate(TALL)
    page.locator(".clair-chart summary").first.click()
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function(f"(before) => document.fullscreenElement && {TALL} > before", arg=before)
    page.evaluate("document.exitFullscreen()")
    page.wait_for_function(f"(before) => {TALL} === before", arg=before)
    wide = page.wait_for_function(FITS).json_value()
    page.set_viewport_size({"width": 560, "height": 1600})
    page.wait_for_function(f"(wide) => ({FITS})() && ({FITS})() < wide - 200", arg=wide)
