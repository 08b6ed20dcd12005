"""The Overview in a real browser: first paint, picture, ways into the lab and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def sentence(page: Any) -> str:
    """Read the plain sentence under the title."""
    return str(page.locator(".clair-sentence").inner_text())


def test_first_visit_shows_a_result_that_the_sliders_move(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/")
    assert "flagged all 6 poisoned clients" in sentence(page)
    page.wait_for_function("() => document.querySelectorAll('.main-svg image').length === 3")
    fonts = page.evaluate(
        "async () => { await document.fonts.ready;"
        " return [...document.fonts].filter(f => f.status === 'loaded').map(f => f.family); }"
    )
    assert {"Inter", "SourceSerifFour"} <= set(fonts)
    source = "() => document.querySelector('.main-svg image')?.href.baseVal"
    before = page.evaluate(source)
    page.get_by_role("group", name="Heterogeneity", exact=True).get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"(old) => ({source})() !== old", arg=before)
    page = visitor.go("/overview?demo_clients=8")  # its own name
    assert "both poisoned clients" in sentence(page)
    assert page.get_by_role("dialog").count() == 0


def test_presets_open_the_lab_whatever_was_set_there(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lab?clients=9&noise=0.2&attack=alie&screen=true")
    page.get_by_role("link", name="Overview", exact=True).click()
    page.get_by_role("button", name="See it happen").first.click()
    page.wait_for_url("**/lab?*")
    visitor.idle()
    assert "missed all 5 poisoned clients" in sentence(page)
    opened = set(page.url.split("?")[1].split("&"))
    assert {"attack=Sign+flip", "view=Subspace", "heterogeneity=1.0"} <= opened
    assert not any(one.startswith(("clients", "noise", "screen")) for one in opened)
    page.get_by_role("link", name="Overview", exact=True).click()
    page.get_by_role("button", name="Open in the lab").first.click()
    page.wait_for_url("**/lab*")
    visitor.idle()
    assert "flagged all 6 poisoned clients" in sentence(page)
    assert "?" not in page.url


TILES = """() => {
  const box = document.querySelector('.st-key-overview_split')
  const main = document.querySelector('[data-testid=stMain]')
  const strip = document.querySelector('.main-svg image').getBoundingClientRect()
  return { strip: strip.width, hidden: box.scrollWidth - box.clientWidth,
    hint: getComputedStyle(box, '::before').content, wide: main.scrollWidth - innerWidth }
}"""


def test_tiles_can_be_told_apart_on_a_phone(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport={"width": 390, "height": 844}, has_touch=True)
    for n, scrolls in ((8, False), (20, True), (40, True)):
        page = visitor.go(f"/?demo_clients={n}")
        page.wait_for_function("() => document.querySelectorAll('.main-svg image').length === 3")
        visitor.idle()
        seen = page.evaluate(TILES)
        assert seen["strip"] / n > 30, n
        assert seen["wide"] == 0, n
        assert (seen["hidden"] > 1) == scrolls, n
        assert ("to the right" in seen["hint"]) == scrolls, n
    # Nothing under a finger stops the scrolling, and a label on two lines stays beside its icon.
    page.locator(".st-key-overview_split").scroll_into_view_if_needed()
    met = """() => {
      const box = document.querySelector('.main-svg image').getBoundingClientRect()
      return document.elementFromPoint(box.left + 100, box.top + 20).matches('.drag')
    }"""
    assert page.evaluate(met) is False
    label = page.get_by_role("button", name="Present it to a board").locator("p")
    assert label.evaluate("(e) => getComputedStyle(e).textAlign") == "left"
