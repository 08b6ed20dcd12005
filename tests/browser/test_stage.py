"""On stage at 1920 x 1080: every view and part of every page, turned by a remote, is in sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clair.app.kit.page_list import PAGES

STAGE = {"width": 1920, "height": 1080}
TOLERANCE = 2
LEAST_CHART = 250  # pixels of height; the last row cannot read the axes of a lower chart
#: How many views and parts a page has on stage.
PARTS = {
    "lab": 6,
    "compare": 7,
    "redteam": 8,
    "theory": 19,
    "regression": 6,
    "copying": 5,
    "digits": 5,
    "llm": 5,
    "federation": 4,
    "adapters": 5,
}

CHOSEN = """() => [...document.querySelectorAll('[data-testid=stMain] [role=radio]')]
  .filter((radio) => radio.getAttribute('aria-checked') === 'true')
  .map((radio) => radio.innerText).join(' / ')"""
DRAWN = """() => [...document.querySelectorAll('.clair-chart')]
  .every((chart) => chart.querySelector('.main-svg'))"""
OVER = """() => {
  const main = document.querySelector('[data-testid=stMain]');
  return main.scrollHeight - main.clientHeight;
}"""
HEIGHTS = """() => [...document.querySelectorAll('.clair-chart .plot')]
  .map((plot) => Math.round(plot.getBoundingClientRect().height))"""


def in_sight(visitor: Any) -> str:
    """Assert that nothing has to be scrolled and charts are large; return what is chosen."""
    page = visitor.page
    visitor.idle()
    page.wait_for_function(DRAWN)
    visitor.idle()
    chosen = str(page.evaluate(CHOSEN))
    assert page.evaluate(OVER) <= TOLERANCE, chosen
    heights = page.evaluate(HEIGHTS)
    assert all(height >= LEAST_CHART for height in heights), (chosen, heights)
    return chosen


def turn(visitor: Any, key: str) -> None:
    """Press a key and wait until something else is shown."""
    before = visitor.page.evaluate(CHOSEN)
    visitor.page.keyboard.press(key)
    visitor.page.wait_for_function(f"(old) => ({CHOSEN})() !== old", arg=before)


def test_every_page_goes_on_stage_here_or_in_a_test_of_its_own() -> None:
    assert {page.stem for page in PAGES} == {*PARTS, "overview", "lessons", "board"}


@pytest.mark.parametrize(("path", "number"), PARTS.items())
def test_a_remote_turns_every_page_and_nothing_has_to_be_scrolled(
    server: Any, visit: Callable[..., Any], path: str, number: int
) -> None:
    visitor = visit(server, viewport=STAGE, reduced_motion="reduce")
    visitor.go(f"/{path}?present=1")
    seen = [in_sight(visitor)]
    while len(seen) < number:
        turn(visitor, "PageDown")
        seen.append(in_sight(visitor))
    assert len(set(seen)) == number
    turn(visitor, "ArrowLeft")
    assert visitor.page.evaluate(CHOSEN) == seen[-2]


@pytest.mark.parametrize(
    "address",
    [
        "/lab?view=verdict&attack=sign_flip&screen=true",
        "/lab?view=steps&solver=irls&clients=50",
        "/lab?view=solver&noise=0",
        "/redteam?rt_rule=former&rt_held=11",
        "/compare?a_attack=alie&b_attack=alie&b_detector=norms&pair_view=verdict",
        "/theory?section=certificate&th_lam=0.6",
        "/theory?section=blind&th_blind=random",
        "/regression?reg_off=1.0",
    ],
)
def test_with_more_to_say_it_still_fits(
    server: Any, visit: Callable[..., Any], address: str
) -> None:
    visitor = visit(server, viewport=STAGE, reduced_motion="reduce")
    visitor.go(f"{address}&present=1")
    in_sight(visitor)


def test_steps_on_stage_play_beside_their_controls(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport=STAGE, reduced_motion="reduce")
    page = visitor.go("/lab?view=steps&present=1")
    drawings = page.locator(".stepper svg[data-is]").locator("visible=true")
    assert drawings.count() == 3
    shown = [page.get_by_role("button", name="Play"), *drawings.all()]
    for box in (one.bounding_box() for one in shown):
        assert box["y"] + box["height"] <= STAGE["height"]
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play").wait_for()


def test_the_part_leaves_the_address_with_the_stage(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport=STAGE, reduced_motion="reduce")
    page = visitor.go("/theory?present=1&section=gain&th_gain_part=With your numbers")
    assert page.get_by_text("With your numbers", exact=True).first.is_visible()
    assert page.locator(".clair-chart").count() == 0
    page.keyboard.press("p")
    page.wait_for_function("() => !location.search.includes('present')")
    visitor.idle()
    assert page.locator(".clair-chart").count() > 0
    assert "part" not in page.url
