"""Board story: five hospitals, one of them poisoned, told slide by slide with live numbers."""

from __future__ import annotations

import streamlit as st

from clair.app.components.chart import kept
from clair.app.kit.exports import screen_of
from clair.app.kit.layout import ensure_router, header
from clair.app.kit.presenter import presenting
from clair.app.kit.scheme import current_theme
from clair.app.pages import board
from clair.board import slides_of
from clair.figures.board import slide_html
from clair.report.board import board_export

ensure_router()
stage = presenting()
if not stage:
    header("Board story", stage_button=False)
at = board.where()
with st.spinner("Drawing five hospitals …"):
    story = board.story_of(at["draw"])
slide = slides_of(story)[at["slide"] - 1]
theme = current_theme()
key = "slide", at["draw"], at["slide"], theme, stage
st.html(kept(key, lambda: slide_html(story, slide, theme, stage=stage)))
screen = screen_of("board", (board.DRAW,), {board.DRAW.key: story.seed})
with st.container(horizontal=True, vertical_alignment="center", gap="small", key="board_bar"):
    board.bar(at["slide"], at["draw"], board_export(story, screen))
