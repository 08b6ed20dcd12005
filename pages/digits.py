"""Digits: real handwritten digits, read by clients who name some of them differently."""

from __future__ import annotations

from clair.app.kit.layout import ensure_router
from clair.app.kit.trained import show_page
from clair.app.pages.digits import PAGE

ensure_router()
show_page(PAGE)
