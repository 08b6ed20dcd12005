"""Text copying: a small Transformer fine-tuned live by many clients, some of them poisoned."""

from __future__ import annotations

from clair.app.kit.layout import ensure_router
from clair.app.kit.trained import show_page
from clair.app.pages.copying import PAGE

ensure_router()
show_page(PAGE)
