"""Time from a key press on a slider to the last change on the screen: lab, Compare and Theory.

    python benchmarks/slider_repaint.py [--presses 8] [--only lab] [--against TREE]

Starts the app on a free port and drives Chromium (a Chromium and ``playwright`` must be there).
A press counts from the key event in the browser to the last change of the page's content before it
is calm for a quarter of a second, plus one frame; every press asks for a problem not seen before.
With ``--against TREE``, a checkout of another version, its server is driven in turn with ours.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from _margins import write
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.browser.conftest import CHROMIUM, CHROMIUM_ARGS, Server, Visitor
from tests.serving import ROOT

#: Name, address but for the seed, and the slider that is moved.
VIEWS = (
    *(
        (f"lab, {view}", f"/lab?view={view}&noise=0.01&seed=", "Noise")
        for view in ("split", "verdict", "errors", "subspace", "solver")
    ),
    ("compare", "/compare?noise=0.01&seed=", "Noise"),
    ("theory, window", "/theory?section=window&th_exact_noise=0.0&th_seed=", "Noise"),
    ("theory, sets", "/theory?section=sets&th_noise=0.01&th_seed=", "Noise"),
    ("theory, gain", "/theory?section=gain&th_noise=0.01&th_seed=", "Noise"),
)
LIMIT = 0.3
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
# Polled ten times a second: polling at every frame would slow down what is measured.
CALM = """(before) => {
  const watch = window.repaint, now = performance.now();
  return location.search !== before
    && watch.changed > watch.pressed && now - watch.changed > 250
    && document.querySelector("[data-testid=stApp]").dataset.testScriptState === "notRunning";
}"""


def presses(
    browser: Browser, server: Server, address: str, slider: str, number: int
) -> list[float]:
    """Move a slider step by step, and return the seconds until the page has settled each time."""
    visitor = Visitor(browser.new_page(viewport={"width": 1280, "height": 1400}), server.url)
    page = visitor.go(address)
    page.wait_for_timeout(1500)
    page.evaluate(WATCH)
    times = []
    for _ in range(number):
        before = page.evaluate("location.search")
        page.get_by_role("group", name=slider, exact=True).get_by_role("slider").first.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(CALM, arg=before, polling=100)
        times.append(page.evaluate("(repaint.changed - repaint.pressed) / 1000"))
    page.close()
    return times


def main() -> None:
    """Measure every view and write a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--presses", type=int, default=8)
    parser.add_argument("--only", default="", help="views whose name begins like this")
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    started = time.time()
    trees = [ROOT, *[arguments.against] * (arguments.against is not None)]
    servers = [Server(cwd=tree) for tree in trees]
    lines = ["| view | median s | slowest s | before, median s | ratio |", "|---" * 5 + "|"]
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            for seed, (name, address, slider) in enumerate(VIEWS, start=1):
                if not name.startswith(arguments.only):
                    continue
                found = [
                    presses(browser, server, f"{address}{seed}", slider, arguments.presses)
                    for server in servers
                ]
                now, *before = map(statistics.median, found)
                then = f"{before[0]:.2f} | {now / before[0]:.2f}" if before else "|"
                lines.append(f"| {name} | {now:.2f} | {max(found[0]):.2f} | {then} |")
                print(lines[-1], flush=True)
            browser.close()
    finally:
        for server in servers:
            server.stop()
    if arguments.only:
        return
    heading = "# From a key press on a slider to the last change on the screen"
    write("slider_repaint", [heading, "", *lines], started, f"The limit is {LIMIT} s.")


if __name__ == "__main__":
    main()
