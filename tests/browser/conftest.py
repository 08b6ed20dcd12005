"""A real server and a real Chromium for the tests in this folder.

They are skipped, saying why, where Chromium or playwright is missing; with CLAIR_REQUIRE_BROWSER=1
they fail instead, so that continuous integration cannot pass without them.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.serving import PATIENCE, Server

CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
IDLE = """() => {
  const app = document.querySelector('[data-testid=stApp]');
  const main = document.querySelector('[data-testid=stMain]');
  return app && app.dataset.testConnectionState === 'CONNECTED'
    && app.dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-testid=stSkeleton]')
    && main && main.innerText.trim().length > 0;
}"""


def _unavailable() -> str | None:
    if shutil.which("chromium") is None:
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

    def idle(self, seconds: float = 120) -> None:
        """Wait until the script has stopped, has shown something and stays calm."""
        calm, end = 0, time.monotonic() + seconds
        while calm < 3:
            calm = calm + 1 if self.page.evaluate(IDLE) else 0
            if time.monotonic() > end:
                raise TimeoutError("the page never came to rest")
            self.page.wait_for_timeout(100)

    def check(self) -> None:
        """Assert that nothing was fetched from outside, raised or logged as an error."""
        assert self.outside == []
        assert self.errors == []
        assert self.page.locator("[data-testid=stException]").count() == 0


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One server for all tests that do not need a fresh one."""
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def cold_server() -> Iterator[Server]:
    """A server that nobody has visited yet."""
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Headless Chromium."""
    reason = _unavailable()
    if reason:
        pytest.fail(f"CLAIR_REQUIRE_BROWSER=1, but {reason}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_ARGS, headless=True
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Visitor]]:
    """Factory of visitors, each with a browser profile of its own; checks them at the end."""
    contexts, visitors = [], []

    def open_tab(server: Server, **options: Any) -> Visitor:
        options = {"viewport": {"width": 1280, "height": 1600}, **options}
        context = chromium.new_context(**options)
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        visitors.append(Visitor(context.new_page(), server.url))
        return visitors[-1]

    yield open_tab
    for visitor in visitors:
        visitor.check()
    for context in contexts:
        context.close()
