"""One way to take a result away from every page: report, tables, numbers, and how to repeat it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from clair.app.kit.state import Control
from clair.report.document import Screen, Setting
from clair.report.export import Export
from clair.report.page import to_html

__all__ = ["Export", "export_panel", "link_to", "screen_of"]


def export_panel(page: str, export: Export) -> None:
    """Draw the button that opens the ways to take a result away."""
    with st.popover("Take it away", icon=":material/download:", key=f"{page}_take"):
        st.markdown("**To send or print**")
        _download(f"{page}_report", "Report", export.html, f"{export.name}.html", "text/html")
        if export.brief is not None:
            brief = export.brief
            name = f"{export.name}-one-page.html"
            _download(f"{page}_brief", "One page", lambda: to_html(brief()), name, "text/html")
        st.caption(
            "One file with charts, tables and the settings. It opens without a network and prints. "
            "Many charts can be saved one by one, as SVG for a paper: point at one, then press the "
            "arrow above it on the right."
        )
        if export.figures:
            st.markdown("**For a paper**")
            for title, make in export.figures.items():
                stem = title.lower().replace(" ", "-")
                name = f"{export.name}-{stem}.svg"
                _download(f"{page}_{stem}", f"{title} (SVG)", make, name, "image/svg+xml")
            st.caption("A vector graphic with its letters inside and all settings in its caption.")
        st.markdown("**To compute with**")
        with st.container(horizontal=True, gap="small"):
            for title in export.tables:
                stem = title.lower().replace(" ", "-")
                _download(
                    f"{page}_{stem}",
                    f"{title} (CSV)",
                    partial(export.csv, title),
                    f"{export.name}-{stem}.csv",
                    "text/csv",
                )
            _download(
                f"{page}_json",
                "All numbers (JSON)",
                export.json,
                f"{export.name}.json",
                "application/json",
            )
        st.markdown("**Reproduce this**")
        st.caption("The same numbers without the app; only what differs from the defaults.")
        st.code(export.recipe.python, language="python", wrap_lines=True)
        if export.recipe.command:
            st.code(export.recipe.command, language="bash", wrap_lines=True)
        if export.recipe.note:
            st.caption(export.recipe.note)


def _download(key: str, label: str, data: Callable[[], str], file_name: str, mime: str) -> None:
    st.download_button(
        label,
        data=data,
        file_name=file_name,
        mime=mime,
        key=f"{key}_file",
        icon=":material/download:",
        on_click="ignore",
    )


def screen_of(
    stem: str,
    controls: Sequence[Control],
    values: Mapping[str, Any],
    groups: Mapping[str, str] | None = None,
) -> Screen:
    """Describe settings in words, with the link that opens them.

    Parameters
    ----------
    stem : str
        The page's address.
    controls : sequence of Control
    values : mapping of key to value
    groups : mapping of group to heading, optional
        Groups without a heading are left out of the words, not of the link; all are kept under one
        heading by default.
    """
    settings = tuple(
        Setting(
            control.label,
            control.words(values[control.key]),
            "" if groups is None else groups[control.group],
            bool(values[control.key] != control.default),
        )
        for control in controls
        if groups is None or control.group in groups
    )
    return Screen(settings, link_to(stem, controls, values))


def link_to(stem: str, controls: Sequence[Control], values: Mapping[str, Any]) -> str:
    """Write the address of a page with these values, with its host if the browser has told it."""
    chosen = {c.key: c.to_url(values[c.key]) for c in controls if values[c.key] != c.default}
    here = (st.context.url or "").split("?")[0].rstrip("/")
    base = here if here.endswith(f"/{stem}") else f"/{stem}"
    return f"{base}?{urlencode(chosen)}" if chosen else base
