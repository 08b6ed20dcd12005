"""A class in real browsers: a lecturer on stage and a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.browser.test_lessons import HEIGHT, press


def test_a_lecturer_and_a_phone_through_a_class(server: Any, visit: Callable[..., Any]) -> None:
    lecturer = visit(server, viewport={"width": 1366, "height": 768})
    phone = visit(server, viewport={"width": 390, "height": 844})
    stage = lecturer.go("/lessons?course=averaging&step=2")
    with lecturer.rerun():
        stage.get_by_role("button", name="Open a class").click()
    code = stage.locator(".class-join .code").inner_text()
    assert stage.locator("img.class-qr").evaluate("one => one.naturalWidth > 0")
    fetched: list[str] = []
    phone.page.on("request", lambda request: fetched.append(request.url))
    small = phone.go(f"/classroom?class={code}")
    stage.get_by_text("1 phone is in").wait_for()

    press(lecturer, "ArrowRight", "averaging", 2)  # from the code to the question
    small.get_by_role("button", name="Less than half").click()
    small.get_by_text("You predicted “Less than half”").wait_for()
    stage.get_by_text("1 of 1 have predicted").wait_for()
    assert small.locator("[data-testid=stMain]").evaluate("e => e.scrollWidth - e.clientWidth") <= 0

    stage.keyboard.press("Enter")
    small.get_by_text("It turned out otherwise").wait_for()
    stage.locator(".clair-chart .main-svg").first.wait_for()
    lecturer.idle()
    assert "1 of 1" in stage.locator(".lesson-options").inner_text()
    over, lowest = stage.evaluate(HEIGHT)
    assert over <= 0 and lowest <= 768, (over, lowest)  # noqa: PT018

    press(lecturer, "PageDown", "averaging", 3)
    small.get_by_role("slider").wait_for()
    small.get_by_role("button", name="Send").click()
    stage.get_by_text("1 of 1 have predicted").wait_for()
    assert not [url for url in fetched if "plotly" in url], "a phone draws no charts"

    # Both pages find their place again after a reload.
    small.reload()
    small.get_by_role("button", name="Send again").wait_for()
    stage.reload()
    stage.get_by_text("1 of 1 have predicted").wait_for()

    stage.get_by_role("button", name="Attacks").click()
    small.get_by_role("link", name="Attack on the Red team page").click()
    stage.locator(".class-board").get_by_text("Number 1").wait_for()
    small.get_by_role("link", name=f"Back to class {code}").click()
    stage.get_by_role("button", name="How to join").click()
    stage.get_by_role("button", name="End the class").click()
    small.get_by_text("There is no class with this code now.").wait_for()
