"""Overview: the problem in plain words, one live picture, and ways in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from clair.app.kit.content import content
from clair.app.kit.controls import show
from clair.app.kit.glossary import TERMS
from clair.app.kit.layout import column, ensure_router, explain_and_stop, header, sentence, toolbar
from clair.app.kit.opening import opening_words
from clair.app.kit.presenter import presenting
from clair.app.kit.results import draw_blocks
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import Preset, accept_ids_from_url, open_screen, read
from clair.app.pages import lab, overview
from clair.app.pages.board import open_on_stage
from clair.report.overview import TITLE, overview_export, pictures
from clair.sentences import poison_sentence, scenario_sentence

ensure_router()
TEXTS = content("overview")


def open_in_lab(label: str, key: str, values: Mapping[str, Any], about: str) -> None:
    """Draw a button that opens the lab with these values."""
    st.button(
        label,
        key=f"overview_{key}",
        type="tertiary",
        icon=":material/arrow_forward:",
        icon_position="right",
        help=about,
        on_click=open_screen,
        args=("pages/lab.py", lab.CONTROLS, values),
    )


def open_preset(label: str, preset: Preset, where: str) -> None:
    """Draw a button that opens the lab on a preset."""
    open_in_lab(label, f"{where}_{preset.key}", preset.values, preset.name)


def entry(key: str) -> None:
    """Draw a card that opens the lab on a preset."""
    preset = overview.preset(key)
    with st.container(border=True, height="stretch", gap="small"):
        st.markdown(f"**{preset.name}**")
        st.caption(f"Look for {preset.look_for}")
        st.space("stretch")
        open_preset("Open in the lab", preset, "entry")


with column():
    header(TITLE)
    if not presenting():
        for key, place in zip(("problem", "idea"), st.columns(2, gap="large"), strict=True):
            place.markdown(TEXTS[key])

    told = st.container()
    picture = st.container()
    accept_ids_from_url(overview.CONTROLS)
    for control, place in zip(overview.CONTROLS, st.columns(5, gap="medium"), strict=True):
        with place:
            show(control)
    chosen = read(overview.CONTROLS)
    values = overview.lab_values(chosen)
    st.html(f"<style>{overview.phone_css(values['clients'])}</style>")
    reason = lab.obstacle(values)
    result = None if reason is not None else lab.solve(lab.scenario_of(values))
    views, take = (), None
    if result is not None:
        words = f"{TEXTS['errors'].strip()} {poison_sentence(result)}"
        if all(chosen[control.key] == control.default for control in overview.CONTROLS):
            words += f"\n\n{opening_words('lab')}"
        views = pictures(result, overview.METHODS, words)
        take = overview_export(result, views, overview.screen(chosen))
    toolbar("overview", overview.CONTROLS, (), chosen, take=take)
    if not presenting():
        picture.header(f"{values['clients']} updates, taken apart", anchor=False)
    if result is None:
        explain_and_stop(str(reason), stop=False)
    else:
        with told:
            sentence(f"In the example below: {scenario_sentence(result)}")
        draw_blocks(views[0].blocks(), current_theme())
        if presenting():  # on stage one idea fills the screen; the rest of the page is for readers
            own = {c.key: values[c.key] for c in lab.CONTROLS if values[c.key] != c.default}
            open_in_lab("Open in the lab", "stage", own, "The same clients, in every view.")
            st.stop()

        st.header(views[1].title, anchor=False)
        draw_blocks(views[1].blocks(), current_theme())

    st.header("Ways in", anchor=False)
    st.page_link(
        "pages/lessons.py",
        label="Short lessons, alone or with a class",
        icon=":material/school:",
    )
    st.page_link(
        "pages/llm.py",
        label="A real language model, four of twelve poisoned",
        icon=":material/chat:",
    )
    st.page_link(
        "pages/adapters.py",
        label="Adapters of your own: see which of them to trust",
        icon=":material/folder_open:",
    )
    st.button(
        "Present it to a board: eleven slides, no formulas",
        key="overview_board",
        type="tertiary",
        icon=":material/slideshow:",
        help="Opens the board story in presenter mode; Escape leaves it.",
        on_click=open_on_stage,
    )
    with st.grid(3):
        for key in overview.ENTRIES:
            entry(key)
        with st.container(border=True, height="stretch", gap="small"):
            st.markdown("**The same with a small Transformer**")
            st.caption("Twelve clients fine-tune it to copy text; five send ten times too much.")
            st.space("stretch")
            st.page_link(
                "pages/copying.py",
                label="Open text copying",
                icon=":material/arrow_forward:",
                icon_position="right",
            )

    st.header("What CLAIR cannot do", anchor=False)
    st.markdown(TEXTS["majority"])
    limits = st.grid(2, gap=("small", "large"))
    for limit in overview.LIMITS:
        with limits.cell():
            st.markdown(f"**{limit.title}** {limit.text}")
            open_preset("See it happen", overview.preset(limit.preset), "limit")

    with st.expander("Words used here"):
        st.markdown("\n\n".join(f"**{term.name}.** {term.meaning}" for term in TERMS))
    st.caption(TEXTS["source"])
