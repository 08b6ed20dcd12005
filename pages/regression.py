"""Regression: many clients with few samples each, closed form, live on every slider."""

from __future__ import annotations

import streamlit as st

from clair.ui import regression
from clair.ui.controls import show, show_all
from clair.ui.layout import guard, header, sentence, settings, toolbar
from clair.ui.present import presenting, turning
from clair.ui.regression_views import VIEWS, headline_numbers, take_of
from clair.ui.scheme import current_theme
from clair.ui.state import accept_ids_from_url, read

guard()
turning(regression.VIEW)
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
        st.markdown(regression.GLOSSARY)
take = take_of(result, values)
toolbar(regression.KIND, regression.SCREEN, regression.PRESETS, values, take=take)
if not presenting():
    headline_numbers(result)
view = show(regression.VIEW, label=False)
VIEWS[view](result, current_theme())
