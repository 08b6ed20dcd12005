"""Your adapters: which of the LoRA adapters you received to trust, before you merge them."""

from __future__ import annotations

from functools import partial

import streamlit as st

from clair.app.kit.controls import show, show_all
from clair.app.kit.layout import ensure_router, header, sentence, settings, toolbar
from clair.app.kit.presenter import presenting, register_views
from clair.app.kit.results import draw_blocks
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import accept_ids_from_url, read
from clair.app.pages import adapters
from clair.app.pages.adapters_upload import held, sample, say_whose, uploader
from clair.app.pages.adapters_views import export_of, notes, refined_download, result_of
from clair.report.adapters import VIEWS, headline, not_judged
from clair.report.blocks import Facts, Plot

ensure_router()
register_views(adapters.VIEW)
with settings(header("Your adapters")):
    for group, title in adapters.GROUPS.items():
        st.markdown(f"**{title}**")
        show_all([control for control in adapters.SETTINGS if control.group == group])

accept_ids_from_url([adapters.VIEW])
values = read(adapters.CONTROLS)
options = adapters.options_of(values)
source = held()
answer = st.container()
tools = st.container()
result = result_of(source, options)
take = None if isinstance(result, str) else export_of(source, result, values)
with tools:
    toolbar("adapters", adapters.CONTROLS, (), values, take=take, link=not source.files)
with answer:
    sentence(result if isinstance(result, str) else result.sentence())
    say_whose(source)
if not presenting():
    uploader()
    sample()
if isinstance(result, str):
    st.stop()
# what is drawn of an upload is kept for nobody
draw = partial(draw_blocks, theme=current_theme(), private=bool(source.files))
if not result.reason:
    draw((Facts(headline(result)),))
if not presenting():
    draw(not_judged(result))
    notes(result)
if result.reason:
    st.stop()
blocks = VIEWS[show(adapters.VIEW, label=False)].blocks(result)
if presenting():  # tables and downloads are for the desk
    draw(tuple(block for block in blocks if isinstance(block, Plot)))
    st.stop()
draw(blocks)
st.header("Refined adapters of those not flagged", anchor=False)
st.caption(
    f"{result.caveat} Here: in folders or zips named half-a and half-b."
    if result.caveat
    else "Averaged just as far as the clients' halves show that it pays."
)
refined_download(source, result, adapters.size_of(values))
