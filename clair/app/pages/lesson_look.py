"""CSS of the lessons for what the theme cannot set: type, option cards and number line."""

from __future__ import annotations

import streamlit as st

from clair.app.kit.glossary import marked
from clair.figures.palette import PAPERS, ThemeName, role_style


def prose(text: str, before: str = "") -> None:
    """Write large text with notes on its terms, after a word or two in bold."""
    lead = f"<strong>{before}</strong> " if before else ""
    st.html(f'<p class="lesson-text">{lead}{marked(text)}</p>')


def lesson_style(theme: ThemeName) -> None:
    """Add the lessons' CSS to the page; each rule names a container or class of the lessons."""
    paper, accent = PAPERS[theme], role_style("recovered", theme).color
    # The accent is a colour for marks; words on a tinted ground need a darker one.
    words = st.get_option(f"theme.{theme}.linkColor")
    st.html(f"""<style>
.lesson-text {{ font-size: 1.2rem; line-height: 1.6; max-width: 46rem; margin: 0; }}
.st-key-lesson_ask {{ max-width: 46rem; }}
.st-key-lesson_ask [role=radiogroup] {{ gap: .6rem; }}
.st-key-lesson_ask [data-testid=stRadio], .st-key-lesson_ask [data-testid=stRadio] > div,
.st-key-lesson_ask [role=radiogroup] > * {{ width: 100%; }}
.st-key-lesson_ask [role=radiogroup] label, .lesson-options div {{
  margin: 0; padding: .7rem 1rem; border: 1px solid {paper.grid}; border-radius: 6px;
  background: {paper.surface}; }}
.st-key-lesson_ask [role=radiogroup] label:hover {{ border-color: {paper.muted}; }}
.st-key-lesson_ask [role=radiogroup] label:has(input:checked) {{
  border-color: {accent}; box-shadow: inset 4px 0 0 {accent}; }}
.st-key-lesson_ask [role=radiogroup] label p, .lesson-options {{ font-size: 1.1rem; }}
.lesson-options {{ display: grid; gap: .6rem; max-width: 46rem; }}
.lesson-options div {{ display: flex; flex-wrap: wrap; justify-content: space-between;
  gap: 0 1rem; }}
.lesson-options .other {{ color: {paper.muted}; background: none; }}
.lesson-options .mine {{ background: none; border-style: dashed; border-color: {paper.muted}; }}
.lesson-options .right {{ border-color: {accent}; box-shadow: inset 4px 0 0 {accent};
  font-weight: 600; }}
.lesson-options .tag {{ font-size: .95rem; font-weight: 400; color: {paper.muted}; }}
.lesson-options .right .tag {{ color: {words}; font-weight: 600; }}
.lesson-line {{ max-width: 46rem; padding: 2.4rem .6rem 0; }}
.lesson-line .track {{ position: relative; height: 4px; border-radius: 2px;
  background: {paper.muted}; margin-bottom: 2rem; }}
.lesson-line i {{ position: absolute; top: 50%; }}
.lesson-line .band {{ height: 18px; translate: 0 -50%; background: {accent}; opacity: .22;
  min-width: 6px; }}
.lesson-line i.right {{ width: 16px; height: 16px; border-radius: 50%; background: {accent};
  translate: -50% -50%; }}
.lesson-line i.mine {{ width: 14px; height: 14px; background: {paper.background};
  border: 2.5px solid {paper.ink}; translate: -50% -50%; rotate: 45deg; }}
.lesson-line b {{ position: absolute; white-space: nowrap; font-weight: 600; }}
.lesson-line b.right {{ color: {words}; bottom: 14px; }}
.lesson-line b.mine {{ color: {paper.ink}; top: 14px; }}
.lesson-line b.middle {{ translate: -50% 0; }}
.lesson-line b.start {{ translate: -8px 0; }}
.lesson-line b.end {{ translate: calc(-100% + 8px) 0; }}
.lesson-line .ends {{ display: flex; justify-content: space-between; color: {paper.muted};
  font-size: .95rem; }}
.lesson-answer {{ border-left: 4px solid {accent}; background: {paper.surface};
  padding: 1rem 1.25rem; border-radius: 0 6px 6px 0; font-size: 1.2rem; line-height: 1.55;
  max-width: 46rem; margin-top: 1.25rem; }}
.lesson-answer p {{ margin: 0; }}
.lesson-answer .word {{ color: {words}; font-weight: 650; margin-bottom: .25rem; }}
.lesson-answer strong {{ font-size: 1.5rem; font-weight: 650; }}
.lesson-question {{ font: 600 1.35rem/1.3 SourceSerifFour, serif !important;
  padding: 0 !important; }}
.st-key-lesson_stage {{ gap: .8rem; }}
.st-key-lesson_stage .other {{ display: none; }}
.st-key-lesson_stage .lesson-line {{ padding-top: 1.9rem; }}
.st-key-lesson_stage .lesson-line .track {{ margin-bottom: 1.5rem; }}
.st-key-lesson_stage .lesson-text {{ font-size: 1.05rem; line-height: 1.5; }}
.st-key-lesson_stage .lesson-answer {{ font-size: 1.1rem; line-height: 1.45; margin-top: .6rem;
  padding: .6rem 1rem; }}
.st-key-lesson_stage .lesson-options {{ font-size: 1rem; gap: .35rem; }}
.st-key-lesson_stage .lesson-options div {{ padding: .3rem .8rem; }}
</style>""")
