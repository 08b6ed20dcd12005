"""A lecture hall: many visitors at once on a server that has just started.

    python benchmarks/lecture.py [--visitors 40] [--seconds 300] [--waves 2] [--tree PATH]

One visitor first has a server alone. Then a fresh server gets a wave of visitors within five
seconds: they go from page to page, move sliders, upload adapters, press Run and Cancel, and leave;
then comes the next wave. Visitors speak the app's protocol without a browser, so a repaint is the
time from sending a move to the end of the script and its last message; what a browser then takes to
draw is not in it (`slider_repaint.py` measures that). Server and visitors share the machine.

Exit code 1 if a page showed an error, the server's log has a traceback, somebody was not served, or
the memory after the last wave is more than 15 % above that before it. ``--tree`` measures another
checkout with the same visitors; ``--against`` measures that one first and prints the ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _crowd import PAGES, Visitor
from _visitors import Log, Repaint, Tab

HERE = Path(__file__).resolve().parents[1]
ARRIVAL = 5.0
#: Memory may grow by at most this factor in the last wave, if there was one before it.
GROWTH = 1.15
ALONE_MOVES, ALONE_LOOK = 10, 0.3


class Server:
    """The app of a checkout on a free port, and what it prints."""

    def __init__(self, tree: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = [sys.executable, "-m", "streamlit", "run", "app.py"]
        command += ["--server.port", str(self.port), "--server.headless", "true"]
        # By default a closed tab's session is kept for two minutes, in case the tab comes back.
        command += ["--server.disconnectedSessionTTL", "5"]
        self._process = subprocess.Popen(
            command, cwd=tree, stdout=self._log, stderr=subprocess.STDOUT
        )
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_stcore/health", timeout=1)
                return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"the server did not start:\n{self.log()}") from error
                time.sleep(0.1)

    def log(self) -> str:
        """Read what the server has printed so far."""
        self._log.seek(0)
        return self._log.read()

    def memory(self) -> float:
        """Read the resident memory in MB."""
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1000

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(60)
        self._log.close()


@dataclass
class Wave:
    """What one wave of visitors met, and the server's memory in MB."""

    log: Log
    before: float
    peak: float
    after: float


@dataclass
class Outcome:
    """What was measured of a checkout."""

    alone: Log
    waves: list[Wave] = field(default_factory=list)
    printed: str = ""

    @property
    def tracebacks(self) -> int:
        """Tracebacks in the server's log."""
        return self.printed.count("Traceback")

    def faults(self) -> list[str]:
        """List every bar that was missed."""
        logs = [self.alone, *(wave.log for wave in self.waves)]
        errors = Counter(error for log in logs for error in log.errors)
        found = [f"{page}: {text} ({n} times)" for (page, text), n in errors.items()]
        if self.tracebacks:
            found.append(f"{self.tracebacks} tracebacks in the server's log")
        if len(self.waves) > 1 and self.waves[-1].after > GROWTH * self.waves[-1].before:
            grown = self.waves[-1].after / self.waves[-1].before - 1
            found.append(f"memory grew by {grown:.0%} over the last wave")
        return found


def parcel(tree: Path) -> bytes:
    """Zip four of the bundled adapters for an upload."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for site in sorted((tree / "assets/adapters/sites").iterdir())[:4]:
            for path in sorted(site.iterdir()):
                archive.write(path, f"{site.name}/{path.name}")
    return buffer.getvalue()


async def alone(port: int) -> Log:
    """Let one visitor move the sliders of every page that opens with some."""
    log, dice = Log(), random.Random(0)
    tab = Tab(port, log)
    await tab.connect()
    for page in PAGES:
        await tab.open(page)
        while sum(r.page == page for r in log.repaints) <= ALONE_MOVES:
            await asyncio.sleep(ALONE_LOOK)
            if not (there := list(tab.find("slider"))):
                break
            await tab.move(dice.choice(there), dice)
    await tab.close()
    return log


async def wave(
    server: Server, visitors: int, seconds: float, seed: int, upload: bytes
) -> tuple[Log, float]:
    """Let a crowd come and leave; return what it met and the highest memory."""
    log, peak = Log(), server.memory()
    start = time.monotonic()
    crowd = [Visitor(server.port, log, seed + i, upload) for i in range(visitors)]
    stays = asyncio.gather(
        *(
            visitor.stay(start + i * ARRIVAL / visitors, start + seconds)
            for i, visitor in enumerate(crowd)
        )
    )
    while not stays.done():
        peak = max(peak, server.memory())
        await asyncio.wait([stays], timeout=0.5)
    await stays
    return log, peak


async def settled(server: Server, patience: float = 40.0) -> float:
    """Wait until memory has not fallen for `patience` seconds, and return it.

    The server frees the sessions of visitors who left in that time.
    """
    least, since = server.memory(), time.monotonic()
    while time.monotonic() - since < patience:
        await asyncio.sleep(0.5)
        if (now := server.memory()) < 0.99 * least:
            least, since = now, time.monotonic()
    return server.memory()


def measure(tree: Path, visitors: int, seconds: float, waves: int) -> Outcome:
    """Measure everything about one checkout."""
    upload = parcel(tree)
    server = Server(tree)
    try:
        outcome = Outcome(asyncio.run(alone(server.port)))
        outcome.printed = server.log()
    finally:
        server.stop()
    server = Server(tree)
    try:
        for number in range(waves):
            seed = 1000 * (number + 1)
            before = server.memory()
            log, peak = asyncio.run(wave(server, visitors, seconds, seed, upload))
            outcome.waves.append(Wave(log, before, peak, asyncio.run(settled(server))))
        outcome.printed += server.log()
    finally:
        server.stop()
    return outcome


def quantiles(repaints: list[Repaint]) -> str:
    """Write the median and 95th percentile, with the number of repaints."""
    seconds = sorted(r.seconds for r in repaints)
    if not seconds:
        return "–"
    high = seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))]
    return f"{statistics.median(seconds):.2f} / {high:.2f} ({len(seconds)})"


def sliders(log: Log, page: str | None = None) -> list[Repaint]:
    """Pick the moves of sliders, on one page or on all."""
    return [r for r in log.repaints if r.what == "slider" and page in (None, r.page)]


def report(outcome: Outcome) -> str:
    """Write the tables of one checkout."""
    lines = [
        "| page | move alone | move in the crowd | all else in the crowd | errors |",
        "|---|---|---|---|---|",
    ]
    crowd = Log()
    for wave in outcome.waves:
        crowd.repaints += wave.log.repaints
        crowd.errors += wave.log.errors
    for page in [*PAGES, None]:
        rest = [r for r in crowd.repaints if r.what != "slider" and page in (None, r.page)]
        errors = sum(page in (None, where) for where, _ in crowd.errors)
        lines.append(
            f"| {page or '**all**'} | {quantiles(sliders(outcome.alone, page))} "
            f"| {quantiles(sliders(crowd, page))} | {quantiles(rest)} | {errors} |"
        )
    lines += [
        "",
        "Seconds: median / 95th percentile (number of repaints); a move is a slider's.",
        "",
    ]
    for number, wave in enumerate(outcome.waves, 1):
        waits = wave.log.waits
        waited = (
            f"queue waits median {statistics.median(waits):.1f} s, longest {max(waits):.1f} s"
            if waits
            else "nobody waited"
        )
        runs = ", ".join(f"{n} {what}" for what, n in sorted(wave.log.runs.items())) or "none"
        lines.append(
            f"* Wave {number}: memory {wave.before:.0f} MB before, {wave.peak:.0f} at peak, "
            f"{wave.after:.0f} after; runs: {runs}; {waited}; {wave.log.bytes / 1e6:.0f} MB sent."
        )
    lines.append(f"* Tracebacks in the server's log: {outcome.tracebacks}.")
    lines += [f"* MISSED: {fault}" for fault in outcome.faults()]
    return "\n".join(lines)


def ratio(now: Outcome, before: Outcome) -> str:
    """Say how much faster a move has become."""
    rows = []
    for page in ("lab", None):
        moves = [[r.seconds for w in o.waves for r in sliders(w.log, page)] for o in (before, now)]
        name = page or "all pages"
        if not all(moves):  # nobody got as far as a slider
            rows.append(f"{name}: {len(moves[0])} moves before, {len(moves[1])} now")
            continue
        first, second = map(statistics.median, moves)
        rows.append(
            f"{name}: {first:.2f} s before, {second:.2f} s now, {first / second:.1f} times faster"
        )
    return "A slider in the crowd, median. " + "; ".join(rows) + "."


def main() -> int:
    """Measure one or two checkouts, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--visitors", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--waves", type=int, default=2)
    parser.add_argument("--tree", type=Path, default=HERE, help="checkout to measure")
    parser.add_argument("--against", type=Path, help="checkout to measure first, for the ratio")
    parser.add_argument("--log", type=Path, help="file for what the servers print")
    a = parser.parse_args()
    command = " ".join(["python", "benchmarks/lecture.py", *sys.argv[1:]])
    machine = f"{os.cpu_count()} cores, {platform.machine()}"
    print(f"# A lecture hall: {a.visitors} visitors\n\n`{command}` ({machine})\n", flush=True)
    before = None
    if a.against is not None:
        before = measure(a.against, a.visitors, a.seconds, a.waves)
        print(f"## Before\n\n{report(before)}\n\n## Now\n", flush=True)
    now = measure(a.tree, a.visitors, a.seconds, a.waves)
    print(report(now))
    if before is not None:
        print(f"\n{ratio(now, before)}")
    if a.log is not None:
        a.log.write_text(now.printed)
    return 1 if now.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
