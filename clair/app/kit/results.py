"""Blocks drawn with Streamlit: charts, words, numbers, tables, and what stands beside what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clair.app.components.chart import Drawn, chart_of, charts_for_one, charts_of, draw
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
    Frame,
    Listing,
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

_MANY = 9  # lines in a frame that scrolls


def show_chart(
    chart: Chart | Drawn, key: str, *, on_click: Callable[[Any], None] | None = None
) -> None:
    """Show the takeaway, the chart, and how to read it; see `draw` for the arguments."""
    st.markdown(f"**{plain(chart.title)}**")
    draw(chart, key, on_click=on_click)
    st.caption(marked(chart.caption), unsafe_allow_html=True)


@dataclass(frozen=True)
class _Way:
    """How blocks are drawn: on which paper, kept for others or not, and what a click does."""

    theme: ThemeName
    charts: Callable[..., Any]
    clicks: Mapping[str, Callable[[Any], None]]


def draw_blocks(
    blocks: Iterable[Block],
    theme: ThemeName,
    *,
    private: bool = False,
    clicks: Mapping[str, Callable[[Any], None]] | None = None,
) -> None:
    """Draw blocks one below the other.

    Parameters
    ----------
    blocks : iterable of blocks
    theme : {"light", "dark"}
    private : bool
        Whether nothing of them may be kept for other visitors, as of uploads, or need be, as of a
        run that is under way.
    clicks : mapping of str to callable, optional
        By a plot's key: called before the next run with the ``customdata`` of a clicked point.
    """
    _draw_all(blocks, _Way(theme, charts_for_one if private else charts_of, clicks or {}))


def _draw_all(blocks: Iterable[Block], way: _Way) -> None:
    for block in blocks:
        _draw(block, way)


def _draw(block: Block, way: _Way) -> None:
    match block:
        case Words():
            _words(block)
        case Listing():
            _listing(block)
        case Facts():
            # six numbers have one row, too, where the page has its usual width
            grid = st.grid(len(block.facts), min_column_width=150 if len(block.facts) < 6 else 120)
            for fact in block.facts:
                metric(grid, fact)
        case Plot():
            chart = chart_of(block, way.theme, way.charts)
            show_chart(chart, block.key, on_click=way.clicks.get(block.key))
        case Pair():
            _pair(block, way)
        case Player():
            stepper(way.charts(block.make, *block.args, way.theme), block.key)
        case Table():
            _table(block)
        case Markup():
            st.html(way.charts(block.make, *block.args, way.theme, **block.settings))
        case Columns():
            widths = block.widths or len(block.columns)
            places = st.columns(widths, gap="large", vertical_alignment=block.align)
            for place, part in zip(places, block.columns, strict=True):
                with place:
                    _draw_all(part, way)
        case Choice():
            _draw_all(block.options[_chosen(block)], way)
        case Parts():
            stage_part(
                block.key,
                {title: partial(_draw_all, part, way) for title, part in block.parts.items()},
            )
        case Frame() if presenting():
            with st.container(width=1500, key="stage_words"):
                _draw_all(block.blocks, way)
        case Frame():
            with st.container(border=True):
                _draw_all(block.blocks, way)
        case Live():
            block.draw(way.theme)
        case OnScreen():
            _draw_all(block.blocks, way)


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
        case "caption":
            st.caption(marked(words.text), unsafe_allow_html=True)
        case "latex":
            st.latex(words.text)
        case "terms":
            st.markdown(marked(words.text), unsafe_allow_html=True)
        case _:
            st.markdown(words.text)


def _listing(listing: Listing) -> None:
    lines = [f"* {f'**{plain(name)}**' * bool(name)}{plain(text)}" for name, text in listing.lines]
    if not listing.title:
        st.markdown("\n".join(lines))
        return
    with st.container(border=True, height="content" if len(lines) < _MANY else 300):
        st.markdown("\n".join([f"{listing.title}:", "", *lines]))


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


def _pair(pair: Pair, way: _Way) -> None:
    charts = way.charts(Pair.charts, pair, way.theme)
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


def _chosen(choice: Choice) -> str:
    """Draw the switch of a choice, and return what is chosen."""
    options = list(choice.options)
    first = choice.first or options[0]
    visible: Literal["collapsed", "visible"] = "collapsed" if presenting() else "visible"
    if choice.menu:
        with st.container(width=360):
            return st.selectbox(
                choice.label,
                options,
                index=options.index(first),
                format_func=choice.names.__getitem__,
                label_visibility=visible,
                key=choice.key,
            )
    return st.segmented_control(
        choice.label,
        options,
        format_func=choice.names.__getitem__,
        default=first,
        required=True,
        label_visibility=visible,
        key=choice.key,
    )


def _table(table: Table) -> None:
    """Draw a table with its columns of numbers lined up."""
    with st.expander(table.title) if table.folded else st.container():
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
