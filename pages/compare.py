"""Compare A and B: two scenarios of the matrix model side by side, on the same axes."""

from __future__ import annotations

import streamlit as st

from clair.app.kit.controls import show, show_all
from clair.app.kit.layout import ensure_router, header, sentence, settings, toolbar
from clair.app.kit.presenter import presenting, register_views
from clair.app.kit.repeats import DRAWS, kept_repeats, repeat_panel
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import accept_ids_from_url, read
from clair.app.pages import compare, lab
from clair.app.pages.compare_views import card, charts, moves, settings_table
from clair.comparison import ahead_sentence, pair_sentence
from clair.report.pair import pair_export
from clair.report.repeats import with_repeats

ensure_router()

register_views(compare.VIEW)
with settings(header("Compare A and B")):
    for tab, side in zip(st.tabs(["Settings of A", "Settings of B"]), compare.SIDES, strict=True):
        with tab:
            own = compare.CONTROLS_OF[side]
            for group, title in lab.GROUPS.items():
                st.markdown(f"**{title}**")
                show_all([control for control in own if control.group == group])
            with st.expander(lab.FURTHER):
                show_all([control for control in own if control.group == "further"])
            with st.expander("CLAIR's settings"):
                show_all([control for control in own if control.group == "clair"])
    show_all([DRAWS])

accept_ids_from_url([compare.VIEW])
theme = current_theme()
above = st.container()
# Drawn before it is read, as in the lab, so that the first run from a link knows its view.
view = show(compare.VIEW, label=False)
values = read(compare.CONTROLS)
rows = compare.settings(values)
each = {side: compare.values_of(values, side) for side in compare.SIDES}
reasons = {side: lab.obstacle(own) for side, own in each.items()}
results = {
    side: lab.solve(lab.scenario_of(own)) for side, own in each.items() if reasons[side] is None
}

with above:
    take = None
    if len(results) == 2:
        a, b = results["a"], results["b"]
        changes = [row.phrase for row in rows if row.differs]
        sentence(pair_sentence(a, b, changes))
        if not presenting():
            st.markdown(ahead_sentence(a, b))
        take = pair_export(a, b, changes, compare.screen(values))
        sides = {"A": a, "B": b}
        drawn = {name: one.scenario for name, one in sides.items()}
        repeated = kept_repeats(drawn, values["draws"])
        if repeated is not None:
            take = with_repeats(take, repeated, {name: one.chosen for name, one in sides.items()})
    else:
        names = [side.upper() for side in compare.SIDES if reasons[side] is not None]
        sentence(f"{' and '.join(names)} cannot be computed with these settings; here is why.")
    toolbar("compare", compare.CONTROLS, compare.PRESETS, values, take=take)
    if not presenting():
        moves()
    for column, side in zip(st.columns(2, gap="medium"), compare.SIDES, strict=True):
        with column:
            card(side, values, rows, results, reasons[side], theme)
    if not presenting():
        settings_table(rows, theme)
if len(results) == 2:
    charts(view, results["a"], results["b"], theme)
    if view == "errors" and not presenting():
        both = {side.upper(): result for side, result in results.items()}
        repeat_panel("compare", both, values["draws"], theme)
else:
    st.info("Charts need a result on both sides.", icon=":material/info:")
