"""Visitors without a browser: the app's own protocol over a websocket, and how people behave.

A browser costs a quarter of a gigabyte; forty of these fit into one process beside the server. What
a visitor does follows from a seed alone, except where it depends on what the page shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

#: Longest wait for a page, in seconds; later it counts as an error.
PATIENCE = 60.0
_DONE = ForwardMsg.ScriptFinishedStatus.Value("FINISHED_SUCCESSFULLY")
_SLIDERS = ("slider", "select_slider")


@dataclass
class Repaint:
    """One thing a visitor did, and how long the page took to stand."""

    page: str
    what: str
    seconds: float


@dataclass
class Log:
    """What visitors met."""

    repaints: list[Repaint] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)
    bytes: int = 0

    def count(self, what: str) -> None:
        """Count an event of the queue."""
        self.runs[what] = self.runs.get(what, 0) + 1


class Tab:
    """One open page: what is on it, and messages to and from the server."""

    def __init__(self, port: int, log: Log) -> None:
        self.base, self.log = f"127.0.0.1:{port}", log
        self.page, self.query, self.job = "", "", ""
        self._hash, self._session = "", ""
        self._pages: dict[str, str] = {}
        self._elements: dict[tuple[int, ...], Any] = {}
        self._drawn: dict[tuple[int, ...], Any] = {}
        self._widgets: dict[str, WidgetState] = {}
        self._fragments: dict[str, str] = {}
        self._known: dict[str, tuple[ForwardMsg, int]] = {}
        self._age = 0
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._stands = asyncio.Event()
        self._http = requests.Session()

    async def connect(self) -> None:
        """Open the websocket as a browser does, with a cookie of its own."""
        await asyncio.to_thread(
            self._http.get, f"http://{self.base}/_stcore/health", timeout=PATIENCE
        )
        self._token = self._http.cookies.get("_streamlit_xsrf", "")
        cookie = "; ".join(f"{c.name}={c.value}" for c in self._http.cookies)
        self._socket = await websockets.connect(
            f"ws://{self.base}/_stcore/stream",
            subprotocols=[websockets.Subprotocol(name) for name in ("streamlit", "PLACEHOLDER")],
            origin=websockets.Origin(f"http://{self.base}"),
            additional_headers={"Cookie": cookie} if cookie else None,
            max_size=None,
            open_timeout=PATIENCE,
            ping_interval=None,
        )
        self._reader = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Close the tab."""
        self._forget_polls(list(self._polls))
        await self._socket.close()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        self._http.close()

    # -- what comes ----------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                self.log.bytes += len(data)
                message = ForwardMsg()
                message.ParseFromString(data)
                self._take(message)
        except websockets.ConnectionClosedError as error:
            self.log.errors.append((self.page, f"connection lost: {error}"))
            self._stands.set()

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            path = tuple(message.metadata.delta_path)
            if message.ref_hash not in self._known:
                self.log.errors.append((self.page, "a message refers to one that never came"))
                return
            known, _ = self._known[message.ref_hash]
            self._known[message.ref_hash] = known, self._age
            self._draw(path, known)
            return
        if message.metadata.cacheable:
            self._known[message.hash] = message, self._age
        if kind == "new_session":
            self._session = message.new_session.initialize.session_id
            self._hash = message.new_session.page_script_hash
            if not message.metadata.run.fragment_ids:
                self._forget_polls(list(self._polls))
                self._drawn = {}
        elif kind == "delta":
            self._draw(tuple(message.metadata.delta_path), message)
        elif kind == "navigation":
            self._hash = message.navigation.page_script_hash
            self._pages = {p.url_pathname: p.page_script_hash for p in message.navigation.app_pages}
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "auto_rerun":
            self._poll(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            self._forget_polls(message.stop_auto_rerun.fragment_ids)
        elif kind == "script_finished" and message.script_finished == _DONE:
            self._elements, self._age = self._drawn, self._age + 1
            # as a browser does: forget messages that two runs have not used
            self._known = {h: k for h, k in self._known.items() if k[1] >= self._age - 2}
            self._stands.set()

    def _draw(self, path: tuple[int, ...], message: ForwardMsg) -> None:
        if message.delta.WhichOneof("type") != "new_element":
            return
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        self._drawn[path] = self._elements[path] = element
        body = getattr(element, kind)
        if kind == "button":
            self._fragments[body.id] = message.delta.fragment_id
        if kind == "exception":
            self.log.errors.append((self.page, f"{body.type}: {body.message}"))
        elif kind == "markdown":
            self._hear(body.body)
        elif getattr(body, "set_value", False):
            self._widgets.pop(body.id, None)  # set by the server: the value sent is old

    def _hear(self, text: str) -> None:
        """Follow the state of this visitor's run."""
        place = re.match(r"\*\*Waiting: number (\d+)", text)
        if place:
            self.job = f"waiting {place[1]}"
        elif re.match(r"\*\*(Starting|Stopping|\w.*, step \d+ of)", text):
            self.job = "running"

    def _poll(self, fragment: str, interval: float) -> None:
        async def ask() -> None:
            while True:
                await asyncio.sleep(interval)
                await self._send(fragment=fragment)

        self._forget_polls([fragment])
        self._polls[fragment] = asyncio.create_task(ask())

    def _forget_polls(self, fragments: Any) -> None:
        for fragment in list(fragments):
            task = self._polls.pop(fragment, None)
            if task is not None:
                task.cancel()

    # -- what goes -----------------------------------------------------------------------------

    async def _send(self, *, press: str = "", fragment: str = "") -> None:
        if press:
            fragment = self._fragments.get(press, "")
        message = BackMsg()
        rerun = message.rerun_script
        rerun.page_script_hash, rerun.query_string = self._hash, self.query
        if not self._hash:
            rerun.page_name = self.page
        rerun.cached_message_hashes.extend(self._known)
        rerun.context_info.url = f"http://{self.base}/{self.page}"
        rerun.context_info.timezone = "UTC"
        rerun.context_info.locale = "en-US"
        rerun.context_info.color_scheme = "light"
        rerun.widget_states.widgets.extend(self._widgets.values())
        if press:
            rerun.widget_states.widgets.add(id=press, trigger_value=True)
        if fragment:
            rerun.fragment_id, rerun.is_auto_rerun = fragment, not press
        with contextlib.suppress(websockets.ConnectionClosed):
            await self._socket.send(message.SerializeToString())

    async def _act(self, what: str, press: str = "") -> None:
        """Send what was done and wait until the page stands."""
        self._stands.clear()
        start = time.perf_counter()
        await self._send(press=press)
        try:
            await asyncio.wait_for(self._stands.wait(), PATIENCE)
        except TimeoutError:
            self.log.errors.append((self.page, f"{what}: no answer within {PATIENCE:.0f} s"))
        self.log.repaints.append(Repaint(self.page, what, time.perf_counter() - start))

    async def open(self, page: str, query: str = "") -> None:
        """Go to a page by the navigation, or as the first page of the visit."""
        self.page, self.query = page, query
        self._hash = self._pages.get(page, "")
        self._widgets, self._elements = {}, {}
        await self._act("page")

    def find(self, *kinds: str) -> Iterator[Any]:
        """Find the enabled elements of some kinds on the page."""
        for element in list(self._elements.values()):
            if element.WhichOneof("type") in kinds:
                body = getattr(element, element.WhichOneof("type"))
                if not getattr(body, "disabled", False):
                    yield body

    def button(self, key: str) -> Any:
        """Find an enabled button by its key; None without one."""
        return next((b for b in self.find("button") if _key(b) == key), None)

    async def press(self, button: Any) -> None:
        """Press a button and wait for the page; do not wait in a live panel, which draws itself."""
        if self._fragments.get(button.id):
            await self._send(press=button.id)
        else:
            await self._act("button", button.id)

    async def move(self, slider: Any, dice: random.Random) -> None:
        """Move a slider by one to four steps."""
        kept = self._widgets.get(slider.id)
        step = dice.choice((-4, -3, -2, -1, 1, 2, 3, 4))
        state = WidgetState(id=slider.id)
        if slider.options:
            options = list(slider.options)
            now = options.index(kept.string_array_value.data[0]) if kept else _index(slider)
            low, high, by = 0, len(options) - 1, 1
        else:
            shown = slider.value if slider.set_value else slider.default
            now = kept.double_array_value.data[0] if kept else shown[0]
            low, high, by = slider.min, slider.max, slider.step
        if not low <= now + step * by <= high:
            step = -step
        value = min(max(now + step * by, low), high)
        if slider.options:
            state.string_array_value.data.append(options[int(value)])
        else:
            state.double_array_value.data.append(round(value, 9))
        self._widgets[slider.id] = state
        await self._act("slider")

    def set(self, slider: Any, value: float) -> None:
        """Leave a slider of numbers at a value; the server hears of it with the next press."""
        state = WidgetState(id=slider.id)
        state.double_array_value.data.append(value)
        self._widgets[slider.id] = state

    async def choose(self, row: Any, dice: random.Random) -> None:
        """Press one of a row of options."""
        state = WidgetState(id=row.id)
        state.string_array_value.data.append(dice.choice([o.content for o in row.options]))
        self._widgets[row.id] = state
        await self._act("view")

    async def upload(self, name: str, data: bytes) -> None:
        """Give a file to the page's uploader."""
        uploader = next(self.find("file_uploader"), None)
        if uploader is None:
            self.log.errors.append((self.page, "no place to upload"))
            return
        file_id = str(uuid.uuid4())
        address = f"/_stcore/upload_file/{self._session}/{file_id}"
        answer = await asyncio.to_thread(
            self._http.put,
            f"http://{self.base}{address}",
            files={"file": (name, data)},
            headers={"X-Xsrftoken": self._token},
            timeout=PATIENCE,
        )
        if answer.status_code >= 300:
            self.log.errors.append((self.page, f"upload: {answer.status_code}"))
            return
        state = WidgetState(id=uploader.id)
        info = state.file_uploader_state_value.uploaded_file_info.add()
        info.file_id, info.name, info.size = file_id, name, len(data)
        info.file_urls.file_id, info.file_urls.upload_url = file_id, address
        self._widgets[uploader.id] = state
        await self._act("upload")


def _key(widget: Any) -> str:
    """Read the key that the page gave a widget."""
    return str(widget.id).split("-", 2)[-1]


def _index(slider: Any) -> int:
    return int(slider.value[0] if slider.set_value and slider.value else slider.default[0])
