"""Names from outside in places that read Markdown."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """Escape every mark of Markdown and of Streamlit's extensions to it."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~$:&-])", r"\\\1", text)
