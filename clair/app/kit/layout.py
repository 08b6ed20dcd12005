"""The frame every page shares: router guard, title, plain sentence, presets, Reset, Copy link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clair.app.components.copy_link import copy_link
from clair.app.kit.content import css
from clair.app.kit.exports import Export, export_panel
from clair.app.kit.glossary import marked
from clair.app.kit.presenter import present_button, presenting
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import (
    Control,
    Preset,
    active_preset,
    assign,
    restore_page_values,
    switch_to_requested_page,
)
from clair.app.pages.classes import back_to_class
from clair.app.pages.lessons import back_to_lesson
from clair.figures.palette import PAPERS, role_style


def ensure_router() -> None:
    """Hand a page that Streamlit started directly back to the router.

    Streamlit finds a folder ``pages`` beside ``router.py``. If the first visit to a fresh server
    asks for one of these pages, Streamlit runs it without the router. Call this first on every
    page. It also goes to another page when a button has asked for that.
    """
    try:
        from streamlit.runtime.pages_manager import PagesManager
    except ImportError:
        return
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
    switch_to_requested_page()
    restore_page_values()


@contextmanager
def column(width: int = 1080) -> Iterator[None]:
    """Draw a centred column for pages that are read from top to bottom.

    On stage it is wider, because the type is larger.
    """
    if presenting():
        width = width * 3 // 2
    with st.container(horizontal_alignment="center"), st.container(width=width):
        yield


def inject_css(*more: str) -> None:
    """Add CSS of ours to the page: by default what every page needs, and on stage the stage.

    Parameters
    ----------
    *more : str
        Files of ``clair/app/content`` to add instead, without the extension.
    """
    theme = current_theme()
    paper, accent = PAPERS[theme], role_style("recovered", theme).color
    colors = {
        "paper": paper.background,
        "surface": paper.surface,
        "ink": paper.ink,
        "muted": paper.muted,
        "grid": paper.grid,
        "accent": accent,
        # The accent is a colour for marks; words on a tinted ground need a darker one.
        "link": st.get_option(f"theme.{theme}.linkColor"),
        "on-primary": paper.background if theme == "dark" else "white",
    }
    root = " ".join(f"--clair-{name}: {color};" for name, color in colors.items())
    files = more or ("app", *["stage"] * presenting())
    st.html(f"<style>:root {{ {root} }} {''.join(map(css, files))}</style>")


def header(title: str, *, stage_button: bool = True) -> DeltaGenerator:
    """Draw the title of a page; the sentence about its numbers follows with `sentence`.

    The button of presenter mode stands beside it, unless the page has it elsewhere. Returns the
    place beside the title where `settings` go.
    """
    back_to_lesson()
    back_to_class()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(title, anchor=False)
        place = st.container(width="content")
        if stage_button:
            present_button()
    return place


@contextmanager
def settings(place: DeltaGenerator | None = None) -> Iterator[None]:
    """Put a page's controls into the sidebar, or on stage into a popover at `place`.

    Without a place, the popover is drawn where the script stands.
    """
    if not presenting():
        with st.sidebar:
            yield
        return
    with (place or st).popover("Settings", icon=":material/tune:"):
        yield


def sentence(text: str) -> None:
    """Show the one plain sentence that says what happened with these numbers."""
    st.html(f'<p class="clair-sentence">{marked(text)}</p>')


def toolbar(
    page: str,
    controls: Sequence[Control],
    presets: Sequence[Preset],
    values: dict[str, Any],
    *,
    take: Export | None = None,
    link: bool = True,
) -> None:
    """Draw the row of presets, Reset, Copy link and downloads, and below it what to look for.

    On stage, draw only what to look for. Without `link`, leave out Copy link: the address would
    show others something else.
    """
    active = active_preset(presets, controls, values)
    if not presenting():
        _tools(page, controls, presets, active, take, link)
    if active is not None:
        st.caption(f"**{active.name}.** Look for: {active.look_for}")


def _tools(
    page: str,
    controls: Sequence[Control],
    presets: Sequence[Preset],
    active: Preset | None,
    take: Export | None,
    link: bool,
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if presets:
            _preset_menu(page, controls, presets, active)
        st.button(
            "Reset",
            key=f"{page}_reset",
            icon=":material/restart_alt:",
            on_click=assign,
            args=(controls,),
            help="Back to the values this page opens with.",
        )
        if link:
            copy_link(f"{page}_copy_link")
        if take is not None:
            export_panel(page, take)


def _preset_menu(
    page: str, controls: Sequence[Control], presets: Sequence[Preset], active: Preset | None
) -> None:
    with st.popover("Presets", icon=":material/bookmarks:", key=f"{page}_presets"):
        for preset in presets:
            st.button(
                preset.name,
                key=f"{page}_preset_{preset.key}",
                on_click=assign,
                args=(controls, preset.values),
                icon=":material/check:" if preset is active else None,
                width="stretch",
            )
            st.caption(preset.look_for)


def explain_and_stop(reason: str, *, stop: bool = True) -> None:
    """Explain in place why these settings have no result, and stop drawing the page if wanted."""
    st.warning(reason, icon=":material/info:")
    if stop:
        st.stop()
