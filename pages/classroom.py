"""A phone's place in a class; the lecturer leads from the lessons."""

from __future__ import annotations

import streamlit as st

from clair.app.kit.layout import column, ensure_router, inject_css
from clair.app.kit.scheme import follow_scheme
from clair.app.pages.class_phone import phone

ensure_router()
inject_css("lessons", "classroom")
with column(560), st.container(key="class_phone"):
    phone()
follow_scheme("classroom_scheme")
