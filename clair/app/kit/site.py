"""The web server around the pages: what it loads first, lets in, and forgets.

Streamlit runs every visitor's script in a thread of its own, and plotly and scipy look for pandas
and torch among the loaded modules without waiting for an import that is under way. So everything
that is looked for is loaded before the first visitor is let in: nobody meets a half-loaded module,
and the first page is painted sooner.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib
import ipaddress
import logging
import pkgutil
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit import cli_util, runtime
from streamlit.errors import Error
from streamlit.web.server import server_util

import clair.app
from clair._files import PLOTLY_JS
from clair.app.kit.jobs import VISITOR_COOKIE, pool
from clair.app.pages.classes import CLASSES

#: Loaded before the first visitor is let in, besides all of `clair.app`.
PRELOADED = ("pandas", "plotly.graph_objects", "torch")
#: Seconds between two clean-ups after visitors who left.
TIDY_SECONDS = 15.0
_M_ARENA_MAX = -8  # of glibc's malloc.h
#: Paths that are not served, under any prefix: they show counts of sessions and of memory.
CLOSED = ("/_stcore/metrics",)

logger = logging.getLogger(__name__)

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def preload() -> None:
    """Import everything the pages use, in one thread, and say where charts cannot be drawn."""
    if not PLOTLY_JS.is_file():
        logger.error("no page can draw a chart: %s is missing", PLOTLY_JS)
    for name in PRELOADED:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(clair.app.__path__, "clair.app."):
        importlib.import_module(module.name)
    # What is loaded stays, so Python's garbage collector need not scan it again every few repaints.
    # All pages would have to wait for each scan.
    gc.collect()
    gc.freeze()
    if (setting := _of_libc("mallopt")) is not None:
        # Every repaint is a thread, and malloc never gives back the memory it keeps for a thread.
        setting(_M_ARENA_MAX, 2)


def _of_libc(name: str) -> Any:
    """Look up a function of the C library; None where that is not glibc."""
    try:
        return getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return None


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[None]:
    """Preload before the first visitor, and tidy up every few seconds until the server ends."""
    preload()
    open_browser()
    task = asyncio.create_task(_tidy_forever())
    try:
        yield
    finally:
        task.cancel()


def open_browser() -> None:
    """Open the app in a browser where there is a display, as ``streamlit run`` does for a script.

    For an `streamlit.starlette.App` it does not (1.67), and the port is known only now: the next
    free one unless it was chosen. ``server.headless``, true where there is no display, forbids it.
    """
    started = Path(sys.argv[0]).name == "app.py"  # not by another server, which has its own port
    if not started or st.get_option("server.headless"):
        return
    address = server_util.get_display_address(st.get_option("server.address") or "localhost")
    try:
        cli_util.open_browser(server_util.get_url(address))
    except (OSError, Error):
        logger.warning("no browser could be opened", exc_info=True)


async def _tidy_forever() -> None:
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        try:
            dropped = pool().tidy()
            CLASSES.tidy()
            if forget_left_sessions() or dropped:
                release_memory()
        except Exception:
            logger.exception("what visitors left behind could not be tidied up")


def release_memory() -> None:
    """Collect reference cycles, and give freed memory back where the C library can.

    A server without visitors allocates nothing, and so never collects by itself.
    """
    gc.collect()
    if (trim := _of_libc("malloc_trim")) is not None:
        trim(0)


def forget_left_sessions() -> bool:
    """Free what visitors who left had in memory, uploads above all.

    Streamlit keeps the session of a closed tab for two minutes, in case its connection comes back
    (``server.disconnectedSessionTTL``). It then frees the session only when somebody else comes or
    goes, which may take days on a quiet server.
    """
    if not runtime.exists():
        return False
    # Streamlit has no public interface for this. If a later version lacks these names, sessions are
    # freed late, as before.
    storage = getattr(getattr(runtime.get_instance(), "_session_mgr", None), "_session_storage", {})
    kept = getattr(storage, "_cache", {})
    before = dict(getattr(kept, "_data", {}))
    if len(before) == len(kept):  # counting them drops the expired ones
        return False
    for session_id, left in before.items():
        if session_id not in kept:
            left.session.shutdown()
            # Streamlit's own loop holds on to the session until the next visitor comes, and a state
            # that is only cleared keeps its widgets' callbacks, whose arguments hold the uploads.
            left.session._session_state = type(left.session.session_state)()
    return True


class Door:
    """Middleware that checks the host, closes some paths, and gives visitors a name.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: Callable[[_Scope, _Receive, _Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if str(scope["path"]).rstrip("/").endswith(CLOSED):
            await _refuse(scope, send, 404, "Not found")
        elif not host_allowed(headers):
            words = "This name is not served here; its operator can add it to server.allowedHosts."
            await _refuse(scope, send, 403, words)
        elif scope["type"] == "http" and not known(headers):
            await self.app(scope, receive, _naming(send))
        else:
            await self.app(scope, receive, send)


#: What `streamlit.starlette.App` takes as middleware: class, arguments, keywords.
LAYERS: Any = ((Door, (), {}),)


def host_allowed(headers: dict[bytes, str]) -> bool:
    """Tell whether a server for this machine only is called by a name of this machine.

    This guards against DNS rebinding: a foreign page can have its own name point to this machine,
    and the browser then takes both for the same origin. Such a page cannot add headers to a
    websocket, whereas a proxy does, so forwarded requests are allowed. A server that also listens
    on other addresses does not know its own names, so every name passes here.
    ``server.allowedHosts`` lists them, and Streamlit itself checks websockets against that list.

    Parameters
    ----------
    headers : dict
        Of the request, names in small letters.
    """
    if st.get_option("server.allowedHosts") or not _loopback(st.get_option("server.address") or ""):
        return True
    if b"x-forwarded-for" in headers or b"forwarded" in headers:
        return True
    try:
        return _loopback(urlsplit(f"//{headers.get(b'host', '')}").hostname or "")
    except ValueError:
        return False


def _loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def known(headers: dict[bytes, str]) -> bool:
    """Tell whether a request carries a visitor's name."""
    try:
        return VISITOR_COOKIE in SimpleCookie(headers.get(b"cookie", ""))
    except CookieError:
        return False


def _naming(send: _Send) -> _Send:
    """Wrap `send` so that it gives a browser a name with its first page."""

    async def named(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start" and any(
            name.lower() == b"content-type" and value.startswith(b"text/html")
            for name, value in message["headers"]
        ):
            cookie = f"{VISITOR_COOKIE}={secrets.token_urlsafe(16)}; Path=/; HttpOnly; SameSite=Lax"
            message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
        await send(message)

    return named


async def _refuse(scope: _Scope, send: _Send, status: int, words: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})
