"""Some visitors at once on a server that has just started: nobody meets an error."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.lecture import Outcome, Server, Wave, parcel, wave

ROOT = Path(__file__).resolve().parents[1]
VISITORS, SECONDS = 6, 8.0


def test_visitors_of_a_cold_server_are_all_served() -> None:
    server = Server(ROOT)
    try:
        # A thread of its own: the browser of other tests may hold this one's event loop.
        with ThreadPoolExecutor(1) as apart:
            log, peak = apart.submit(
                lambda: asyncio.run(wave(server, VISITORS, SECONDS, 7, parcel(ROOT)))
            ).result()
        outcome = Outcome(log, [Wave(log, peak, peak, peak)], server.log())
    finally:
        server.stop()
    assert outcome.faults() == []
    opened = [repaint for repaint in log.repaints if repaint.what == "page"]
    assert len(opened) >= VISITORS
    assert len(log.repaints) > len(opened)
