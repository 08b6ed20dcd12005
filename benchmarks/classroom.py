"""A class: a lecturer on stage, many phones, all predicting at once.

    python benchmarks/classroom.py [--phones 60] [--steps 6] [--shots FOLDER]

A fresh server, a lecturer's browser at 1366 x 768 in presenter mode, a browser at 390 x 844 as one
phone, and the other phones without a browser (`_visitors.py`). The lecturer asks, the phones
predict within eight seconds, the lecturer shows the answer and goes on; then some phones try an
attack on the Red team page, and the class ends. Everything shares the machine.

Printed are how many answered, the time from an answer to the count on stage, from a press of the
lecturer to the last phone, and the server's memory. Exit code 1 if a page showed an error, a phone
was not served, the count on stage is not the number of answers, or the log has a traceback.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import re
import shutil
import statistics
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _visitors import Log, Tab
from lecture import Server, settled
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parents[1]
#: Seconds within which a phone predicts, and longest wait for anything.
THINK, PATIENCE = (0.5, 8.0), 120.0
#: One phone in so many tries an attack at the end.
ATTACKER = 6
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
# Every change of the count on stage, with the time of the day in seconds.
WATCH = """() => {
  window.counts = []
  setInterval(() => {
    const said = document.querySelector('.class-count')?.innerText ?? ''
    if (said !== window.counts.at(-1)?.[1]) window.counts.push([Date.now() / 1000, said])
  }, 20)
}"""


@dataclass
class Board:
    """What the phones did and saw: times of the day in seconds, by step."""

    log: Log = field(default_factory=Log)
    asked: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    sent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    told: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    attacked: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    attack: threading.Event = field(default_factory=threading.Event)


class Phone:
    """A phone of the audience without a browser.

    Parameters
    ----------
    port : int
    code : str
    seed : int
    board : Board
    """

    def __init__(self, port: int, code: str, seed: int, board: Board) -> None:
        self.tab, self.board, self.seed = Tab(port, board.log), board, seed
        self.query, self.dice = f"class={code}", random.Random(seed)

    async def stay(self) -> None:
        """Join, predict whenever something is asked, and leave at the end."""
        await asyncio.sleep(self.dice.uniform(0, 5))
        await self.tab.connect()
        await self.tab.open("classroom", self.query)
        done, told = "", ""
        while not self.board.over.is_set():
            step = self._step()
            if step and step != done:
                self.board.asked[step].append(time.time())
                done = step
                await asyncio.sleep(self.dice.uniform(*THINK))
                await self._predict(step)
            elif done != told and self._sees('class="lesson-answer"'):
                self.board.told[done].append(time.time())
                told = done
            elif self.board.attack.is_set() and self.seed % ATTACKER == 0:
                await self._attack()
                break
            await asyncio.sleep(0.05)
        while not self.board.over.is_set():
            await asyncio.sleep(0.1)
        await self.tab.close()

    def _step(self) -> str:
        """Find out which step is asked, from the buttons; empty if none is."""
        for button in self.tab.find("button"):
            if found := re.search(r"class_(?:choose|send)_([a-z]+\.\d+)", button.id):
                return found[1]
        return ""

    def _sees(self, word: str) -> bool:
        return any(word in one.body for one in self.tab.find("html"))

    async def _predict(self, step: str) -> None:
        buttons = [b for b in self.tab.find("button") if re.search(rf"_{step}(_\d)?$", b.id)]
        if not buttons:
            self.board.log.errors.append(("classroom", f"{step} was told before it was answered"))
            return
        for slider in self.tab.find("slider"):
            places = round((slider.max - slider.min) / slider.step)
            self.tab.set(slider, slider.min + slider.step * self.dice.randint(0, places))
        self.board.sent[step].append(time.time())
        await self.tab.press(self.dice.choice(buttons))

    async def _attack(self) -> None:
        await self.tab.open("redteam", self.query)
        buttons = [b for b in self.tab.find("button") if "redteam_preset_" in b.id]
        await self.tab.press(self.dice.choice(buttons))
        self.board.attacked.append(time.time())


def audience(port: int, code: str, phones: int, board: Board) -> threading.Thread:
    """Start the phones in a thread of their own."""

    async def come() -> None:
        await asyncio.gather(*(Phone(port, code, i, board).stay() for i in range(phones)))

    thread = threading.Thread(target=lambda: asyncio.run(come()))
    thread.start()
    return thread


@dataclass
class Step:
    """One question: who answered, and seconds from each answer to the stage and to the phones."""

    name: str
    answered: int
    to_stage: list[float]
    to_ask: float
    to_tell: float


class Lecturer:
    """The lecturer's browser and one phone's."""

    def __init__(
        self, page: Page, phone: Page, board: Board, phones: int, shots: Path | None
    ) -> None:
        self.page, self.phone, self.board, self.phones = page, phone, board, phones
        self.shots, self.errors = shots, []
        for tab in (page, phone):
            tab.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, base: str) -> str:
        """Open a class and let the phone's browser in; return the code."""
        self.page.goto(f"{base}/lessons?course=averaging&step=1")
        self.page.get_by_role("button", name="Open a class").click()
        code = self.page.locator(".class-join .code").inner_text()
        self.page.evaluate(WATCH)
        self.phone.goto(f"{base}/classroom?class={code}")
        self.phone.get_by_text("You are in").wait_for()
        return code

    def count(self, text: str) -> None:
        """Wait for a count on stage."""
        self.page.locator(".class-count", has_text=text).wait_for()

    def shot(self, name: str) -> None:
        """Take pictures of both browsers."""
        if self.shots is not None:
            for who, tab in (("stage", self.page), ("phone", self.phone)):
                tab.screenshot(path=self.shots / f"{name}-{who}.png")

    def step(self, name: str) -> Step:
        """Ask, wait until all have answered, tell, and wait until all have seen it."""
        self.page.evaluate("() => { window.counts.length = 0 }")
        pressed = time.time()
        self.page.keyboard.press("ArrowRight")
        number, board = self.phones + 1, self.board
        self.phone.locator("[class*=class_choose_], [class*=class_send_]").first.wait_for()
        self.page.get_by_role("button", name="Show the answer").wait_for()
        self._wait(lambda: len(board.asked[name]) == self.phones, f"{name} on all phones")
        to_ask = max(board.asked[name]) - pressed
        self.phone.locator(
            "[class*=class_choose_] button, [class*=class_send_] button"
        ).last.click()
        board.sent[name].append(time.time())
        self._wait(lambda: len(board.sent[name]) == number, f"{name} answered by all")
        self.count(f"{number} of {number}")
        self.shot(f"{name}-asked")
        counts = self._counts()
        pressed = time.time()
        self.page.keyboard.press("Enter")
        self.phone.locator(".lesson-answer").wait_for()
        self._wait(lambda: len(board.told[name]) == self.phones, f"{name} told on all phones")
        to_tell = max(board.told[name]) - pressed
        self.page.locator(".clair-chart .main-svg").first.wait_for()
        self.shot(f"{name}-told")
        late = []
        for k, sent in enumerate(sorted(board.sent[name]), 1):
            late.append(next(at for at, seen in counts if seen >= k) - sent)
        return Step(name, counts[-1][1], late, to_ask, to_tell)

    def _counts(self) -> list[tuple[float, int]]:
        """Read every count of this question that was on stage."""
        found = []
        for at, said in self.page.evaluate("() => window.counts"):
            if match := re.match(r"(\d+) of \d+", said):
                found.append((at, int(match[1])))
        return found

    def attacks(self) -> int:
        """Show the attacks, and count those on the board."""
        self.page.get_by_role("button", name="Attacks").click()
        self.phone.get_by_role("link", name="Attack on").wait_for()
        self.board.attack.set()
        wanted = len(range(0, self.phones, ATTACKER))
        self._wait(lambda: len(self.board.attacked) == wanted, "the attacks")
        rows = self.page.locator(".class-board tr")
        self._wait(lambda: rows.count() == min(wanted, 8), "the attacks on the board")
        self.shot("attacks")
        return wanted

    def close(self) -> None:
        """End the class."""
        self.page.get_by_role("button", name="How to join").click()
        self.page.get_by_role("button", name="End the class").click()
        self.phone.get_by_text("There is no class").wait_for()

    def _wait(self, holds: Any, what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(f"waited in vain for {what}")
            self.page.wait_for_timeout(50)


def steps_of(most: int) -> list[str]:
    """List the first steps of the courses."""
    sys.path.insert(0, str(HERE))
    from clair.lessons.course import courses

    return [f"{key}.{n + 1}" for key, c in courses().items() for n in range(len(c.steps))][:most]


def lecture(server: Server, a: argparse.Namespace, board: Board) -> tuple[list[Step], int, float]:
    """Hold a class; return its steps, the attacks on the board, and the highest memory."""
    steps: list[Step] = []
    peak = server.memory()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        sizes = ({"width": 1366, "height": 768}, {"width": 390, "height": 844})
        tabs = [browser.new_context(viewport=size).new_page() for size in sizes]
        for tab in tabs:
            tab.set_default_timeout(1000 * PATIENCE)
        lecturer = Lecturer(tabs[0], tabs[1], board, a.phones, a.shots)
        code = lecturer.open(f"http://127.0.0.1:{server.port}")
        crowd = audience(server.port, code, a.phones, board)
        try:
            lecturer.count(f"{a.phones + 1} phones")
            lecturer.shot("join")
            for name in steps_of(a.steps):
                steps.append(lecturer.step(name))
                peak = max(peak, server.memory())
            attacks = lecturer.attacks()
            lecturer.close()
        except Exception:
            lecturer.shot("failed")
            print(Counter(board.log.errors), server.log())
            raise
        finally:
            board.over.set()
            crowd.join()
        board.log.errors += [("browser", error) for error in lecturer.errors]
    return steps, attacks, max(peak, server.memory())


def halves(seconds: list[float]) -> str:
    """Write the median and the longest."""
    return f"{statistics.median(seconds):.1f} / {max(seconds):.1f}"


def main() -> int:
    """Hold a class and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--phones", type=int, default=60, help="without a browser")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--shots", type=Path, help="folder for pictures of both browsers")
    a = parser.parse_args()
    if a.shots is not None:
        a.shots.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python", "benchmarks/classroom.py", *sys.argv[1:]])
    print(f"# A class of {a.phones + 1} phones\n")
    print(f"`{command}` ({os.cpu_count()} cores, {platform.machine()})\n", flush=True)
    server, board = Server(HERE), Board()
    try:
        before = server.memory()
        steps, attacks, peak = lecture(server, a, board)
        after = asyncio.run(settled(server))
        printed = server.log()
    finally:
        server.stop()
    print("| step | answered | answer to stage | question to all phones | answer to all phones |")
    print("|---|---|---|---|---|")
    for step in steps:
        print(
            f"| {step.name} | {step.answered} of {a.phones + 1} | {halves(step.to_stage)} "
            f"| {step.to_ask:.1f} | {step.to_tell:.1f} |"
        )
    every = [late for step in steps for late in step.to_stage]
    print(f"| **all** | {sum(s.answered for s in steps)} | {halves(every)} | | |\n")
    print(
        "Seconds; answer to stage: median / longest. The stage and the phones ask by the clock.\n"
    )
    print(f"* Attacks on the board: {attacks} tried.")
    print(f"* Memory {before:.0f} MB before, {peak:.0f} at peak, {after:.0f} after all had left.")
    print(f"* {board.log.bytes / 1e6:.1f} MB sent to the {a.phones} phones without a browser.")
    faults = [
        f"{page}: {text} ({n} times)" for (page, text), n in Counter(board.log.errors).items()
    ]
    if "Traceback" in printed:
        faults.append("the server's log has a traceback")
    faults += [f"{s.name}: {s.answered} answered" for s in steps if s.answered != a.phones + 1]
    print("\n".join(f"* MISSED: {fault}" for fault in faults) or "* No error.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
