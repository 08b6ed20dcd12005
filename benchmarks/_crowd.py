"""What a visitor of a lecture does: where to go, what to move, how long to look."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

from _visitors import PATIENCE, Log, Tab

#: Pages and how often they are gone to; the first screens and the lab most.
PAGES: dict[str, int] = {
    "lab": 30,
    "overview": 14,
    "compare": 12,
    "regression": 10,
    "theory": 9,
    "lessons": 8,
    "copying": 7,
    "adapters": 4,
    "digits": 3,
    "board": 3,
}
#: What is done on a page and how often, where the page has it.
MOVES: dict[str, int] = {"slider": 66, "button": 22, "view": 12}
#: Buttons a visitor presses now and then, without those that leave the page or start something.
_BUTTONS = ("_preset_", "_reset", "lesson_check_", "lesson_show_", "lesson_next", "board_next")
#: Seconds between the end of a repaint and the next move.
LOOK = (2.0, 6.0)
#: Share of Runs that are given up after some seconds of watching.
CANCELLED, WATCHED = 0.7, (3.0, 12.0)


class Visitor:
    """One person in the hall.

    Parameters
    ----------
    port : int
    log : Log
        Shared by all.
    seed : int
        What this one does.
    parcel : bytes
        A small zip of adapters.
    look : (float, float)
        Seconds between moves, from and to.
    """

    def __init__(
        self,
        port: int,
        log: Log,
        seed: int,
        parcel: bytes,
        look: tuple[float, float] = LOOK,
    ) -> None:
        self.tab, self.log = Tab(port, log), log
        self._dice, self._parcel, self._look = random.Random(seed), parcel, look

    async def stay(self, arrives: float, until: float) -> None:
        """Arrive, go from page to page, and leave, but not before having done one thing.

        Parameters
        ----------
        arrives, until : float
            Moments of `time.monotonic`.
        """
        await asyncio.sleep(max(0.0, arrives - time.monotonic()))
        await self.tab.connect()
        try:
            while True:
                (page,) = self._dice.choices(list(PAGES), list(PAGES.values()))
                await self.visit(page, self._dice.randint(4, 8), until)
                if time.monotonic() > until:
                    break
        finally:
            await self.tab.close()

    async def visit(self, page: str, moves: int, until: float) -> None:
        """Open a page and do a few things there."""
        await self.tab.open(page)
        for number in range(moves):
            await asyncio.sleep(self._dice.uniform(*self._look))
            if number and time.monotonic() > until:
                return
            if page == "copying" and number == 1:
                await self._run(until)
            elif page == "adapters" and number == 0:
                await self.tab.upload("sites.zip", self._parcel)
            else:
                await self._move()

    async def _move(self) -> None:
        """Move, press or choose one thing of the page."""
        found: dict[str, Sequence[Any]] = {
            "slider": list(self.tab.find("slider")),
            "button": [b for b in self.tab.find("button") if any(k in b.id for k in _BUTTONS)],
            "view": list(self.tab.find("button_group")),
        }
        there = {kind: MOVES[kind] for kind, widgets in found.items() if widgets}
        if not there:
            return
        (kind,) = self._dice.choices(list(there), list(there.values()))
        widget = self._dice.choice(found[kind])
        if kind == "slider":
            await self.tab.move(widget, self._dice)
        elif kind == "view":
            await self.tab.choose(widget, self._dice)
        else:
            await self.tab.press(widget)

    async def _run(self, until: float) -> None:
        """Press Run, watch, and give up or wait for the result."""
        tab, start = self.tab, time.monotonic()
        if (run := tab.button("copying_run")) is None:
            return
        tab.job = ""
        await tab.press(run)
        if tab.button("copying_run") is not None:
            refused = any("most" in alert.body for alert in tab.find("alert"))
            self.log.count("refused" if refused else "reused")
            return
        patience = self._dice.uniform(*WATCHED) if self._dice.random() < CANCELLED else None
        began, places, cancelled = False, [], False
        while tab.button("copying_run") is None:
            now = time.monotonic()
            if not began and tab.job == "running":
                began = True
                self.log.waits.append(now - start)
            elif tab.job.startswith("waiting"):
                places.append(int(tab.job.split()[1]))
            cancel = tab.button("copying_cancel")
            if patience is not None and not cancelled and cancel and now - start > patience:
                await tab.press(cancel)
                cancelled = True
            if now > (until + PATIENCE if cancelled else until):
                break
            await asyncio.sleep(0.1)
        if places != sorted(places, reverse=True):
            self.log.count("fell back in the queue")
        ended = tab.button("copying_run") is not None
        self.log.count("left while live" if not ended else "cancelled" if cancelled else "done")
        if not ended and cancelled:
            self.log.errors.append(("copying", "a cancelled run did not end"))
