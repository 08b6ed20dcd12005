"""The colour scheme that a page is drawn for, and a script that asks for a redraw on a change."""

from __future__ import annotations

import streamlit as st

from clair.app.components import component
from clair.figures.palette import ThemeName

_WATCH = component("scheme")


def current_theme() -> ThemeName:
    """Return "light" or "dark", as the visitor sees the page."""
    return "dark" if st.context.theme.type == "dark" else "light"


def follow_scheme(key: str) -> None:
    """Run the page again when its visitor changes the colour scheme; draws nothing.

    The server makes charts, the logo and our CSS rules for one theme, and learns of another theme
    at the next run only.

    Parameters
    ----------
    key : str
        Name in the session state; one on a page.
    """
    _WATCH(
        key=key,
        data={"theme": current_theme()},
        on_theme_change=lambda: None,
        width="content",
        height="content",
    )
