"""Digits: real handwritten digits, read by clients who name some of them differently."""

from __future__ import annotations

from clair.ui.digits import PAGE
from clair.ui.layout import guard
from clair.ui.trained import show_page

guard()
show_page(PAGE)
