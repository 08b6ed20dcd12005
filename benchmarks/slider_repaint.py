"""Time from a key press on a slider of the Subspace lab to the last change on the screen.

    python benchmarks/slider_repaint.py [--presses 12] [--views split,verdict,...]

Starts the app on a free port and drives Chromium (a Chromium and ``playwright`` must be there).
A press counts from the key event in the browser to the last change of the page's content before it
is calm for a quarter of a second, plus one frame; every press asks for a problem not seen before.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.browser.conftest import CHROMIUM, CHROMIUM_ARGS, Server, Visitor

LIMIT = 0.5
WATCH = """() => {
  const watch = { pressed: 0, changed: 0 };
  window.repaint = watch;
  document.addEventListener("keydown", () => {
    watch.pressed = performance.now();
    watch.changed = 0;
  }, true);
  const note = () => requestAnimationFrame(() => { watch.changed = performance.now(); });
  new MutationObserver(note).observe(document.querySelector("[data-testid=stMain]"),
    { childList: true, subtree: true, characterData: true, attributes: true });
}"""
CALM = """() => {
  const watch = window.repaint, now = performance.now();
  return watch.changed > watch.pressed && now - watch.changed > 250
    && document.querySelector("[data-testid=stApp]").dataset.testScriptState === "notRunning";
}"""


def press(page: Page, slider: str) -> float:
    """Move a slider by one step, and return the seconds until the page has settled."""
    before = page.locator(".clair-sentence").inner_text()
    page.get_by_role("group", name=slider, exact=True).get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    # polled ten times a second: polling at every frame would slow down what is measured
    changed = "(text) => document.querySelector('.clair-sentence').innerText !== text"
    page.wait_for_function(changed, arg=before, polling=100)
    page.wait_for_function(CALM, polling=100)
    return float(page.evaluate("(window.repaint.changed - window.repaint.pressed) / 1000"))


def main() -> None:
    """Measure every view and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--presses", type=int, default=12)
    parser.add_argument("--views", default="split,verdict,errors,subspace,solver")
    parser.add_argument("--slider", default="Noise")
    arguments = parser.parse_args()
    server = Server()
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            print(f"{'view':<10}{'median s':>10}{'max s':>8}")
            worst = 0.0
            for seed, view in enumerate(arguments.views.split(",")):
                visitor = Visitor(
                    browser.new_page(viewport={"width": 1280, "height": 1400}), server.url
                )
                page = visitor.go(f"/lab?view={view}&seed={seed + 1}&noise=0.01")
                page.wait_for_timeout(1500)
                page.evaluate(WATCH)
                times = [press(page, arguments.slider) for _ in range(arguments.presses)]
                middle = statistics.median(times)
                worst = max(worst, middle)
                print(f"{view:<10}{middle:>10.2f}{max(times):>8.2f}", flush=True)
                page.close()
            browser.close()
    finally:
        server.stop()
    verdict = "within" if worst <= LIMIT else "ABOVE"
    print(f"slowest median {worst:.2f} s, {verdict} the limit of {LIMIT} s")


if __name__ == "__main__":
    main()
