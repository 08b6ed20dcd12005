"""Router of CLAIR Explorer: page configuration, navigation and the badge of running jobs."""

from __future__ import annotations

import streamlit as st

from clair._files import ASSETS
from clair.app.kit.jobs import job_badge
from clair.app.kit.layout import inject_css
from clair.app.kit.page_list import PAGES
from clair.app.kit.presenter import sync_from_url
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import show_ignored_values
from clair.app.kit.turns import DRAWING


def wanted() -> None:
    """Let Streamlit end this run if the visitor has asked for a newer one since."""
    # reading anything from the session state gives Streamlit the chance
    st.session_state.get("_wanted")


with DRAWING.turn(look=wanted):
    st.set_page_config(
        page_title="CLAIR Explorer",
        page_icon=str(ASSETS / "icon.svg"),
        layout="wide",
        initial_sidebar_state="auto",
        menu_items={"About": "CLAIR Explorer: federated LoRA that survives poisoned clients."},
    )
    st.logo(str(ASSETS / f"logo-{current_theme()}.svg"), size="large")

    home, *others = PAGES
    page = st.navigation(
        [
            st.Page(home.file, title=home.title, url_path="start", default=True, help=home.help),
            *(st.Page(p.file, title=p.title, url_path=p.stem, help=p.help) for p in others),
            # The default page answers to "/" only, this one to its own name.
            st.Page(home.file, title=home.title, url_path=home.stem, visibility="hidden"),
            # The audience comes here by a link.
            st.Page("pages/classroom.py", title="Class", visibility="hidden"),
        ],
        position="top",
        expanded=True,
    )
    sync_from_url()
    inject_css()
    job_badge()
    page.run()
    show_ignored_values()
