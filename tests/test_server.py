"""The real server: many visitors at once on a cold one, and what it refuses."""

from __future__ import annotations

import http.client
import io
import re
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import streamlit as st
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.exceptions import InvalidStatus

from clair.app.kit import site
from clair.app.kit.jobs import VISITOR_COOKIE
from clair.app.kit.page_list import PAGES
from tests.serving import PATIENCE, ROOT, Server, Socket


def running() -> Iterator[Server]:
    """Start a server that forgets visitors a second after they left."""
    server = Server(**{"server.disconnectedSessionTTL": "1"})
    yield server
    server.stop()


server = pytest.fixture(running, scope="module", name="server")
unvisited = pytest.fixture(running, name="unvisited")


def get(server: Server, path: str, **headers: str) -> tuple[int, list[str]]:
    """Get a path, and return the status and cookies of the answer."""
    with closing(http.client.HTTPConnection(server.host, timeout=PATIENCE)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get_all("set-cookie") or []


def test_visitors_on_all_pages_of_a_cold_server_see_no_error(server: Server) -> None:
    """Check that charts look modules up safely while another visitor's page loads them."""

    def visit(page: str) -> tuple[str, int, list[str]]:
        with Socket(server, page) as tab:
            tab.run()
            return page, len(tab.elements), [e.message for e in tab.found("exception")]

    pages = ["adapters", *(page.stem for page in PAGES), "adapters", "copying"]
    with ThreadPoolExecutor(len(pages)) as visitors:
        for page, elements, errors in visitors.map(visit, pages):
            assert (page, errors) == (page, [])
            assert elements > 5, page
    assert "Traceback" not in server.log()


def test_no_visitor_can_empty_the_queue_of_the_others(server: Server) -> None:
    with Socket(server, "digits") as first, Socket(server, "lab") as second:
        first.run().press("Run")
        assert "job=" in first.query
        message = BackMsg()
        message.clear_cache = True
        second.run().send(message)
        second.run()
        job = first.query
        assert first.run().query == job
        assert next(b for b in first.found("button") if b.label == "Run").disabled  # it still runs
        first.press("Cancel")


def test_counts_of_sessions_are_not_served(server: Server) -> None:
    assert get(server, "/_stcore/health")[0] == 200
    for path in ("/_stcore/metrics", "/_stcore/metrics/", "/_stcore/metrics?families=x"):
        assert get(server, path)[0] == 404


def test_a_browser_gets_a_name_once(server: Server) -> None:
    given = get(server, "/")[1]
    (mine,) = [cookie for cookie in given if cookie.startswith(VISITOR_COOKIE)]
    assert "HttpOnly" in mine
    again = get(server, "/", Cookie=mine.split(";")[0])[1]
    assert not [cookie for cookie in again if cookie.startswith(VISITOR_COOKIE)]


def test_a_name_from_elsewhere_that_points_here_is_refused(server: Server) -> None:
    assert get(server, "/", Host="rebound.example")[0] == 403
    assert get(server, "/", Host="localhost:1")[0] == 200
    rebound = Socket(server, name="rebound.example")
    with pytest.raises(InvalidStatus, match="403"), rebound:
        pass


@pytest.mark.parametrize(
    ("address", "allowed", "headers", "expected"),
    [
        ("127.0.0.1", [], {"host": "127.0.0.1:8501"}, True),
        ("127.0.0.1", [], {"host": "[::1]:8501"}, True),
        ("localhost", [], {"host": "LOCALHOST"}, True),
        ("127.0.0.1", [], {"host": "evil.example:8501"}, False),
        ("127.0.0.1", [], {"host": "localhost.evil.example"}, False),
        ("127.0.0.1", [], {"host": "[::1"}, False),
        ("127.0.0.1", [], {}, False),
        # A proxy on this machine, a container behind one, and an operator's own list.
        ("127.0.0.1", [], {"host": "explorer.example", "x-forwarded-for": "10.0.0.1"}, True),
        ("0.0.0.0", [], {"host": "explorer.example"}, True),
        ("127.0.0.1", ["explorer.example"], {"host": "explorer.example"}, True),
    ],
)
def test_names_by_which_the_server_may_be_called(
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    allowed: list[str],
    headers: dict[str, str],
    expected: bool,
) -> None:
    options = {"server.address": address, "server.allowedHosts": allowed}
    monkeypatch.setattr(st, "get_option", options.__getitem__)
    found = {name.encode(): value for name, value in headers.items()}
    assert site.host_allowed(found) is expected


def resident(server: Server) -> int:
    """Read the memory of the server in MB."""
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024  # type: ignore[index]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_uploads_leave_memory_when_their_visitor_has_left(unvisited: Server) -> None:
    server = unvisited  # pages of tasks load libraries for a while after a visit
    sites = sorted((ROOT / "assets/adapters/sites").iterdir())[:4]
    with Socket(server, "adapters") as tab:
        uploader = tab.run().found("file_uploader")[0]
        before = resident(server)
        state = WidgetState(id=uploader.id)
        for site_folder in sites:
            data = padded(site_folder, 15 * 2**20)
            info = state.file_uploader_state_value.uploaded_file_info.add()
            info.file_id, info.name, info.size = f"file-{site_folder.name}", "a.zip", len(data)
            info.file_urls.upload_url = f"/_stcore/upload_file/{tab.session}/{info.file_id}"
            put(server, info.file_urls.upload_url, f"{site_folder.name}.zip", data)
        assert resident(server) > before + 50
        end = time.monotonic() + PATIENCE
        while not any(
            button.label == "Make refined adapters (4)" for button in tab.found("button")
        ):
            assert time.monotonic() < end, "the uploads are not judged"
            tab.run(state)
        judged = resident(server)
    end = time.monotonic() + PATIENCE
    while resident(server) > judged - 45:  # what computing needed may stay
        assert time.monotonic() < end, "the uploads are still there"
        time.sleep(0.2)  # nothing tells when memory is freed


def padded(folder: Path, size: int) -> bytes:
    """Zip an adapter's folder with a file beside it that nobody asked for."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"{folder.name}/{path.name}")
        archive.writestr("notes.bin", bytes(size))
    return buffer.getvalue()


def put(server: Server, path: str, name: str, data: bytes) -> None:
    """Upload a file as the browser does."""
    token = next(c for c in get(server, "/_stcore/health")[1] if c.startswith("_streamlit_xsrf"))
    token = token.split(";")[0].split("=", 1)[1]
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Cookie": f"_streamlit_xsrf={token}",
        "X-Xsrftoken": token,
    }
    with closing(http.client.HTTPConnection(server.host, timeout=PATIENCE)) as connection:
        connection.request("PUT", path, head.encode() + data + b"\r\n--x--\r\n", headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 204
