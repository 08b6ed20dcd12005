"""A real server for tests, and a visitor of it without a browser."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 180.0  # seconds until a test that would hang fails instead


STREAMLIT = (sys.executable, "-m", "streamlit", "run", "app.py")


class Server:
    """The app on a free port of this machine.

    Parameters
    ----------
    command : sequence of str
        What starts it.
    cwd : Path
        Where.
    env : dict, optional
        The environment; by default that of the tests.
    **options : str
        Of ``streamlit run``; an empty one stays as the app's configuration has it.
    """

    def __init__(
        self,
        command: Sequence[str] = STREAMLIT,
        cwd: Path = ROOT,
        env: dict[str, str] | None = None,
        **options: str,
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        options = {"server.port": str(port), "server.headless": "true", **options}
        words = [word for name, value in options.items() if value for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [*command, *words],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.pid = self._process.pid
        self._wait()

    def _wait(self, seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1):
                    return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    log = self.log()
                    self.stop()
                    raise RuntimeError(f"the server did not start:\n{log}") from error
                time.sleep(0.1)  # a server that does not listen yet can only be asked again

    def log(self) -> str:
        """Read what the server has printed so far."""
        self._log.seek(0)
        return self._log.read()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(60)
        self._log.close()


class Socket:
    """A tab without a browser: Streamlit's messages over one websocket; a context manager.

    Parameters
    ----------
    server : Server
    page : str
        Stem of the page.
    name : str
        By which the server is called instead of its address.
    **query : str
        Parameters of the address.

    Attributes
    ----------
    elements : dict
        What is on the page, by its place.
    query : str
        Parameters of the address, as the server last said.
    session : str
        The session's id, which uploads need.
    """

    def __init__(self, server: Server, page: str = "", name: str = "", **query: str) -> None:
        self.page, self.query = page, urlencode(query)
        self.elements: dict[tuple[int, ...], Any] = {}
        self.session = ""
        self._stack = ExitStack()
        host, port = server.host.split(":")
        self._base = f"http://{name or host}:{port}"
        self._connecting = partial(
            connect,
            f"ws://{name or host}:{port}/_stcore/stream",
            address=(host, int(port)),
            proxy=None,
            origin=self._base,  # type: ignore[arg-type]
            subprotocols=["streamlit"],  # type: ignore[list-item]
            max_size=None,
            open_timeout=PATIENCE,
        )

    def __enter__(self) -> Socket:
        self._socket = self._stack.enter_context(self._connecting())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def send(self, message: BackMsg) -> None:
        """Send a message as the browser would."""
        self._socket.send(message.SerializeToString())

    def press(self, label: str) -> Socket:
        """Press a button of the page."""
        state = WidgetState()
        state.id = next(b.id for b in self.found("button") if b.label == label)
        state.trigger_value = True
        return self.run(state)

    def run(self, *states: WidgetState) -> Socket:
        """Run the page with these states of widgets, and read until it stands."""
        message = BackMsg()
        asked = message.rerun_script
        asked.page_name, asked.query_string = self.page, self.query
        asked.context_info.url = f"{self._base}/{self.page}"
        for state in states:
            asked.widget_states.widgets.add().CopyFrom(state)
        self.elements.clear()
        self.send(message)
        return self.read()

    def read(self) -> Socket:
        """Read until the script has come to its end."""
        while True:
            message = ForwardMsg()
            message.ParseFromString(self._socket.recv(timeout=PATIENCE))
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.session = message.new_session.initialize.session_id
            elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                self.elements[tuple(message.metadata.delta_path)] = message.delta.new_element
            elif kind == "page_info_changed":
                self.query = message.page_info_changed.query_string
            elif kind == "script_finished" and message.script_finished in (
                ForwardMsg.FINISHED_SUCCESSFULLY,
                ForwardMsg.FINISHED_WITH_COMPILE_ERROR,
            ):
                return self

    def found(self, kind: str) -> list[Any]:
        """Find elements of a kind, by the name that Streamlit's messages have for it."""
        return [
            getattr(element, kind)
            for element in self.elements.values()
            if element.WhichOneof("type") == kind
        ]
