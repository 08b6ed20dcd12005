"""axe-core on every page, on stage, and after a lesson's reveal; both themes where styles differ.

The themes differ in colours only, so the second one is checked for contrast alone, on the page
after a visitor has changed the theme.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from clair.app.kit.page_list import PAGES
from tests.browser.conftest import Profiles, Visitor
from tests.serving import Server

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: Violations inside Streamlit's own widgets, by the part of the page they are in: the drop zone of
#: its uploader, and the label of a control that is disabled (whose contrast WCAG leaves free).
THEIRS = (
    ("presentation-role-conflict", "[data-testid=stFileUploaderDropzone]"),
    ("color-contrast", "[data-testid=stWidgetLabel]:has(~ * [disabled])"),
)
#: What is drawn inside a chart is told by the chart's own label.
INSPECTED = {"exclude": [[".main-svg"]]}
SCREENS = [
    "/",
    *(page.title for page in PAGES[1:]),
    "/lab?view=steps",
    "/theory?section=phase",
    "/board?present=1&slide=5",
    "/classroom",
    "/lessons?course=summary&said=averaging.1-2~_liars.1~",
]
#: Between them they have every style of ours; the other pages are made of the same parts.
DARK = {"/", "Lessons", "Red team", "Text copying", "/lab?view=steps", SCREENS[-3], "/classroom"}


@pytest.fixture(scope="module")
def reader(server: Server, profiles: Profiles) -> Iterator[Visitor]:
    """Open one tab that goes from screen to screen."""
    with profiles.lent() as open_tab:
        visitor = open_tab(server, color_scheme="light")
        visitor.go("/")
        yield visitor


def violations(page: Any, rules: Sequence[str] = RULES) -> list[str]:
    """List what axe-core finds wrong on the page as it stands, without Streamlit's own."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found = Axe().run(page, INSPECTED, options).response["violations"]
    lines = []
    for violation in found:
        for node in violation["nodes"]:
            target = node["target"][0]
            theirs = any(
                rule == violation["id"]
                and page.locator(target).first.evaluate("(e, s) => !!e.closest(s)", part)
                for rule, part in THEIRS
            )
            if not theirs:
                lines.append(f"{violation['id']}: {node['html'][:200]}")
    return lines


@pytest.mark.parametrize("screen", SCREENS)
def test_no_violation_of_ours(reader: Visitor, screen: str) -> None:
    if screen.startswith("/"):
        reader.go(screen)
    else:  # by its link: one load of the app serves all of its pages
        with reader.rerun():
            reader.page.get_by_role("link", name=screen, exact=True).first.click()
    assert violations(reader.page) == []
    if screen in DARK:
        with reader.rerun():  # the visitor changes it on the open page
            reader.page.emulate_media(color_scheme="dark")
        assert violations(reader.page, ["color-contrast"]) == []
        with reader.rerun():
            reader.page.emulate_media(color_scheme="light")


def test_no_violation_after_a_lesson_reveals_its_answer(
    server: Server, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/lessons?course=split&step=2")
    page.get_by_role("button", name="Show me").click()
    page.locator(".clair-chart .main-svg").first.wait_for()
    visitor.idle()
    assert violations(page) == []


def test_terms_explain_themselves_to_the_keyboard(
    server: Server, visit: Callable[..., Any]
) -> None:
    page = visit(server).go("/lab?view=verdict")
    term = page.locator("[data-testid=stCaptionContainer] .term").first
    note = "(e) => [getComputedStyle(e, '::after').content, getComputedStyle(e, '::after').width]"
    assert term.evaluate(note)[0] == "none"
    term.focus()
    words, width = term.evaluate(note)
    assert words.startswith('"Residual score')
    assert "measured against" in words
    assert 200 < float(width.removesuffix("px")) < 700
