"""Take the README's pictures from the real app.

    python assets/screenshots/take.py

Needs what the browser tests need: ``chromium`` and the packages of tests/requirements.txt.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.browser.conftest import CHROMIUM_ARGS, Server, Visitor

HERE = Path(__file__).resolve().parent
# name: address, colour scheme, height of the window
SHOTS: dict[str, tuple[str, str, int]] = {
    "overview": ("/", "light", 1180),
    "lab": ("/lab?view=Verdict", "light", 1000),
    "lab-dark": ("/lab?view=Subspace&attack=colluding&poisoned=0.4", "dark", 1000),
    "copying": ("/copying", "light", 1500),
    "regression": ("/regression", "light", 1200),
    "digits": ("/digits", "dark", 1300),
    "theory": ("/theory", "light", 1300),
    "adapters": ("/adapters", "dark", 1300),
}
WIDTH = 1280


def take(browser: Browser, server: Server, name: str) -> None:
    """Open one page in a fresh session and save what it shows."""
    path, scheme, height = SHOTS[name]
    context = browser.new_context(
        viewport={"width": WIDTH, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    visitor = Visitor(context.new_page(), server.url)
    visitor.go(path)
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
            browser = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=CHROMIUM_ARGS
            )
            for name in names:
                take(browser, server, name)
                print(HERE / f"{name}.png")
            browser.close()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
