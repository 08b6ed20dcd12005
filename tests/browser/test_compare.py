"""Compare A and B in a real browser: both sides in the address, the same axes, a narrow window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

AXES = """() => [...document.querySelectorAll('.js-plotly-plot')].map(
  (plot) => [plot._fullLayout.xaxis.range, plot._fullLayout.yaxis.range,
    Math.round(plot._fullLayout._size.h)])"""


def address(page: Any) -> dict[str, str]:
    """Read the parameters of the current address."""
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


def charts(page: Any, number: int) -> None:
    """Wait until that many charts are drawn."""
    page.wait_for_function(
        "(n) => document.querySelectorAll('.js-plotly-plot .main-svg').length >= n", arg=number
    )


def test_both_sides_live_linked_and_in_the_address(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server)
    page = visitor.go("/compare?pair_view=verdict&a_detector=norms&b_detector=norms&b_scale=2")
    charts(page, 4)
    shown = page.evaluate(AXES)
    assert shown[0] == shown[1]
    assert shown[2] == shown[3]
    before = page.locator(".clair-sentence").inner_text()
    page.get_by_role("tab", name="Settings of B").click()
    page.get_by_role("group", name="Noise", exact=True).get_by_role("slider").locator(
        "visible=true"
    ).focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(old) => document.querySelector('.clair-sentence')?.innerText !== old", arg=before
    )
    visitor.idle()
    assert address(page)["b_noise"] == "0.04"
    assert "a_noise" not in address(page)
    page.get_by_role("tab", name="Settings of A").click()
    page.get_by_role("group", name="Noise", exact=True).get_by_role("slider").locator(
        "visible=true"
    ).focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => location.search.includes('a_noise')")
    visitor.idle()
    page.get_by_role("button", name="Swap").click()
    page.wait_for_function("() => location.search.includes('a_scale')")
    visitor.idle()
    told = page.locator(".clair-sentence").inner_text()
    page.reload()
    visitor.idle()
    assert page.locator(".clair-sentence").inner_text() == told


def test_a_phone_stacks_a_above_b(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport={"width": 390, "height": 2600})
    page = visitor.go("/compare")
    charts(page, 2)
    tops = page.evaluate(
        "() => ['A', 'B'].map((name) => [...document.querySelectorAll('h2')]"
        ".find((h) => h.innerText === name).getBoundingClientRect().top)"
    )
    assert tops[0] + 100 < tops[1]
    over = page.evaluate(
        "() => { const m = document.querySelector('[data-testid=stMain]');"
        " return m.scrollWidth - m.clientWidth; }"
    )
    assert over <= 2
