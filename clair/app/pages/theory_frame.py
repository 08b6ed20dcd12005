"""What every section of the Theory page has: settings, sentence, text, controls, claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clair.app.kit.content import content
from clair.app.kit.controls import show, show_all
from clair.app.kit.exports import Export, link_to, screen_of
from clair.app.kit.layout import sentence, settings, toolbar
from clair.app.kit.presenter import presenting
from clair.app.kit.results import draw_blocks
from clair.app.kit.state import accept_ids_from_url, arriving
from clair.app.pages import theory
from clair.figures.palette import ThemeName
from clair.report.blocks import Frame, Parts, Words
from clair.report.document import Screen
from clair.report.theory import Told, study_export
from clair.theory.statements import of_section

_BADGES = {
    "paper": ":blue-badge[paper]",
    "literature": ":gray-badge[older literature]",
    "ours": ":green-badge[ours]",
}


def sidebar(section: str, place: DeltaGenerator) -> None:
    """Draw the settings of the problem: those the section uses, the others folded away.

    On stage they are at `place`.
    """
    accept_ids_from_url(theory.CONTROLS)
    used = theory.USED[section]
    if section == "phase":
        chosen = arriving(theory.PHASE)
        axes = {theory.SWEPT.get(chosen["th_x"]), theory.SWEPT.get(chosen["th_y"])}
        used = tuple(key for key in used if key not in axes)
    shown = [c for c in theory.SCENARIO if c.key.removeprefix("th_") in used]
    sized = [c for c in theory.SCENARIO if c.key.removeprefix("th_") in theory.SIZE]
    rest = [c for c in theory.SCENARIO if c not in shown and c not in sized]
    with settings(place):
        st.markdown("**The problem**")
        show_all(shown)
        with st.expander("Size and draw"):
            show_all(sized)
        with st.expander("Not used in this section"):
            show_all(rest)


def tools(values: dict[str, Any], take: Export | None = None) -> None:
    """Draw the row of presets, Reset, Copy link and downloads."""
    toolbar("theory", theory.CONTROLS, theory.PRESETS, values, take=take)


def export_of(told: Told, values: dict[str, Any]) -> Export:
    """Build the downloads of a section."""
    used = theory.used_controls(values)
    words = screen_of("theory", used, values).settings
    screen = Screen(words, link_to("theory", theory.CONTROLS, values))
    return study_export(told, screen, {c.key: values[c.key] for c in used})


def intro(section: str) -> None:
    """Write what a section is about; on stage that is a part of its own."""
    if not presenting():
        st.markdown(content("theory")["about"][section])


def draw_section(
    make: Callable[[dict[str, Any]], Told], values: dict[str, Any], theme: ThemeName
) -> None:
    """Draw a section that is computed at once; on stage a part of it, what it is about last."""
    section, head = values[theory.SECTION.key], st.container()
    intro(section)
    for control in theory.OWN.get(section, ()):
        values[control.key] = show(control, label=not control.options)
    told = make(values)
    with head:
        sentence(told.sentence)
        tools(values, export_of(told, values))
    if presenting():
        about = Frame((Words(content("theory")["about"][section]),))
        parts = {**told.parts, "What this is about": (about,)}
        draw_blocks((Parts(f"th_{section}_part", parts),), theme)
        return
    draw_blocks(told.whole, theme)
    claims(section)


def claims(section: str) -> None:
    """Show a section's claims with their source and check; not on stage."""
    if presenting():
        return
    with st.expander("What is claimed here, who showed it, and how it was checked"):
        st.caption(
            "Only the abstract of the CLAIR paper is public. *Paper* marks what that abstract "
            "says; everything else is older literature or our own reading, checked by simulation."
        )
        for statement in of_section(section):
            st.markdown(f"{_BADGES[statement.source]} {statement.words}")
            if statement.formula:
                st.latex(statement.formula)
            st.caption(
                f"Source: {statement.reference}. Checked: {statement.agreement} "
                f"(`{statement.test}`)."
            )
