"""The first paint of the Overview on a server that nobody has visited, over another checkout's.

    git worktree add ../before 81f388f      # the last commit of the former layout
    python benchmarks/cold_start.py ../before

Both checkouts are started in turns, each round with new servers and a new browser profile. Seconds
from the command to a server that answers, from the address to the first chart, processor time of
the server until the page rests, and of importing what the first page needs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _margins import write

from tests.browser.conftest import CHROMIUM, CHROMIUM_ARGS, Server, Visitor
from tests.serving import ROOT

PAINTED = "() => document.querySelector('[data-testid=stMain] .main-svg')"
# Counts what the first page imports, after the server's own imports.
IMPORTS = """
import sys, time
import streamlit, streamlit.web.bootstrap
before, start = len(sys.modules), time.process_time()
from streamlit.testing.v1 import AppTest
AppTest.from_file("app.py", default_timeout=600).run()
print(time.process_time() - start, len(sys.modules) - before)
"""
COLUMNS = (
    "server answers, s",
    "first chart, s",
    "server's processor time, s",
    "first run and its imports, processor s",
    "modules imported",
)


def measured(tree: Path, browser: Browser) -> tuple[float, ...]:
    """Start a server of a checkout, open its first page, and return a value for each column."""
    start = time.perf_counter()
    server = Server(cwd=tree)
    try:
        answers = time.perf_counter() - start
        visitor = Visitor(browser.new_page(viewport={"width": 1280, "height": 900}), server.url)
        start = time.perf_counter()
        visitor.page.goto(server.url)
        visitor.page.wait_for_function(PAINTED, timeout=180_000, polling=50)
        painted = time.perf_counter() - start
        visitor.page.wait_for_timeout(3000)  # what goes on after the first paint is counted too
        times = psutil.Process(server.pid).cpu_times()
        visitor.page.close()
    finally:
        server.stop()
    alone = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=tree, capture_output=True, text=True, check=True
    )
    seconds, modules = alone.stdout.split()[-2:]
    return answers, painted, times.user + times.system, float(seconds), float(modules)


def main() -> None:
    """Measure both checkouts in turns, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tree", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    started, pairs = time.time(), []
    with sync_playwright() as driver:
        for _ in range(args.rounds):
            pair = []
            for tree in (args.tree.resolve(), ROOT):
                browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
                pair.append(measured(tree, browser))
                browser.close()
            pairs.append(pair)
            print(pair, flush=True)
    lines = ["| | other checkout | this one | this / other |", "|---|---|---|---|"]
    for i, column in enumerate(COLUMNS):
        other, this = (statistics.median(pair[side][i] for pair in pairs) for side in (0, 1))
        ratio = statistics.median(pair[1][i] / pair[0][i] for pair in pairs)
        lines.append(f"| {column} | {other:.2f} | {this:.2f} | {ratio:.2f} |")
    print(*lines, sep="\n")
    git = ["git", "-C", str(args.tree), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    write(
        "cold_start",
        [f"# The Overview on a cold server, against the commit {commit}", "", *lines],
        started,
        f"Medians of {args.rounds} rounds run in turns.",
    )


if __name__ == "__main__":
    main()
