"""Your adapters: which of the LoRA adapters you received to trust, before you merge them."""

from __future__ import annotations

import streamlit as st

from clair.adapters.archive import UPLOAD_BYTES
from clair.adapters.limits import MIB
from clair.app.kit.controls import show, show_all
from clair.app.kit.layout import ensure_router, header, sentence, settings, toolbar
from clair.app.kit.plain import plain
from clair.app.kit.scheme import current_theme
from clair.app.kit.state import accept_ids_from_url, read
from clair.app.pages import adapters
from clair.app.pages.adapters import Source
from clair.app.pages.adapters_views import (
    VIEWS,
    export_of,
    headline_numbers,
    not_judged,
    refined_download,
    result_of,
)

ensure_router()
with settings(header("Your adapters")):
    for group, title in adapters.GROUPS.items():
        st.markdown(f"**{title}**")
        show_all([control for control in adapters.SETTINGS if control.group == group])

accept_ids_from_url([adapters.VIEW])
values = read(adapters.CONTROLS)
options = adapters.options_of(values)
answer = st.container()
tools = st.container()
uploads = st.file_uploader(
    "LoRA adapters of at least four clients",
    type=["zip", "safetensors", "json"],
    accept_multiple_files=True,
    max_upload_size=UPLOAD_BYTES // MIB,
    help=adapters.HOW_WORDS,
    key="adapters_upload",
)
source = Source(tuple((file.name, file.file_id, file) for file in uploads))
st.caption(f"{adapters.HOW_WORDS} {adapters.LIMITS_WORDS}")

result = result_of(source, options)
take = None if isinstance(result, str) else export_of(source, result, values)
with tools:
    toolbar("adapters", adapters.CONTROLS, (), values, take=take)
if isinstance(result, str):
    with answer:
        sentence(result)
    st.stop()
with answer:
    sentence(result.sentence())
    if not source.files:
        poisoned = " and ".join(adapters.truth())
        st.markdown(
            f"This is the bundled example: ten adapters that our text-copying job trained, of "
            f"which {poisoned} learned from poisoned text. The audit is not told. Upload yours "
            "below to see them instead."
        )
if result.reason:
    not_judged(result)
    st.stop()

headline_numbers(result)
not_judged(result)
for note in result.notes:
    st.info(plain(note), icon=":material/info:")
view = show(adapters.VIEW, label=False)
VIEWS[view](result, current_theme())
st.header("Refined adapters of those not flagged", anchor=False)
st.caption(
    f"{result.caveat} Here: in folders or zips named half-a and half-b."
    if result.caveat
    else "Averaged just as far as the clients' halves show that it pays."
)
refined_download(source, result, adapters.size_of(values))
