"""Overview: the problem in plain words, one live picture, and ways in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from clair.app.components.chart import charts_of
from clair.app.kit.controls import show
from clair.app.kit.glossary import TERMS
from clair.app.kit.layout import column, ensure_router, explain_and_stop, header, sentence, toolbar
from clair.app.kit.presenter import presenting
from clair.app.kit.results import show_chart
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import Preset, accept_ids_from_url, open_screen, read
from clair.app.pages import lab, overview
from clair.app.pages.board import open_on_stage
from clair.figures.split import split_strips
from clair.report.overview import TITLE, beyond, worth
from clair.sentences import poison_sentence, scenario_sentence

ensure_router()

PROBLEM = """
Hospitals would like to train one language model together, but none may hand out its records. So
each **client** trains a copy on its own data and sends only the change that made, its **update**.
A server combines the updates. The usual way is to average them, and an average believes everybody:
a few broken or hostile clients are enough to spoil the model of all.
"""
IDEA = """
**CLAIR** rests on one observation. Honest updates differ, but they all move the model in the same
few directions, the **shared subspace**; a poisoned one does not keep to them. So the server can
split what it receives (**M**) into what all share (**L**) and what single clients add on top
(**S**), see who stands out, and give each honest client a better update than it could learn alone.
"""
SOURCE = """
The split and the refinement are the paper's: He, Chen, Feng, *Federated LoRA Fine-Tuning for LLMs
via Collaborative Alignment*, arXiv 2605.21217. All evidence but the contamination norms, the rule
that draws the line, the degrees of the verdict, the automatic rank, pooling and the coefficient
screen are ours, and marked so wherever they appear.
"""


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
        for text, place in zip((PROBLEM, IDEA), st.columns(2, gap="large"), strict=True):
            place.markdown(text)

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
    take = None if result is None else overview.take_of(result, chosen)
    toolbar("overview", overview.CONTROLS, (), chosen, take=take)
    if not presenting():
        picture.header(f"{values['clients']} updates, taken apart", anchor=False)
    if result is None:
        explain_and_stop(str(reason), stop=False)
    else:
        with told:
            sentence(f"In the example below: {scenario_sentence(result)}")
        show_chart(charts_of(split_strips, result, current_theme()), "overview_split")
        if presenting():  # on stage one idea fills the screen; the rest of the page is for readers
            own = {c.key: values[c.key] for c in lab.CONTROLS if values[c.key] != c.default}
            open_in_lab("Open in the lab", "stage", own, "The same clients, in every view.")
            st.stop()

        st.header("What it means for an honest client", anchor=False)
        st.markdown(f"{overview.ERRORS.strip()} {poison_sentence(result)}")
        show_chart(charts_of(worth, result, overview.METHODS, current_theme()), "overview_errors")
        st.caption(beyond(result, overview.METHODS))

    st.header("Ways in", anchor=False)
    st.page_link(
        "pages/lessons.py",
        label="Four short lessons: guess first, then see",
        icon=":material/school:",
    )
    st.button(
        "Present it to a board: nine slides, no formulas",
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
            st.markdown("**The same with a real language model**")
            st.caption("Twelve clients fine-tune a Transformer, three of them on poisoned text.")
            st.space("stretch")
            st.page_link(
                "pages/copying.py",
                label="Open text copying",
                icon=":material/arrow_forward:",
                icon_position="right",
            )

    st.header("What CLAIR cannot do", anchor=False)
    st.markdown(overview.MAJORITY)
    limits = st.grid(2, gap=("small", "large"))
    for limit in overview.LIMITS:
        with limits.cell():
            st.markdown(f"**{limit.title}** {limit.text}")
            open_preset("See it happen", overview.preset(limit.preset), "limit")

    with st.expander("Words used here"):
        st.markdown("\n\n".join(f"**{term.name}.** {term.meaning}" for term in TERMS))
    st.caption(SOURCE)
