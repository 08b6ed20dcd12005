"""Take the README's pictures from the real app.

    python assets/screenshots/take.py

Needs what the browser tests need: ``chromium`` and the packages of tests/requirements.txt.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.browser.conftest import CHROMIUM, CHROMIUM_ARGS, Server, Visitor

HERE = Path(__file__).resolve().parent


class Shot(NamedTuple):
    """Address, colour scheme, height of the window, and a button to press first."""

    path: str
    scheme: str
    height: int
    press: str = ""


SHOTS: dict[str, Shot] = {
    "overview": Shot("/", "light", 1180),
    "lessons": Shot("/lessons?course=liars&step=2", "light", 1180, "Show me"),
    "lab": Shot("/lab?view=Verdict", "light", 1000),
    "lab-dark": Shot("/lab?view=Subspace&attack=colluding&poisoned=0.4", "dark", 1000),
    "steps": Shot("/lab?view=Step+by+step&noise=0", "dark", 1180),
    "compare": Shot("/compare", "light", 1180),
    "redteam": Shot("/redteam", "light", 1300),
    "llm": Shot("/llm", "dark", 1500),
    "copying": Shot("/copying", "light", 1500),
    "regression": Shot("/regression", "light", 1200),
    "digits": Shot("/digits", "dark", 1300),
    "theory": Shot("/theory", "light", 1300),
    "adapters": Shot("/adapters", "dark", 1300),
    "board": Shot("/board?slide=5&present=1", "light", 720),
}
WIDTH = 1280


def take(browser: Browser, server: Server, name: str) -> None:
    """Open one page in a fresh session and save what it shows."""
    shot = SHOTS[name]
    context = browser.new_context(
        viewport={"width": WIDTH, "height": shot.height},
        color_scheme=shot.scheme,
        reduced_motion="reduce",
    )
    visitor = Visitor(context.new_page(), server.url)
    page = visitor.go(shot.path)
    if shot.press:
        page.get_by_role("button", name=shot.press).click()
        visitor.idle()
    visitor.page.wait_for_timeout(1500)
    visitor.check()
    visitor.page.screenshot(path=HERE / f"{name}.png")
    context.close()


def main() -> None:
    """Take every picture, or those named on the command line."""
    names = sys.argv[1:] or list(SHOTS)
    server = Server()
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            for name in names:
                take(browser, server, name)
                print(HERE / f"{name}.png")
            browser.close()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
