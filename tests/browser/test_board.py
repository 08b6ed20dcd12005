"""The board story and presenter mode in a real browser: keys, links, room on the screen."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from clair.board import SLIDES, tell
from clair.report.board import board_brief
from clair.report.page import to_html
from tests.browser.conftest import WIRE

LARGE = """() => {
  const tick = document.querySelector('.clair-chart text')
  return tick && parseFloat(getComputedStyle(tick).fontSize) >= 18
}"""
FULL_HD = {"width": 1920, "height": 1080}
# What sticks out of the window, and text that is cut off inside its own box.
ROOM = """() => {
  const main = document.querySelector('[data-testid=stMain]')
  const cut = [...document.querySelectorAll('.slide *')].filter((part) => {
    const box = part.getBoundingClientRect()
    return box.right > innerWidth + 1 || box.left < -1
  })
  return {
    tall: main.scrollHeight - innerHeight, wide: main.scrollWidth - innerWidth,
    cut: cut.map((part) => part.className || part.tagName),
  }
}"""
# Whether two labels of a picture lie on each other.
OVERLAPS = """() => {
  const boxes = [...document.querySelectorAll('.picture .value, .picture .rule span')]
    .map((part) => [part.innerText, part.getBoundingClientRect()])
  return boxes.flatMap(([first, a], i) => boxes.slice(i + 1)
    .filter(([, b]) => a.left < b.right && b.left < a.right && a.top < b.bottom - 2
      && b.top < a.bottom - 2)
    .map(([second]) => [first, second]))
}"""


def address(page: Any) -> dict[str, str]:
    """Read the parameters of the current address."""
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


def headline(page: Any) -> str:
    """Read the headline of the slide."""
    return str(page.locator(".headline").inner_text())


def press(visitor: Any, key: str) -> str:
    """Press a key, and return the headline it leads to."""
    visitor.press(key)
    return headline(visitor.page)


def test_keys_of_keyboard_and_clicker_turn_the_slides(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server)
    page = visitor.go("/board")
    seen = [headline(page)]
    for key, slide in (("ArrowRight", "2"), ("PageDown", "3"), (" ", "4")):
        seen.append(press(visitor, key))
        assert address(page) == {"slide": slide}
    assert len(set(seen)) == 4
    assert press(visitor, "ArrowLeft") == seen[2]
    assert press(visitor, "PageUp") == seen[1]
    last = press(visitor, "End")
    assert address(page) == {"slide": str(len(SLIDES))}
    assert press(visitor, "ArrowRight") == last
    assert press(visitor, "Home") == seen[0]
    assert press(visitor, "ArrowLeft") == seen[0]
    assert address(page) == {}
    with visitor.rerun():
        page.get_by_role("button", name="Next").click()
    assert headline(page) == seen[1]
    # The space bar still presses the button that has the focus, once.
    assert press(visitor, " ") == seen[2]


class SlowLine:
    """A connection that can hold back the server's messages for a while."""

    def __init__(self, visitor: Any) -> None:
        self._visitor = visitor
        self._held: list[Any] | None = None
        self._begun = self._ended = False
        visitor.page.route_web_socket("**/_stcore/stream", self._connect)
        visitor.page.add_init_script(WIRE)  # what counts is when the browser hears it

    def _connect(self, socket: Any) -> None:
        self._socket = socket
        socket.connect_to_server().on_message(self._hear)

    def _hear(self, message: Any) -> None:
        if self._held is None:
            self._socket.send(message)
            return
        self._held.append(message)
        said = ForwardMsg.FromString(message)
        kind = said.WhichOneof("type")
        if kind == "new_session":
            self._begun, self._ended = True, False
        elif kind == "script_finished":
            self._ended = self._begun and said.script_finished != said.FINISHED_EARLY_FOR_RERUN

    def quick(self, *acts: Callable[[], None]) -> None:
        """Do things, and let the browser hear the answers only once the server gave them all."""
        page = self._visitor.page
        heard, self._held = page.evaluate("() => window.wire.heard"), []
        for act in acts:
            self._begun = self._ended = False
            with self._visitor.asks():
                act()
            self._visitor.until(lambda: self._ended, "the server to have answered")
        held, self._held = self._held, None
        for message in held:
            self._socket.send(message)
        page.wait_for_function("(n) => window.wire.heard >= n", arg=heard + len(held))
        self._visitor.idle()


def test_quick_presses_all_count(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server)
    line = SlowLine(visitor)
    page = visitor.go("/board")
    seen = [headline(page)]

    def quick(*keys: str) -> None:
        line.quick(*(partial(page.keyboard.press, key) for key in keys))
        seen.append(headline(page))

    quick("ArrowRight", "ArrowRight")
    assert address(page) == {"slide": "3"}
    # Forward and back: the address must not stay where the first of the two led.
    quick("ArrowRight", "ArrowLeft")
    assert address(page) == {"slide": "3"}
    assert seen[1] == seen[2] != seen[0]
    # The browser's Back leads through the slides to the first.
    for _ in range(10):
        with visitor.rerun():
            page.go_back()
        if address(page) == {}:
            break
    assert headline(page) == seen[0]


def test_other_presses_on_a_slow_line_leave_the_slide_as_it_is(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server, viewport=FULL_HD)
    line = SlowLine(visitor)
    page = visitor.go("/board?slide=3")

    def key(name: str) -> Callable[[], None]:
        return lambda: page.keyboard.press(name)

    def button(name: str) -> Callable[[], None]:
        return lambda: page.get_by_role("button", name=name, exact=True).click()

    line.quick(key("ArrowRight"), key("p"))
    assert page.locator(".slide").get_attribute("data-slide") == "robust"
    assert address(page) == {"slide": "4", "present": "1"}
    line.quick(key("ArrowRight"), button("Leave"))
    assert page.locator(".slide").get_attribute("data-slide") == "idea"
    assert address(page) == {"slide": "5"}
    line.quick(button("Draw other hospitals"), key("ArrowRight"), button("Present"))
    assert page.locator(".slide").get_attribute("data-slide") == "verdict"
    assert address(page) == {"slide": "6", "draw": "1", "present": "1"}
    line.quick(key("End"), key("ArrowRight"))
    assert page.locator(".slide").get_attribute("data-slide") == "yours"
    assert address(page) == {"slide": str(len(SLIDES)), "draw": "1", "present": "1"}
    # A reload shows the slide that the address names.
    page.reload()
    visitor.idle()
    assert page.locator(".slide").get_attribute("data-slide") == "yours"


def reach(page: Any, label: str) -> None:
    """Move the focus to a button with the Tab key alone; it must be seen to be there."""
    focused = (
        "() => document.activeElement.matches('button') ? document.activeElement.innerText : ''"
    )
    for _ in range(60):
        page.keyboard.press("Tab")
        if label in page.evaluate(focused):
            break
    assert label in page.evaluate(focused)
    page.wait_for_function(
        "() => { const s = getComputedStyle(document.activeElement);"
        " return s.outlineStyle !== 'none' || s.boxShadow !== 'none' }"
    )


def test_the_story_is_told_by_keyboard_alone(
    server: Any, visit: Callable[..., Any], tmp_path: Path
) -> None:
    visitor = visit(server, viewport=FULL_HD)
    page = visitor.go("/board")
    press(visitor, "p")
    seen = [headline(page)] + [press(visitor, "ArrowRight") for _ in SLIDES[1:]]
    assert len(set(seen)) == len(SLIDES)
    assert page.get_by_text("Take it away").count() == 0  # nothing beside the slide on stage
    press(visitor, "Home")
    reach(page, "Draw other hospitals")
    press(visitor, "Enter")
    assert address(page) == {"draw": "1", "present": "1"}
    press(visitor, "PageDown")
    assert address(page) == {"draw": "1", "present": "1", "slide": "2"}
    press(visitor, "Escape")
    reach(page, "Take it away")
    page.keyboard.press("Enter")
    page.get_by_text("To send or print").wait_for()
    page.get_by_role("button", name="One page").wait_for()
    reach(page, "Report")
    with page.expect_download() as caught:
        page.keyboard.press("Enter")
    assert caught.value.suggested_filename == "clair-board-draw-1.html"
    caught.value.save_as(tmp_path / "story.html")
    text = (tmp_path / "story.html").read_text(encoding="utf-8")
    assert f"{server.url}/board?draw=1" in text
    assert f"2. {headline(page)}" in html.unescape(text)


def test_the_one_page_is_one_page(server: Any, visit: Callable[..., Any]) -> None:
    page = visit(server).page
    page.set_content(to_html(board_brief(tell(20))))
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1


def test_a_link_survives_reload_and_mangling(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server)
    page = visitor.go("/board?slide=6&draw=3&present=1")
    first = headline(page)
    page.reload()
    visitor.idle()
    assert headline(page) == first
    assert address(page) == {"slide": "6", "draw": "3", "present": "1"}
    page = visitor.go("/board?slide=99&draw=%3Cscript%3E&present=perhaps")
    assert "train one model together" in headline(page)
    assert address(page) == {}


def test_a_slide_on_stage_needs_no_scrolling(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport=FULL_HD)
    # In draw 20 an honest hospital is flagged beside the imitator, which takes the most words.
    page = visitor.go("/board?draw=20&present=1")
    for slide in range(1, len(SLIDES) + 1):
        assert page.evaluate(ROOM) == {"tall": 0, "wide": 0, "cut": []}, slide
        assert page.evaluate(OVERLAPS) == [], slide
        size = page.locator(".words, .sums, .three").first
        assert float(size.evaluate("(e) => parseFloat(getComputedStyle(e).fontSize)")) >= 24
        visitor.press("PageDown")


def test_nothing_is_cut_off_on_a_phone(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport={"width": 390, "height": 844})
    page = visitor.go("/board")
    for slide in range(1, len(SLIDES) + 1):
        for _ in range(2):  # as it is, and on stage
            room = page.evaluate(ROOM)
            assert (room["wide"], room["cut"]) == (0, []), (slide, page.url)
            assert page.evaluate(OVERLAPS) == [], (slide, page.url)
            visitor.press("p")
        visitor.press("PageDown")


def test_presenter_mode_goes_along_to_the_next_page_and_back(
    server: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(server, viewport=FULL_HD)
    page = visitor.go("/")
    frame = page.get_by_test_id("stHeader")
    assert frame.is_visible()
    before = page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)")
    visitor.press("p")
    frame.wait_for(state="hidden")
    after = page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)")
    assert after > 1.4 * before
    assert address(page) == {"present": "1"}
    with visitor.rerun():
        page.get_by_role("button", name="Open in the lab").first.click()
    assert urlsplit(page.url).path == "/lab"
    assert address(page)["present"] == "1"
    assert not frame.is_visible()
    assert page.get_by_test_id("stSidebar").is_visible() is False
    # The browser's Back leads out of the app at last, though the address is written anew.
    for _ in range(10):
        before = visitor.asked()
        page.go_back()
        if page.url == "about:blank":
            return
        visitor.until(lambda at=before: visitor.asked() != at, "the page to ask for a run")
        visitor.idle()
    pytest.fail(f"still at {page.url}")


def test_the_lab_on_stage(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport=FULL_HD)
    page = visitor.go("/lab?present=1")
    said = page.locator(".clair-sentence").inner_text()
    page.wait_for_function(LARGE)
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("group", name="Noise", exact=True).get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(old) => document.querySelector('.clair-sentence')?.innerText !== old", arg=said
    )
    visitor.idle()
    changed = page.locator(".clair-sentence").inner_text()
    assert address(page) == {"present": "1", "noise": "0.04"}
    # The first Escape closes the settings, the second leaves the stage.
    page.keyboard.press("Escape")
    page.get_by_role("group", name="Noise", exact=True).wait_for(state="hidden")
    visitor.idle()
    assert address(page) == {"present": "1", "noise": "0.04"}
    visitor.press("Escape")
    assert address(page) == {"noise": "0.04"}
    assert page.get_by_test_id("stSidebar").is_visible()
    assert page.locator(".clair-sentence").inner_text() == changed


def test_the_overview_opens_the_story_on_stage(server: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(server, viewport=FULL_HD)
    page = visitor.go("/")
    page.get_by_role("button", name="Present it to a board").click()
    page.locator(".headline").wait_for()
    visitor.idle()
    assert urlsplit(page.url).path == "/board"
    assert address(page) == {"present": "1"}
    assert page.locator("h1").count() == 1
    press(visitor, "Escape")
    assert page.get_by_test_id("stHeader").is_visible()
    assert page.get_by_role("heading", name="Board story").count() == 1
