"""Browser components of ours, each a Python module with its HTML, CSS and JavaScript beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st


def component(name: str, **more: Any) -> Any:
    """Make the component whose files are called `name`; see ``st.components.v2.component``."""
    files: dict[str, Any] = {
        kind: path.read_text(encoding="utf-8")
        for kind in ("html", "css", "js")
        if (path := Path(__file__).parent / f"{name}.{kind}").is_file()
    }
    return st.components.v2.component(f"clair_{name}", **files, **more)
