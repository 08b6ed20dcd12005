"""Small screens, the keyboard and the stage: nothing in the way, and buttons that stay in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FOLDED = "() => document.querySelector('[data-testid=stSidebar]')?.dataset.collapsed === 'true'"
IN_SIDEBAR = "() => document.activeElement.closest('[data-testid=stSidebar]') !== null"


def test_the_menu_of_a_phone_has_a_name_and_closes_after_a_choice(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server, viewport={"width": 390, "height": 844})
    page = visitor.go("/lab")
    page.wait_for_function(FOLDED)
    page.get_by_role("button", name="Menu and settings").click()
    page.get_by_role("group", name="Noise", exact=True).wait_for()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Theory").click()
    page.wait_for_url("**/theory**")
    page.wait_for_function(FOLDED)
    visitor.idle()


def test_a_folded_sidebar_has_no_stops_and_a_way_back(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lab")
    page.get_by_test_id("stSidebarHeader").hover()
    page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    page.wait_for_function(FOLDED)
    for _ in range(30):
        page.keyboard.press("Tab")
        assert not page.evaluate(IN_SIDEBAR)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_role("group", name="Noise", exact=True).wait_for()


def test_on_stage_settings_stand_beside_the_chart(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport={"width": 1280, "height": 720})
    page = visitor.go("/lab?present=1&view=errors")
    page.get_by_role("button", name="Settings").click()
    body = page.get_by_test_id("stPopoverBody")
    body.wait_for()
    chart = page.locator(".clair-chart .plot").first
    visitor.until(
        lambda: (
            body.bounding_box()["x"] + body.bounding_box()["width"] <= chart.bounding_box()["x"]
        ),
        "the settings to stand beside the chart",
    )


def test_next_stays_where_it_is_from_slide_to_slide(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport={"width": 1366, "height": 768})
    places = []
    for slide in (1, 2, 5, 8, 9, 10):
        page = visitor.go(f"/board?slide={slide}")
        places.append(page.get_by_role("button", name="Next").bounding_box())
    for place in places:
        assert abs(place["x"] - places[0]["x"]) <= 2
        assert abs(place["y"] - places[0]["y"]) <= 12
        assert place["y"] + place["height"] <= 768
