"""Text copying: a small Transformer fine-tuned live by many clients, some of them poisoned."""

from __future__ import annotations

from clair.ui.copying import PAGE
from clair.ui.layout import guard
from clair.ui.trained import show_page

guard()
show_page(PAGE)
