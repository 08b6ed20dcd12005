"""Text copying: a small Transformer fine-tuned by many clients, some of them poisoned."""

from __future__ import annotations

from clair.ui.layout import guard, header

guard()
header("Text copying")
