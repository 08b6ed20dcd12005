"""The red team in a real browser: an attack, the former rule, a search, and the lab by link."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit


def test_from_an_attack_over_a_search_to_the_lab(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server)
    page = visitor.go("/redteam?rt_clients=9&rt_held=3&rt_d_out=12&rt_d_in=12")
    told = page.locator(".clair-sentence")
    assert told.inner_text().startswith("You held 3 of 9")
    with visitor.rerun():
        page.get_by_role("radio", name="What it teaches").click()
    with visitor.rerun():
        page.get_by_role("button", name="What the former rule said").first.click()
    assert "by the former rule once" in told.inner_text()
    visitor.until(lambda: "rt_rule=" in page.url, "the address to name the rule")
    visitor.go("/redteam?rt_clients=9&rt_held=3&rt_d_out=12&rt_d_in=12")
    with visitor.rerun():
        page.get_by_role("radio", name="Let the computer try").click()
    with visitor.rerun():
        page.get_by_role("radio", name="120").click()
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("button", name="Open as your attack").wait_for()
    visitor.idle()
    assert told.inner_text().startswith("With 3 of 9 clients against CLAIR")
    seed = re.search(r"seed (\d+)", page.locator("[data-testid=stMain]").inner_text())
    assert seed is not None
    with visitor.rerun():
        page.get_by_role("button", name="Open in the lab").click()
    page.wait_for_url(re.compile("/lab"))
    visitor.idle()
    address = parse_qs(urlsplit(page.url).query)
    assert address["seed"] == [seed[1]]
    before = told.inner_text()
    page.goto(page.url)  # the link alone opens the same attack
    visitor.idle()
    assert told.inner_text() == before
    assert page.get_by_role("textbox", name="Attack plan").input_value() == address["plan"][0]
