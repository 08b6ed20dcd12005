"""What the comparison shows: a card a side, all settings beside each other, paired charts."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from clair.app.kit.presenter import presenting, stage_part
from clair.app.kit.results import draw_blocks, metric
from clair.app.kit.state import open_screen
from clair.app.pages import compare, lab
from clair.app.pages.compare import Setting, Side
from clair.comparison import Comparison, contests, same_problem
from clair.figures.palette import PAPERS, ThemeName, role_style, with_alpha
from clair.report.pair import paired_views
from clair.report.verdict import found_fact
from clair.sentences import amount
from clair.simulation.scenario import ScenarioResult

_NUMBERS: tuple[tuple[str, str, str], ...] = (
    ("clair", "CLAIR's error", "Mean distance between an honest client's refined and true update."),
    ("local", "Training alone", "The same distance if every client keeps what it learned itself."),
    ("fedavg", "Plain averaging", "The same distance if everybody gets the average of all."),
)


def moves() -> None:
    """Draw the buttons that carry settings from one side to the other."""
    with st.container(horizontal=True, gap="small"):
        st.button("Swap", key="compare_swap", icon=":material/swap_horiz:", on_click=compare.swap)
        for source, target, icon in (("a", "B", "arrow_forward"), ("b", "A", "arrow_back")):
            st.button(
                f"Copy {source.upper()} to {target}",
                key=f"compare_copy_{source}",
                icon=f":material/{icon}:",
                on_click=compare.copy,
                args=(source,),
            )


def card(
    side: Side,
    values: Mapping[str, Any],
    rows: Sequence[Setting],
    results: Mapping[Side, ScenarioResult],
    reason: str | None,
    theme: ThemeName,
) -> None:
    """Draw the name, notable settings and numbers of one side.

    On stage the numbers are in the charts only.
    """
    if presenting():
        letter, chips = st.columns([1, 14], vertical_alignment="center")
        letter.header(side.upper(), anchor=False)
        chips.html(_chips(side, rows, theme))
        if reason is not None:
            st.warning(reason, icon=":material/info:")
        return
    with st.container(border=True, height="stretch", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(side.upper(), anchor=False, width="content")
            st.space("stretch")
            st.button(
                f"Open {side.upper()} in the lab",
                key=f"compare_open_{side}",
                type="tertiary",
                icon=":material/arrow_forward:",
                icon_position="right",
                on_click=open_screen,
                args=("pages/lab.py", lab.CONTROLS, compare.lab_values(values, side)),
            )
        st.html(_chips(side, rows, theme))
        if reason is not None:
            st.warning(reason, icon=":material/info:")
            return
        st.space("stretch")
        _headline(side, results)
        for note in results[side].fit.notes:
            st.caption(f"Note of the solver: {note}")


def _headline(side: Side, results: Mapping[Side, ScenarioResult]) -> None:
    """Show four numbers of one side, compared with the other side if that has a result."""
    own = results[side]
    alone = len(results) == 1
    grid = st.grid(2, min_column_width=130)
    metric(grid, found_fact(own.detection))
    a, b = results.get("a", own), results.get("b", own)
    rivals = same_problem(a, b)  # else errors do not compare, so no colour says better
    rows = {row.key: row for row in contests(a, b)}
    for key, label, words in _NUMBERS:
        row = rows[key]
        grid.metric(
            label,
            row.texts[0 if side == "a" else 1],
            None if alone else _delta(side, row),
            delta_color="inverse" if row.ahead and rivals else "off",
            delta_arrow="auto" if row.ahead else "off",
            help=words,
        )


def _delta(side: Side, row: Comparison) -> str:
    own, other = (row.a, row.b) if side == "a" else (row.b, row.a)
    name = "B" if side == "a" else "A"
    if row.texts[0] == row.texts[1]:
        return f"as in {name}"
    sign = "+" if own > other else "-"
    return f"{sign}{amount(abs(own - other))} against {name}"


def _chips(side: Side, rows: Sequence[Setting], theme: ThemeName) -> str:
    """Write as HTML the differing settings, then shared ones that the lab opens otherwise."""
    accent, paper = role_style("recovered", theme).color, PAPERS[theme]
    own = (
        f"border:1.5px solid {accent};background:{with_alpha(accent, 0.13)};color:{paper.ink};"
        "font-weight:600"
    )
    shared = f"border:1px solid {paper.grid};color:{paper.muted}"
    items = [
        f'<li style="padding:.2rem .6rem;border-radius:4px;{own if row.differs else shared}">'
        f"{html.escape(row.control.label)}: {html.escape(row.texts[side])}</li>"
        for row in sorted(rows, key=lambda row: not row.differs)
        if row.differs or not row.usual
    ]
    last = "the rest as the lab opens" if items else "all settings as the lab opens"
    if not items or not presenting():
        items.append(f'<li style="padding:.2rem 0;color:{paper.muted}">{last}</li>')
    return (
        f'<ul aria-label="Settings of {side.upper()}" style="display:flex;flex-wrap:wrap;'
        f'gap:.4rem .5rem;list-style:none;padding:0;margin:0;font-size:.9rem">{"".join(items)}</ul>'
    )


def settings_table(rows: Sequence[Setting], theme: ThemeName) -> None:
    """Draw a table of all settings of both sides, the differing ones marked."""
    accent, paper = role_style("recovered", theme).color, PAPERS[theme]
    line = f"border-bottom:1px solid {paper.grid};padding:.3rem .8rem .3rem .5rem;text-align:left"
    body = ""
    for row in rows:
        mark = f"background:{with_alpha(accent, 0.13)};font-weight:600" if row.differs else ""
        sign = "≠" if row.differs else "="
        body += (
            f'<tr style="{mark}"><th scope="row" style="{line};font-weight:inherit">'
            f"{html.escape(row.control.label)}</th>"
            f'<td style="{line}">{html.escape(row.texts["a"])}</td>'
            f'<td style="{line}">{sign}</td>'
            f'<td style="{line}">{html.escape(row.texts["b"])}</td></tr>'
        )
    head = "".join(
        f'<th scope="col" style="{line}">{name}</th>' for name in ("Setting", "A", "", "B")
    )
    with st.expander("All settings side by side"):
        st.html(
            f'<table style="width:100%;border-collapse:collapse;font-size:.9rem">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


def charts(view: str, a: ScenarioResult, b: ScenarioResult, theme: ThemeName) -> None:
    """Draw both results in one view, row by row on the same axes; on stage one row at a time."""
    rows = {
        row.title: partial(draw_blocks, row.blocks(), theme) for row in paired_views(view, a, b)
    }
    if presenting() and len(rows) > 1:
        # which score comes first and whether there are angles differs: each case has its own switch
        first = next(iter(rows)).split()[0].lower()
        stage_part(f"pair_{first}_{len(rows)}", rows)
        return
    for draw in rows.values():
        draw()
