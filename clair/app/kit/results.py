"""Blocks drawn with Streamlit: charts, words, numbers, tables, and what stands beside what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clair.app.components.chart import Drawn, chart_of, charts_of, draw
from clair.app.components.stepper import stepper
from clair.app.kit.glossary import marked
from clair.app.kit.plain import plain
from clair.app.kit.presenter import presenting, stage_part
from clair.figures.base import Chart
from clair.figures.palette import ThemeName
from clair.report.blocks import (
    Block,
    Choice,
    Columns,
    Fact,
    Facts,
    Live,
    Markup,
    OnScreen,
    Pair,
    Parts,
    Player,
    Plot,
    Words,
)
from clair.report.tables import Table


def show_chart(
    chart: Chart | Drawn, key: str, *, on_click: Callable[[Any], None] | None = None
) -> None:
    """Show the takeaway, the chart, and how to read it; see `draw` for the arguments."""
    st.markdown(f"**{plain(chart.title)}**")
    draw(chart, key, on_click=on_click)
    st.caption(marked(chart.caption), unsafe_allow_html=True)


def draw_blocks(blocks: Iterable[Block], theme: ThemeName) -> None:
    """Draw blocks one below the other."""
    for block in blocks:
        _draw(block, theme)


def _draw(block: Block, theme: ThemeName) -> None:
    match block:
        case Words():
            _words(block)
        case Facts():
            grid = st.grid(len(block.facts), min_column_width=150)
            for fact in block.facts:
                metric(grid, fact)
        case Plot():
            show_chart(chart_of(block, theme), block.key)
        case Pair():
            _pair(block, theme)
        case Player():
            stepper(charts_of(block.make, *block.args, theme), block.key)
        case Table():
            _table(block)
        case Markup():
            st.html(charts_of(block.make, *block.args, theme, **block.settings))
        case Columns():
            widths = block.widths or len(block.columns)
            places = st.columns(widths, gap="large", vertical_alignment=block.align)
            for place, part in zip(places, block.columns, strict=True):
                with place:
                    draw_blocks(part, theme)
        case Choice():
            _choice(block, theme)
        case Parts():
            stage_part(
                block.key,
                {title: partial(draw_blocks, part, theme) for title, part in block.parts.items()},
            )
        case Live():
            block.draw(theme)
        case OnScreen():
            draw_blocks(block.blocks, theme)


def _words(words: Words) -> None:
    match words.look:
        case "heading":
            st.header(words.text, anchor=False)
        case "note":
            st.info(words.text, icon=":material/info:")
        case "good":
            st.success(words.text, icon=":material/verified:")
        case "warning":
            st.warning(words.text, icon=":material/error:")
        case "frame":
            with st.container(border=True):
                st.markdown(words.text)
        case "caption":
            st.caption(marked(words.text), unsafe_allow_html=True)
        case "latex":
            st.latex(words.text)
        case "fold":
            title, _, text = words.text.partition("\n")
            with st.expander(title):
                st.markdown(marked(text), unsafe_allow_html=True)
        case "terms":
            st.markdown(marked(words.text), unsafe_allow_html=True)
        case _:
            st.markdown(words.text)


def metric(place: DeltaGenerator, fact: Fact) -> None:
    """Draw one number that stands out."""
    place.metric(
        fact.label,
        fact.value,
        fact.note,
        delta_color="off",
        delta_arrow="off",
        help=fact.help or None,
    )


def _pair(pair: Pair, theme: ThemeName) -> None:
    charts = charts_of(Pair.charts, pair, theme)
    # A title may need one more line than the other; aligned at the bottom, the charts stay level.
    places = st.columns(2, gap="large", vertical_alignment="bottom")
    for place, side, chart in zip(places, "ab", charts, strict=True):
        with place:
            show_chart(replace(chart, caption=""), f"{pair.key}_{side}")
    captions = [chart.caption for chart in charts]
    if captions[0] == captions[1]:
        st.caption(marked(captions[0]), unsafe_allow_html=True)
        return
    for place, name, text in zip(st.columns(2, gap="large"), "AB", captions, strict=True):
        place.caption(f"**{name}**: {marked(text)}", unsafe_allow_html=True)


def _choice(choice: Choice, theme: ThemeName) -> None:
    chosen = st.segmented_control(
        choice.label,
        list(choice.options),
        format_func=choice.names.__getitem__,
        default=next(iter(choice.options)),
        required=True,
        label_visibility="collapsed" if presenting() else "visible",
        key=choice.key,
    )
    draw_blocks(choice.options[chosen], theme)


def _table(table: Table) -> None:
    """Draw a table folded away, with its columns of numbers lined up."""
    with st.expander(table.title):
        st.dataframe(
            [dict(zip(table.heads, row, strict=True)) for row in table.rows],
            hide_index=True,
            width="stretch",
            column_config={
                head: st.column_config.NumberColumn(format="%.3f")
                for head, *cells in zip(table.heads, *table.rows, strict=True)
                if any(isinstance(cell, float) for cell in cells)
            },
            key=f"table_{table.key}",
        )
        st.caption(table.caption)
