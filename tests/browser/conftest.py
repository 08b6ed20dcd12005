"""A real server and a real Chromium for the tests in this folder.

They are skipped, saying why, where Chromium or playwright is missing; with CLAIR_REQUIRE_BROWSER=1
they fail instead, so that continuous integration cannot pass without them.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.serving import PATIENCE, Server

#: The headless build where it is installed: it draws no window, which is a fifth of the work.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Whether the latest run has ended and all its results are drawn: for three frames in a row nothing
#: on the page changes or moves.
IDLE = """async () => {
  const app = document.querySelector('[data-testid=stApp]')
  const main = document.querySelector('[data-testid=stMain]')
  const rests = () => window.wire.rest && app.dataset.testConnectionState === 'CONNECTED'
    && app.dataset.testScriptState === 'notRunning' && document.fonts.status === 'loaded'
    && !document.querySelector('[data-testid=stSkeleton]') && main.innerText.trim() !== ''
  const moves = (one) => one.playState === 'running' && one.effect.getTiming().iterations < Infinity
    && one.effect.target?.getRootNode() === document
  if (!app || !main) return false
  let changes = 0
  const watch = new MutationObserver(() => { changes += 1 })
  watch.observe(app, { childList: true, characterData: true, subtree: true })
  for (let frame = 0; frame < 3 && !changes && rests(); frame += 1) {
    await new Promise(requestAnimationFrame)
  }
  watch.disconnect()
  return !changes && rests() && !document.getAnimations().some(moves)
}"""
FIELDS = {
    "rerun": BackMsg.RERUN_SCRIPT_FIELD_NUMBER,
    "clock": ClientState.IS_AUTO_RERUN_FIELD_NUMBER,
    "begun": ForwardMsg.NEW_SESSION_FIELD_NUMBER,
    "ended": ForwardMsg.SCRIPT_FINISHED_FIELD_NUMBER,
    "early": ForwardMsg.FINISHED_EARLY_FOR_RERUN,
}
WIRE = Path(__file__).with_name("wire.js").read_text("utf-8").replace("FIELDS", json.dumps(FIELDS))


def _unavailable() -> str | None:
    if CHROMIUM is None:
        return "chromium is not installed"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, and skip it where there is no browser."""
    reason = None if os.environ.get("CLAIR_REQUIRE_BROWSER") == "1" else _unavailable()
    for item in items:
        if Path(str(item.fspath)).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@dataclass
class Visitor:
    """One browser tab, and what went wrong in it."""

    page: Any
    base: str
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.add_init_script(WIRE)
        self.page.on("request", self._note_request)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note_request(self, request: Any) -> None:
        local = (self.base, self.base.replace("http", "ws", 1), "data:", "blob:", "about:")
        if not request.url.startswith(local):
            self.outside.append(request.url)

    def go(self, path: str) -> Any:
        """Open a path of the app, wait until it is idle, and return the page."""
        self.page.goto(self.base + path)
        self.idle()
        return self.page

    def idle(self) -> None:
        """Wait until the last run that the page asked for has ended and is drawn."""
        self.until(lambda: self.page.evaluate(IDLE), "the page to come to rest")

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait until something holds, for which the browser itself cannot wait."""
        end = time.monotonic() + PATIENCE
        while not self._now(holds):
            assert time.monotonic() < end, f"waited in vain for {what}"
            self.page.wait_for_timeout(20)  # lets the browser go on before the next check

    @staticmethod
    def _now(holds: Callable[[], object]) -> object:
        from playwright.sync_api import Error

        try:
            return holds()
        except Error as error:  # asked while one document replaced another
            if "context was destroyed" in str(error) or "navigati" in str(error):
                return False
            raise

    def asked(self) -> float:
        """Count the runs the page has asked for; another document has another number."""
        return float(self.page.evaluate("() => window.wire.asked"))

    @contextmanager
    def asks(self) -> Iterator[None]:
        """Wait until something done inside has made the page ask for a run."""
        before = self.asked()
        yield
        self.until(lambda: self.asked() != before, "the page to ask for a run")

    @contextmanager
    def rerun(self) -> Iterator[None]:
        """Wait until a run has ended that something done inside made the page ask for."""
        with self.asks():
            yield
        self.idle()

    def press(self, key: str) -> None:
        """Press a key that the page answers with a run, whether or not anything comes of it."""
        with self.rerun():
            self.page.keyboard.press(key)

    def check(self) -> None:
        """Assert that nothing was fetched from outside, raised or logged as an error."""
        assert self.outside == []
        assert self.errors == []
        assert self.page.locator("[data-testid=stException]").count() == 0


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start one server for all tests, which finds no sweep of an earlier session."""
    kept = str(tmp_path_factory.mktemp("cache"))
    running = Server(env={**os.environ, "CLAIR_CACHE_DIR": kept})
    yield running
    running.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Start a headless Chromium."""
    reason = _unavailable()
    if reason:
        pytest.fail(f"CLAIR_REQUIRE_BROWSER=1, but {reason}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


class Profiles:
    """Browser profiles, used again once their visitor has left: the app's scripts stay compiled."""

    def __init__(self, chromium: Any) -> None:
        self.chromium = chromium
        self.free: dict[str, list[Any]] = {}

    @contextmanager
    def lent(self) -> Iterator[Callable[..., Visitor]]:
        """Make visitors, each with a browser profile of its own, and check them at the end."""
        used: list[tuple[str, Any, Visitor]] = []

        def open_tab(server: Server, **options: Any) -> Visitor:
            options = {"viewport": {"width": 1280, "height": 1600}, **options}
            kind = json.dumps(options, sort_keys=True)
            kept = self.free.setdefault(kind, [])
            context = kept.pop() if kept else self.chromium.new_context(**options)
            context.set_default_timeout(1000 * PATIENCE)
            visitor = Visitor(context.new_page(), server.url)
            used.append((kind, context, visitor))
            return visitor

        yield open_tab
        for _, _, visitor in used:
            visitor.check()
        for kind, context, visitor in used:
            self._take_back(kind, context, visitor)

    def _take_back(self, kind: str, context: Any, visitor: Visitor) -> None:
        """Empty a profile for the next visitor, or throw it away if more than the app is open."""
        page = visitor.page
        if context.pages == [page] and page.url.startswith(visitor.base):
            page.evaluate("() => { localStorage.clear(); sessionStorage.clear() }")
            page.close()
            context.clear_cookies()
            self.free[kind].append(context)
        else:
            context.close()


@pytest.fixture(scope="session")
def profiles(chromium: Any) -> Profiles:
    """Keep the browser profiles of one session."""
    return Profiles(chromium)


@pytest.fixture
def visit(profiles: Profiles) -> Iterator[Callable[..., Visitor]]:
    """Make visitors for one test."""
    with profiles.lent() as open_tab:
        yield open_tab
