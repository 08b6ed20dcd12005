"""Language model: a real one, fine-tuned by shops with house words of their own."""

from __future__ import annotations

from clair.app.kit.layout import ensure_router
from clair.app.kit.trained import show_page
from clair.app.pages.llm import PAGE

ensure_router()
show_page(PAGE)
