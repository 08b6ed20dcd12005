"""Subspace lab: the matrix model live, from the split to the proof."""

from __future__ import annotations

import streamlit as st

from clair.app.kit.controls import show, show_all
from clair.app.kit.exports import screen_of
from clair.app.kit.layout import (
    ensure_router,
    explain_and_stop,
    header,
    sentence,
    settings,
    toolbar,
)
from clair.app.kit.presenter import presenting, register_views
from clair.app.kit.repeats import DRAWS, kept_repeats, repeat_panel
from clair.app.kit.results import draw_blocks
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import accept_ids_from_url, read
from clair.app.pages import lab
from clair.report.blocks import Facts
from clair.report.lab import VIEWS, headline, lab_export
from clair.report.repeats import with_repeats
from clair.sentences import scenario_sentence

ensure_router()

register_views(lab.VIEW)
with settings(header("Subspace lab")):
    for group, title in lab.GROUPS.items():
        st.markdown(f"**{title}**")
        show_all([control for control in lab.SCENARIO if control.group == group])
    show_all([DRAWS])
    with st.expander(lab.FURTHER):
        show_all([control for control in lab.SCENARIO if control.group == "further"])
    with st.expander("CLAIR's settings"):
        show_all(lab.OPTIONS)

accept_ids_from_url([lab.VIEW])
theme = current_theme()
above = st.container()
# Drawn before it is read, so that the first run from a link knows its view. Drawn also without a
# result, so that the view survives settings that have none.
view = show(lab.VIEW, label=False)
values = read(lab.CONTROLS)
reason = lab.obstacle(values)
if reason is not None:
    with above:
        toolbar("lab", lab.CONTROLS, lab.PRESETS, values)
    explain_and_stop(reason)

result = lab.solve(lab.scenario_of(values))
with above:
    sentence(scenario_sentence(result))
    take = lab_export(result, screen_of("lab", lab.CONTROLS, values, lab.ALL_GROUPS))
    repeated = kept_repeats({"": result.scenario}, values["draws"])
    if repeated is not None:
        take = with_repeats(take, repeated, {"": result.chosen})
    toolbar("lab", lab.CONTROLS, lab.PRESETS, values, take=take)
    if not presenting():
        draw_blocks((Facts(headline(result)),), theme)
for note in result.fit.notes:
    st.info(note, icon=":material/info:")
draw_blocks(VIEWS[view].blocks(result, stage=presenting()), theme)
if view == "errors" and not presenting():
    repeat_panel("lab", {"": result}, values["draws"], theme)
