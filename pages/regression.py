"""Regression: many clients with few samples each, closed form, live on every slider."""

from __future__ import annotations

from contextlib import nullcontext

import streamlit as st

from clair.app.kit.content import content
from clair.app.kit.controls import show, show_all
from clair.app.kit.explained import blind_spot_link
from clair.app.kit.layout import ensure_router, header, sentence, settings, toolbar
from clair.app.kit.presenter import presenting, register_views
from clair.app.kit.results import draw_blocks
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import accept_ids_from_url, read
from clair.app.pages import regression
from clair.app.pages.regression_views import VIEWS, export_of, headline
from clair.report.blocks import Facts

ensure_router()
register_views(regression.VIEW)
with settings(header("Regression")):
    for group, title in regression.GROUPS.items():
        if group == "method":
            continue
        st.markdown(f"**{title}**")
        show_all([control for control in regression.CONTROLS if control.group == group])
    with st.expander(regression.GROUPS["method"]):
        show_all([control for control in regression.CONTROLS if control.group == "method"])

accept_ids_from_url([regression.VIEW])
values = read(regression.SCREEN)
config = regression.config_of(values)
result = regression.solve(config)
sentence(result.summary())
if not presenting():
    st.markdown(regression.setting_words(config))
    with st.expander("The words used on this page"):
        st.markdown(content("tasks")[regression.KIND]["glossary"])
blind_spot_link(config.attack)
take = export_of(result, values)
toolbar(regression.KIND, regression.SCREEN, regression.PRESETS, values, take=take)
stage, theme = presenting(), current_theme()
if not stage:
    draw_blocks((Facts(headline(result)),), theme)
view = show(regression.VIEW, label=False)
with st.spinner("Repeating the run at eleven sizes …") if view == "samples" else nullcontext():
    draw_blocks(VIEWS[view].blocks(result, stage=stage), theme)
