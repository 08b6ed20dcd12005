"""Federation: round by round under Flower, a recorded run or a live one."""

from __future__ import annotations

from clair.app.kit.layout import ensure_router
from clair.app.kit.trained import show_page
from clair.app.pages.federation import PAGE

ensure_router()
show_page(PAGE)
