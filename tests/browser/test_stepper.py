"""Step by step in a real browser: the numbers of the fit, and not one message to the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clair.app.pages import lab
from clair.simulation.scenario import run_scenario

SENT = "() => window.wire.sent"
# Milliseconds of the page's own clock: longer than one step of the player, and than all of them.
LONG, WHOLE = 5_000, 60_000
OPENED = {control.key: control.default for control in lab.CONTROLS}
FIT = run_scenario(lab.scenario_of(OPENED)).fit
LAST = FIT.n_iter


def shown(page: Any, name: str) -> str:
    """Read the text of one part of the player."""
    return str(page.locator(f".stepper [data-is={name}]").inner_text())


def until(page: Any, text: str) -> None:
    """Wait until that iteration is shown."""
    page.locator(".stepper output").get_by_text(text, exact=True).wait_for()


def test_stepping_shows_the_history_and_sends_nothing(
    server: Any, visit: Callable[..., Any]
) -> None:
    values = OPENED | {"clients": 12, "noise": 0.0, "seed": 2}
    result = run_scenario(lab.scenario_of(values))
    history = result.fit.history
    zero = 1e-9 * max(history[0].singular_values)  # rounding
    visitor = visit(server, reduced_motion="reduce")
    page = visitor.go("/lab?view=steps&clients=12&noise=0&seed=2")
    until(page, f"iteration {len(history)} of {len(history)}")
    visitor.idle()
    before = page.evaluate(SENT)
    assert before > 0
    page.get_by_role("slider", name="Iteration").focus()
    page.keyboard.press("Home")
    until(page, "start")
    page.get_by_role("button", name="Step forward").click()
    for record in history:
        until(page, f"iteration {record.iteration} of {len(history)}")
        assert int(shown(page, "positive")) == sum(record.singular_values > 0)
        assert int(shown(page, "off")) == sum(record.block_norms < zero)
        assert float(shown(page, "objective")) == pytest.approx(record.objective, rel=1e-3)
        residual = float(shown(page, "primal"))
        assert residual == pytest.approx(record.primal_residual, rel=0.06)
        titles = page.locator("[data-is=tiles] title").all_text_contents()
        for title, norm in zip(titles, record.block_norms, strict=True):
            text = title.rsplit(": ", 1)[1]
            assert float(text.replace("nothing", "0")) == pytest.approx(norm, rel=0.06, abs=zero)
        bar = page.locator("[data-is=spectrum] .value title").first.text_content()
        wanted = pytest.approx(record.singular_values[0], rel=1e-3)
        assert float(bar.rsplit(": ", 1)[1]) == wanted
        page.keyboard.press("ArrowRight")
    # and playing by itself from the start
    page.get_by_label("Speed").select_option("fast")
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.locator(".stepper [data-is=words]").get_by_text("Finished").wait_for()
    assert page.evaluate(SENT) == before


def test_keys_play_pause_and_step(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, reduced_motion="reduce")
    visitor.page.clock.install()
    page = visitor.go("/lab?view=steps")
    until(page, f"iteration {LAST} of {LAST}")
    assert page.get_by_role("button", name="Step forward").is_disabled()
    page.get_by_role("slider", name="Iteration").focus()
    page.keyboard.press("ArrowLeft")
    until(page, f"iteration {LAST - 1} of {LAST}")
    assert page.locator(".stepper [role=status]").get_attribute("aria-live") == "polite"
    page.keyboard.press("Home")
    until(page, "start")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    until(page, f"iteration 2 of {LAST}")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play").wait_for()
    at = shown(page, "where")
    page.clock.run_for(LONG)
    assert shown(page, "where") == at
    # other settings keep the iteration
    page.get_by_role("slider", name="Iteration").focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    until(page, f"iteration 3 of {LAST}")
    before = shown(page, "objective")
    page.get_by_role("group", name="Noise", exact=True).get_by_role("slider").focus()
    with visitor.rerun():
        page.keyboard.press("ArrowRight")
        page.clock.run_for(LONG)
    assert shown(page, "where").startswith("iteration 3 of ")
    assert shown(page, "objective") != before


def test_it_plays_by_itself_once_unless_motion_is_unwanted(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server, reduced_motion="no-preference")
    visitor.page.clock.install()
    moving = visitor.go("/lab?view=steps")
    moving.clock.run_for(WHOLE)
    until(moving, f"iteration {LAST} of {LAST}")
    assert (
        moving.locator(".stepper .flag").evaluate_all(
            "(all) => all.filter((e) => e.style.opacity === '1').length"
        )
        == FIT.flagged.sum()
    )
    visitor = visit(server, reduced_motion="reduce")
    visitor.page.clock.install()
    still = visitor.go("/lab?view=steps")
    still.clock.run_for(LONG)
    until(still, f"iteration {LAST} of {LAST}")
    assert still.get_by_role("button", name="Pause").count() == 0


def test_a_run_before_it_is_seen_does_not_take_its_playing_away(
    server: Any, visit: Callable[..., Any]
) -> None:
    low = {"width": 1280, "height": 300}
    visitor = visit(server, reduced_motion="no-preference", viewport=low, color_scheme="light")
    visitor.page.clock.install()
    page = visitor.go("/lab?view=steps")
    until(page, "start")
    # Another theme: the same iterations come again, in other colours.
    with visitor.rerun():
        page.emulate_media(color_scheme="dark")
    page.clock.run_for(LONG)
    assert shown(page, "where") == "start"
    page.locator(".stepper [data-is=play]").scroll_into_view_if_needed()
    page.locator(".stepper [data-is=play]").get_by_text("Pause").wait_for()
    page.clock.run_for(WHOLE)
    until(page, f"iteration {LAST} of {LAST}")


def test_a_new_run_while_playing_leaves_one_player_that_goes_on(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server, reduced_motion="reduce")
    page = visitor.go("/lab?view=steps")
    page.get_by_label("Speed").select_option("slow")
    page.get_by_role("button", name="Play").click()
    until(page, f"iteration 1 of {LAST}")
    page.get_by_role("group", name="Noise", exact=True).get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => location.search.includes('noise')")
    visitor.idle()
    page.get_by_role("button", name="Pause").wait_for()
    # two players would count each other's steps
    page.evaluate(
        """() => {
          const where = document.querySelector('[data-testid=stMain]')
          const root = [...where.querySelectorAll('*')].find((e) => e.shadowRoot
            ?.querySelector('.stepper')).shadowRoot
          window.seen = []
          new MutationObserver(() => window.seen.push(
            Number(root.querySelector('output').innerText.split(' ')[1])
          )).observe(root.querySelector('output'), { childList: true, characterData: true,
            subtree: true })
        }"""
    )
    page.get_by_label("Speed").select_option("fast")
    page.locator(".stepper [data-is=words]").get_by_text("Finished").wait_for()
    seen = page.evaluate("() => window.seen")
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    fresh = run_scenario(lab.scenario_of(OPENED | {"noise": 0.02})).fit
    assert shown(page, "where") == f"iteration {fresh.n_iter} of {fresh.n_iter}"
    assert float(shown(page, "objective")) == pytest.approx(fresh.objective, rel=1e-3)
