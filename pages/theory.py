"""Theory: when CLAIR works and why, each claim beside the simulation that checks it."""

from __future__ import annotations

from clair.app.kit.controls import show
from clair.app.kit.layout import ensure_router, explain_and_stop, header
from clair.app.kit.presenter import register_views
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import accept_ids_from_url, read
from clair.app.pages import (
    theory,
    theory_blind,
    theory_exact,
    theory_frame,
    theory_noise,
    theory_phase,
)

SECTIONS = {
    "window": theory_exact.window,
    "certificate": theory_exact.certificate,
    "stable": theory_noise.stable,
    "sets": theory_noise.sets,
    "gain": theory_noise.gains,
    "blind": theory_blind.blind,
}

ensure_router()
accept_ids_from_url(theory.CONTROLS)
register_views(theory.SECTION)
place = header("Theory")
section = show(theory.SECTION, label=False)
theory_frame.sidebar(section, place)
values = read(theory.CONTROLS)
reason = theory.obstacle(values)
if reason is not None:
    theory_frame.tools(values)
    explain_and_stop(reason)
if section in SECTIONS:
    theory_frame.draw_section(SECTIONS[section], values, current_theme())
else:
    theory_phase.phase(values, current_theme())
