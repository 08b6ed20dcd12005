"""A script that names the button of the folded sidebar, and closes the menu of a phone."""

from __future__ import annotations

from clair.app.components import component

_MENU = component("menu")


def tidy_menu(key: str) -> None:
    """Close a phone's menu after a choice and name the button that opens it; draws nothing.

    Parameters
    ----------
    key : str
        Name in the session state; one on a page.
    """
    _MENU(key=key, width="content", height="content")
