"""A link from an attack that is hard to see to the place that explains why."""

from __future__ import annotations

import streamlit as st

from clair.app.kit.presenter import presenting
from clair.app.pages.theory import BLIND, SECTION


def blind_spot_link(attack: str) -> None:
    """Draw a link to the Theory page's section on this attack, if it has one; not on stage."""
    if attack in BLIND.ids and not presenting():
        st.page_link(
            "pages/theory.py",
            label=f"Who sees this attack, and why not everybody: {BLIND.label_of(attack)}",
            icon=":material/visibility_off:",
            query_params={
                SECTION.key: SECTION.to_url("blind"),
                BLIND.key: BLIND.to_url(attack),
            },
        )
