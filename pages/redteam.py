"""Red team: the visitor is the attacker, against CLAIR and every other defence."""

from __future__ import annotations

import streamlit as st

from clair.app.kit.controls import show, show_all
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
from clair.app.pages.page_exports import of_record, of_search, of_strike
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
    attack,
    headline_numbers,
    lesson_strikes,
    lessons,
    lessons_sentence,
)
from clair.redteam.words import strike_sentence

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
own = searched(values) if view == "search" else None
with above:
    match view:
        case "search":
            sentence(search_sentence(values, own))
            take = of_search(own, frontiers(values, own), values) if own else None
        case "table":
            sentence(record_sentence(redteam.record()))
            take = of_record(redteam.record(), record_sentence(redteam.record()), values)
        case "lessons":
            strikes = lesson_strikes()
            sentence(lessons_sentence(strikes))
            take = of_strike(found, "today", values)
        case _:
            rule = values[RULE.key]
            sentence(strike_sentence(found, rule))
            take = of_strike(found, rule, values)
    toolbar("redteam", CONTROLS, PRESETS, values, take=take)
    if view == "attack" and not presenting():
        headline_numbers(values, found, values[RULE.key])
match view:
    case "attack":
        attack(values, found, theme)
    case "search":
        search_view(values, own, row, theme)
    case "table":
        table_view(redteam.record(), theme)
    case "lessons":
        lessons(strikes)
