"""The Subspace lab in a real browser: deep links, sliders, address, clipboard, theme."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit


def sentence(page: Any) -> str:
    """Read the plain sentence under the title."""
    return str(page.locator(".clair-sentence").inner_text())


def address(page: Any) -> dict[str, str]:
    """Read the parameters of the current address."""
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


def wait_for_new(page: Any, before: str) -> str:
    """Wait until the sentence has changed and return it."""
    page.wait_for_function(
        "(old) => document.querySelector('.clair-sentence')?.innerText !== old", arg=before
    )
    return sentence(page)


def charts(page: Any, number: int) -> None:
    """Wait until that many charts are drawn."""
    page.wait_for_function(
        "(n) => document.querySelectorAll('.js-plotly-plot .main-svg').length >= n", arg=number
    )


def press(page: Any, slider: str, key: str = "ArrowRight") -> None:
    """Press a key on a slider."""
    page.get_by_role("group", name=slider, exact=True).get_by_role("slider").focus()
    page.keyboard.press(key)


def test_a_deep_link_and_the_views_by_keyboard(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server)
    page = visitor.go("/lab?clients=12&attack=identical&seed=5&view=verdict")
    assert page.locator("h1").inner_text() == "Subspace lab"
    assert "all 4 poisoned clients" in sentence(page)
    # The router ran: its navigation is there, and Streamlit's own list of file names is not.
    for title in ("Overview", "Subspace lab", "Text copying"):
        assert page.get_by_role("link", name=title, exact=True).count() == 1
    assert page.get_by_role("link", name="lab", exact=True).count() == 0
    assert page.get_by_role("dialog").count() == 0
    charts(page, 2)
    linked = {"clients": "12", "attack": "Identical", "seed": "5"}
    assert address(page) == linked | {"view": "Verdict"}
    for view in ("Errors", "Subspace", "Solver and proof", "Split"):
        page.get_by_role("radio", name=view, exact=True).focus()
        visitor.press("Space")
        assert address(page) == linked | ({} if view == "Split" else {"view": view})
        charts(page, 1)


def test_a_slider_changes_numbers_and_address_and_a_reload_keeps_them(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lab")
    before = sentence(page)
    press(page, "Noise")
    after = wait_for_new(page, before)
    visitor.idle()
    assert address(page) == {"noise": "0.04"}
    page.reload()
    visitor.idle()
    assert sentence(page) == after
    page.get_by_test_id("stButton").get_by_role("button", name="Reset").click()
    assert wait_for_new(page, after) == before
    visitor.idle()
    assert address(page) == {}


def test_leaving_by_link_and_coming_back_by_the_browser_keeps_the_screen(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lab?noise=0.1&clients=12&view=errors")
    before, wanted = sentence(page), address(page)
    for step in ("link", "back", "forward", "back"):
        with visitor.rerun():
            if step == "link":
                page.get_by_role("link", name="Overview", exact=True).click()
            else:
                page.go_back() if step == "back" else page.go_forward()
        assert page.url.split("?")[0].endswith("/lab") == (step == "back")
        if step == "back":
            assert sentence(page) == before
            assert address(page) == wanted
    page.get_by_test_id("stButton").get_by_role("button", name="Reset").click()
    after = wait_for_new(page, before)
    with visitor.rerun():
        page.get_by_role("link", name="Overview", exact=True).click()
    with visitor.rerun():
        page.go_back()
    assert sentence(page) == after
    assert address(page) == {}


def test_back_undoes_a_preset_at_once(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server)
    page = visitor.go("/lab?clients=12&noise=0.1")
    mine, before = address(page), sentence(page)
    page.get_by_role("button", name="Presets").click()
    page.get_by_role("button", name="Four in ten agree").click()
    preset = wait_for_new(page, before)
    page.keyboard.press("Escape")
    visitor.idle()
    theirs = address(page)
    assert len(set(mine.items()) ^ set(theirs.items())) > 2
    page.go_back()
    assert wait_for_new(page, preset) == before
    visitor.idle()
    assert address(page) == mine
    page.go_forward()
    assert wait_for_new(page, before) == preset
    visitor.idle()
    assert address(page) == theirs


def test_copied_link_reopens_the_screen_for_somebody_else(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server, permissions=["clipboard-read", "clipboard-write"])
    page = visitor.go("/lab")
    before = sentence(page)
    press(page, "Clients", "ArrowLeft")
    wait_for_new(page, before)
    page.get_by_role("button", name="Presets").click()
    page.get_by_role("button", name="Four in ten agree").click()
    page.keyboard.press("Escape")
    page.wait_for_function("() => location.search.includes('view=Verdict')")
    visitor.idle()
    button = page.get_by_role("button", name="Copy link")
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Link copied").wait_for()
    page.evaluate(
        "() => { const field = document.createElement('textarea');"
        " field.id = 'pasted'; document.body.append(field); field.focus(); }"
    )
    page.keyboard.press("Control+V")
    assert page.locator("#pasted").input_value() == page.url
    link = page.evaluate("() => navigator.clipboard.readText()")
    assert link == page.url
    wanted = {"poisoned": "0.4", "scale": "1", "heterogeneity": "1", "view": "Verdict"}
    assert address(page) == wanted
    other = visit(server)
    assert sentence(other.go(link.removeprefix(server.url))) == sentence(page)


def test_copying_works_without_the_clipboard_interface(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    visitor.page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
    )
    page = visitor.go("/lab?seed=3")
    page.get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Link copied").wait_for()
    page.evaluate(
        "() => { const field = document.createElement('textarea');"
        " field.id = 'pasted'; document.body.append(field); field.focus(); }"
    )
    page.keyboard.press("Control+V")
    assert page.locator("#pasted").input_value() == page.url


def test_charts_follow_a_change_of_theme(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, color_scheme="dark")
    page = visitor.go("/lab?view=verdict")
    charts(page, 2)
    # no title for a moment, while a chart is drawn anew
    title = "document.querySelector('.js-plotly-plot .xtitle')"
    ink = f"() => {title} && getComputedStyle({title}).fill"
    dark = page.evaluate(ink)
    page.locator("[data-testid=stMainMenu] button").first.click()
    page.locator("[data-testid=stMainMenuPopover]").get_by_text("Light").click()
    page.wait_for_function(f"(old) => ![null, old].includes(({ink})())", arg=dark)
    light = [int(n) for n in re.findall(r"\d+", page.evaluate(ink))[:3]]
    assert max(light) < 80


def test_charts_have_names_and_nothing_overflows_on_a_phone(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server, viewport={"width": 390, "height": 2400})
    page = visitor.go("/lab?view=subspace")
    charts(page, 3)
    names = page.evaluate(
        "() => [...document.querySelectorAll('.clair-chart')]"
        ".map(e => (e.getAttribute('aria-label') || e.querySelector('[aria-label]')"
        "?.getAttribute('aria-label') || '').length)"
    )
    assert len(names) == 3
    assert min(names) > 20
    over = page.evaluate(
        "() => { const m = document.querySelector('[data-testid=stMain]');"
        " return m.scrollWidth - m.clientWidth; }"
    )
    assert over <= 2
