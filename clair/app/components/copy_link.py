"""A button that copies the address of the screen, and a script that keeps its history short.

Both are in one small component, because both need the browser; no request leaves the page.
"""

from __future__ import annotations

from clair.app.components import component

_COPY = component("copy_link")


def copy_link(key: str) -> None:
    """Show the button; the link reopens this page with these values, seed included."""
    _COPY(
        key=key,
        data={
            "label": "Copy link",
            "done": "Link copied",
            "failed": "Copy it from the address bar",
        },
        width="content",
        height="content",
    )
