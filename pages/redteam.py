"""Red team: the visitor is the attacker, against CLAIR and every other defence."""

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
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import accept_ids_from_url, read
from clair.app.pages import redteam
from clair.app.pages.redteam_controls import (
    BUDGET,
    CONTROLS,
    DEFENCE,
    GROUPS,
    PRESETS,
    RULE,
    VIEW,
)
from clair.app.pages.redteam_search import (
    frontiers,
    record_sentence,
    search_sentence,
    search_view,
    searched,
    table_view,
)
from clair.app.pages.redteam_views import (
    attack_view,
    lesson_strikes,
    lessons,
    lessons_sentence,
    numbers,
)
from clair.redteam.words import strike_sentence
from clair.report.redteam import strike_export
from clair.report.redteam_search import record_export, search_export

ensure_router()

register_views(VIEW)
with settings(header("Red team")):
    for group, title in GROUPS.items():
        mine = [control for control in CONTROLS if control.group == group]
        if group in ("you", "send"):
            st.markdown(f"**{title}**")
            show_all(mine)
        else:
            with st.expander(title):
                show_all(mine)

accept_ids_from_url([control for control in CONTROLS if control.group == "view"])
theme = current_theme()
above = st.container()
# Drawn before they are read, so that the first run from a link knows them.
with st.container(horizontal=True, gap="medium"):
    view = show(VIEW, label=False)
    if view == "attack":
        show(RULE, label=False)
row = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
if view == "search":
    with row:
        with st.container(width=260):
            show(DEFENCE, label=not presenting())
        show(BUDGET, label=not presenting())
values = read(CONTROLS)
reason = redteam.obstacle(values)
if reason is not None:
    with above:
        toolbar("redteam", CONTROLS, PRESETS, values)
    explain_and_stop(reason)

found = redteam.struck(values)
screen = screen_of("redteam", CONTROLS, values, GROUPS)
own = searched(values) if view == "search" else None
with above:
    match view:
        case "search":
            sentence(search_sentence(values, own))
            take = None
            if own:
                tried = frontiers(values, own)
                take = search_export(own.config, own.found, tried, screen)
        case "table":
            sentence(record_sentence(redteam.record()))
            take = record_export(redteam.record(), record_sentence(redteam.record()), screen)
        case "lessons":
            strikes = lesson_strikes()
            sentence(lessons_sentence(strikes))
            take = strike_export(found, "today", screen)
        case _:
            rule = values[RULE.key]
            sentence(strike_sentence(found, rule))
            take = strike_export(found, rule, screen)
            redteam.report_attempt(values, found)
    toolbar("redteam", CONTROLS, PRESETS, values, take=take)
    if view == "attack" and not presenting():
        numbers(values, found, theme)
match view:
    case "attack":
        attack_view(values, found, theme)
    case "search":
        search_view(values, own, row, theme)
    case "table":
        table_view(redteam.record(), theme)
    case "lessons":
        lessons(strikes)
