"""Step by step through the solver: a player that runs wholly in the browser.

The component receives every iteration once. Playing, stepping and sliding draw from that and send
nothing back, so a lecture hall's network has no part in the animation.
"""

from __future__ import annotations

import streamlit as st

from clair.app.components import component
from clair.app.kit.glossary import marked
from clair.app.kit.presenter import presenting
from clair.figures.steps import Steps

_STEPPER = component("stepper")


def stepper(steps: Steps, key: str) -> None:
    """Show the takeaway, the player, and how to read it.

    Parameters
    ----------
    steps : Steps
        From `clair.figures.steps.solver_steps`.
    key : str
    """
    st.markdown(f"**{steps.title}**")
    data = steps.data | {"stage": presenting()}
    _STEPPER(key=key, data=data, width="stretch", height="content")
    if not presenting():
        st.caption(marked(steps.caption), unsafe_allow_html=True)
