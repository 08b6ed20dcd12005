"""Code that the app hands out, run as its reader would."""

from __future__ import annotations

import contextlib
import io
from typing import Any


def run_snippet(source: str) -> tuple[dict[str, Any], str]:
    """Run a snippet as a script would, and return its names and what it printed."""
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "snippet", "exec"), names)
    return names, printed.getvalue()
