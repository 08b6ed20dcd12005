"""Placeholder page, replaced below."""

from __future__ import annotations

from clair.ui.layout import guard, header

guard()
header("overview")
