"""Fixed texts and styles of the pages, kept as files in ``clair/app/content``."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from clair.app.kit.state import Preset

FOLDER = Path(__file__).parents[1] / "content"


@cache
def content(name: str) -> dict[str, Any]:
    """Read a file of texts, by its name without the extension."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def css(name: str) -> str:
    """Read a style sheet, by its name without the extension."""
    return (FOLDER / f"{name}.css").read_text(encoding="utf-8")


def presets(page: str) -> tuple[Preset, ...]:
    """Read the presets of a page, in the order of their file."""
    return tuple(Preset(key, **one) for key, one in content("presets")[page].items())
