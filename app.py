"""Router of CLAIR Explorer: page configuration, navigation and the badge of running jobs."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from clair.ui.jobs import job_badge
from clair.ui.layout import current_theme, dress

ASSETS = Path(__file__).parent / "assets"

st.set_page_config(
    page_title="CLAIR Explorer",
    page_icon=str(ASSETS / "icon.svg"),
    layout="wide",
    initial_sidebar_state="auto",
    menu_items={"About": "CLAIR Explorer: federated LoRA that survives poisoned clients."},
)
st.logo(str(ASSETS / f"logo-{current_theme()}.svg"), size="large")

page = st.navigation(
    [
        st.Page(
            "pages/overview.py",
            title="Overview",
            url_path="start",
            default=True,
            help="What goes wrong when poisoned clients are averaged, and what CLAIR does instead.",
        ),
        st.Page(
            "pages/lab.py",
            title="Subspace lab",
            url_path="lab",
            help="The matrix model live: move a slider, see who is flagged and what it gains.",
        ),
        st.Page(
            "pages/copying.py",
            title="Text copying",
            url_path="copying",
            help="Fine-tune a small Transformer with twelve clients, three of them poisoned.",
        ),
        st.Page(
            "pages/regression.py",
            title="Regression",
            url_path="regression",
            help="Many small regressions, live: how much data it takes until CLAIR pays, or stops.",
        ),
        # The default page answers to "/" only; this one to its own name.
        st.Page("pages/overview.py", title="Overview", url_path="overview", visibility="hidden"),
    ],
    position="top",
)
dress()
job_badge()
page.run()
