"""The lessons in a real browser: keys, map, reload, the browser's Back, a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clair.lessons.course import courses

WORDS = [f"{key}.{n + 1}" for key, c in courses().items() for n in range(len(c.steps))]
# By how much the page is too tall, and where the lowest thing on it ends.
HEIGHT = """() => {
  const main = document.querySelector('[data-testid=stMain]')
  const ends = [...main.querySelectorAll('p, button, .plot, label')]
    .filter((one) => one.offsetParent).map((one) => one.getBoundingClientRect().bottom)
  return [main.scrollHeight - main.clientHeight, Math.max(...ends)]
}"""


def title(page: Any) -> str:
    """Read the heading of the step."""
    return str(page.get_by_role("heading", level=1).inner_text())


def press(visitor: Any, key: str, course: str, step: int) -> None:
    """Press a key that leads to that step."""
    visitor.page.keyboard.press(key)
    visitor.page.wait_for_url(f"**/lessons?course={course}&step={step}*")
    visitor.idle()


def test_a_lesson_by_keyboard_and_its_place_in_the_address(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lessons?course=averaging&step=2")
    assert title(page) == "When everybody is different"
    press(visitor, "ArrowLeft", "averaging", 1)
    press(visitor, "ArrowRight", "averaging", 2)
    press(visitor, "ArrowRight", "averaging", 3)
    assert title(page) == "Five liars with one story"
    # A slider keeps the arrow keys for itself.
    slider = page.get_by_role("slider")
    before = slider.input_value()
    slider.focus()
    visitor.press("ArrowRight")
    assert slider.input_value() != before
    assert "course=averaging&step=3&" in page.url
    page.get_by_role("button", name="Check my prediction").click()
    page.wait_for_selector(".lesson-answer")
    visitor.idle()
    press(visitor, "ArrowRight", "split", 1)
    page.reload()
    visitor.idle()
    assert title(page) == "A common language"
    press(visitor, "ArrowLeft", "averaging", 3)
    assert "You predicted" in page.locator(".lesson-answer").inner_text()


def test_the_map_leads_anywhere_and_the_browser_back_again(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lessons")
    lessons = page.get_by_role("navigation", name="Lessons")
    current = lessons.locator("[aria-current=step]")
    assert current.inner_text() == "1"
    page.get_by_role("button", name="Show me").click()
    page.wait_for_selector(".lesson-answer")
    visitor.idle()
    page.get_by_role("button", name="Next", exact=True).click()
    page.wait_for_url("**/lessons?course=averaging&step=2*")
    visitor.idle()
    page.get_by_role("button", name="Next", exact=True).focus()
    page.keyboard.press("Enter")  # a button that has the focus keeps Enter
    page.wait_for_url("**/lessons?course=averaging&step=3*")
    visitor.idle()
    assert page.locator(".lesson-answer").count() == 0
    lessons.get_by_role("button", name="Two honest clients stay at home").click()
    page.wait_for_url("**/lessons?course=liars&step=2*")
    visitor.idle()
    assert title(page) == "Two honest clients stay at home"
    assert current.get_attribute("aria-label") == "Step 2 of 4: Two honest clients stay at home"
    assert lessons.get_by_role("button", name="(answered)").count() == 1
    page.go_back()
    page.wait_for_url("**/lessons?course=averaging&step=3*")
    visitor.idle()
    assert title(page) == "Five liars with one story"
    press(visitor, "ArrowLeft", "averaging", 2)
    press(visitor, "ArrowLeft", "averaging", 1)
    page.wait_for_selector(".lesson-answer")


def test_explore_and_return_with_the_prediction_kept(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lessons?course=liars&step=3")
    with visitor.rerun():
        page.get_by_text("More than twice as large").click()
    page.get_by_role("button", name="Explore freely").click()
    page.wait_for_url("**/lab?*lesson=liars.3*")
    visitor.idle()
    assert "missed all 5 poisoned clients" in page.locator(".clair-sentence").inner_text()
    page.get_by_role("group", name="Heterogeneity", exact=True).get_by_role("slider").focus()
    visitor.press("ArrowLeft")
    page.get_by_role("link", name="Back to the lesson").click()
    page.wait_for_url("**/lessons?course=liars&step=3*")
    visitor.idle()
    assert page.get_by_role("radio", name="More than twice as large").is_checked()
    page.get_by_role("button", name="Check my prediction").click()
    page.wait_for_selector(".lesson-answer")
    assert "You predicted" in page.locator(".lesson-answer").inner_text()
    page.get_by_role("button", name="Explore freely").click()
    page.wait_for_url("**/lab?*lesson=liars.3*")
    visitor.idle()
    page.go_back()
    page.get_by_role("heading", name="A lie in the common language").wait_for()
    visitor.idle()
    assert page.get_by_role("link", name="Back to the lesson").count() == 0


def test_a_choice_by_mouse_leaves_the_arrows_to_the_steps_and_one_by_key_keeps_them(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lessons?course=averaging&step=1")
    with visitor.rerun():
        page.get_by_text("The two are about equal").click()
    assert page.get_by_role("radio").nth(1).is_checked()
    press(visitor, "ArrowRight", "averaging", 2)
    press(visitor, "ArrowLeft", "averaging", 1)
    radios = page.get_by_role("radio")
    assert radios.nth(1).is_checked()
    radios.nth(1).focus()
    press(visitor, "PageDown", "averaging", 2)  # a remote turns the steps all the same
    press(visitor, "PageUp", "averaging", 1)
    radios.nth(1).focus()
    visitor.press("ArrowDown")
    assert radios.nth(2).is_checked()
    visitor.press("ArrowRight")  # on to the first one
    assert radios.nth(0).is_checked()
    assert "step=1&said=averaging.1-0" in page.url
    assert radios.nth(0).evaluate("radio => radio === document.activeElement")


def test_a_lesson_fits_a_phone(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport={"width": 390, "height": 844})
    for course, step in (("averaging", 1), ("liars", 1), ("language", 4)):
        page = visitor.go(f"/lessons?course={course}&step={step}")
        page.get_by_role("button", name="Show me").click()
        page.wait_for_selector(".lesson-answer")
        visitor.idle()
        over = "e => e.scrollWidth - e.clientWidth"
        assert page.locator("[data-testid=stMain]").evaluate(over) <= 0


def test_on_stage_every_step_fits_the_screen_before_and_after_the_reveal(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server, viewport={"width": 1920, "height": 1080})
    page = visitor.go("/lessons?present=1")
    for word in WORDS:
        key, number = word.split(".")
        page.wait_for_url(f"**/lessons?*course={key}&step={number}*")
        visitor.idle()
        assert title(page) == courses()[key].steps[int(number) - 1].title
        over, lowest = page.evaluate(HEIGHT)
        assert over <= 0 and lowest <= 1080, (word, "asked", over, lowest)  # noqa: PT018
        # the longest form of the answer: with a prediction
        if page.get_by_role("radio").count():
            with visitor.rerun():
                page.locator("[role=radiogroup] label").last.click()
            page.get_by_role("button", name="Check my prediction").click()
        else:
            page.keyboard.press("Enter")
        page.wait_for_selector(".lesson-answer")
        page.wait_for_selector(".clair-chart .main-svg")
        visitor.idle()
        assert page.locator(".clair-chart").count() == 1
        over, lowest = page.evaluate(HEIGHT)
        assert over <= 0 and lowest <= 1080, (word, "told", over, lowest)  # noqa: PT018
        page.keyboard.press("PageDown")
    # an answer stays told, and nothing of the page for readers is on stage
    assert page.get_by_role("navigation", name="Lessons").count() == 0
    assert page.get_by_text("Settings of this step").count() == 0
    page.keyboard.press("Escape")
    page.get_by_role("navigation", name="Lessons").wait_for()
