"""Theory: when CLAIR works and why, each claim beside the simulation that checks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clair.palette import ThemeName
from clair.ui import theory, theory_blind, theory_exact, theory_noise, theory_phase
from clair.ui.controls import show
from clair.ui.layout import blocked, guard, header
from clair.ui.present import turning
from clair.ui.scheme import current_theme
from clair.ui.state import accept_ids_from_url, read

VIEWS: dict[str, Callable[[dict[str, Any], ThemeName], None]] = {
    "window": theory_exact.window,
    "certificate": theory_exact.certificate,
    "phase": theory_phase.phase,
    "stable": theory_noise.stable,
    "sets": theory_noise.sets,
    "gain": theory_noise.gains,
    "blind": theory_blind.blind,
}

guard()
accept_ids_from_url(theory.CONTROLS)
turning(theory.SECTION)
place = header("Theory")
section = show(theory.SECTION, label=False)
theory.sidebar(section, place)
values = read(theory.CONTROLS)
reason = theory.obstacle(values)
if reason is not None:
    theory.tools(values)
    blocked(reason)
VIEWS[section](values, current_theme())
