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
from clair.app.kit.results import draw_blocks
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
from clair.app.pages.redteam_search import draw_search, opener, search_sentence, searched
from clair.app.pages.redteam_views import attack_view, lesson_opener, lessons, numbers
from clair.redteam.words import strike_sentence
from clair.report.redteam import strike_export
from clair.report.redteam_lessons import lessons_export, lessons_sentence, lessons_view
from clair.report.redteam_search import record_export, record_sentence, record_view, search_export

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
taught = lessons() if view == "lessons" else {}
known, stage = redteam.record(), presenting()
with above:
    match view:
        case "search":
            sentence(search_sentence(own))
            take = None
            if own and own.found:
                take = search_export(own.config, own.found, own.attempts, screen)
        case "table":
            sentence(record_sentence(known))
            take = record_export(known, screen)
        case "lessons":
            sentence(lessons_sentence(taught))
            take = lessons_export(taught, screen)
        case _:
            rule = values[RULE.key]
            sentence(strike_sentence(found, rule))
            take = strike_export(found, rule, screen)
            redteam.report_attempt(values, found)
    toolbar("redteam", CONTROLS, PRESETS, values, take=take)
    if view == "attack" and not stage:
        numbers(values, found, theme)
match view:
    case "attack":
        attack_view(values, found, theme)
    case "search":
        draw_search(own, row, theme)
    case "table":
        draw_blocks(record_view(known, stage=stage, opener=opener), theme)
    case "lessons":
        draw_blocks(lessons_view(taught, stage=stage, opener=lesson_opener), theme)
