"""Subspace lab: the matrix model live, from the split to the proof."""

from __future__ import annotations

import streamlit as st

from clair.narrative import scenario_sentence
from clair.ui import lab
from clair.ui.controls import show, show_all
from clair.ui.lab_views import VIEWS, headline_numbers
from clair.ui.layout import blocked, guard, header, sentence, settings, toolbar
from clair.ui.parcels import of_lab
from clair.ui.present import presenting, turning
from clair.ui.scheme import current_theme
from clair.ui.state import accept_ids_from_url, read

guard()

turning(lab.VIEW)
with settings(header("Subspace lab")):
    for group, title in lab.GROUPS.items():
        st.markdown(f"**{title}**")
        show_all([control for control in lab.SCENARIO if control.group == group])
    with st.expander("CLAIR's settings"):
        show_all(lab.OPTIONS)

accept_ids_from_url([lab.VIEW])
above = st.container()
# Drawn before it is read, so that the first run from a link knows its view. Drawn also without a
# result, so that the view survives settings that have none.
view = show(lab.VIEW, label=False)
values = read(lab.CONTROLS)
reason = lab.obstacle(values)
if reason is not None:
    with above:
        toolbar("lab", lab.CONTROLS, lab.PRESETS, values)
    blocked(reason)

result = lab.solve(lab.scenario_of(values))
with above:
    sentence(scenario_sentence(result))
    toolbar("lab", lab.CONTROLS, lab.PRESETS, values, take=of_lab(result, values))
    if not presenting():
        headline_numbers(result)
for note in result.fit.notes:
    st.info(note, icon=":material/info:")
VIEWS[view](result, current_theme())
