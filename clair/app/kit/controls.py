"""Widgets made from the declarations of `clair.app.kit.state`, bound to the URL."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from clair.app.kit.plain import plain
from clair.app.kit.state import Control, accept_ids_from_url, read, remember_value


def show(control: Control, *, disabled: bool = False, label: bool = True) -> Any:
    """Draw one control where the script stands and return its value.

    With ``label=False`` the label is left to screen readers.
    """
    _write_address(control)
    value = _draw(control, disabled, label)
    remember_value(control, value)
    return value


def _write_address(control: Control) -> None:
    """Write into the address what a button has set before this widget is there."""
    value = st.session_state.get(control.key, control.default)
    if value != control.default and control.valid(value) and control.key not in st.query_params:
        # a widget that is there already writes its own
        with suppress(StreamlitAPIException):
            st.query_params[control.key] = control.to_url(value)


def _brought(control: Control) -> bool:
    if control.key in st.session_state:
        return bool(st.session_state[control.key])
    return bool(st.query_params.get(control.key))


def _draw(control: Control, disabled: bool, label: bool) -> Any:
    # The default is always passed, also where a preset or Reset has just set the state: Streamlit
    # drops a parameter from the URL only when it knows the default it equals.
    default = control.default
    cast: type = int if control.kind in ("int", "number") else float
    common: dict[str, Any] = {
        "key": control.key,
        "help": control.help if label else None,
        "label_visibility": "visible" if label else "collapsed",
        "disabled": disabled,
        "bind": "query-params",
    }
    if control.kind in ("choice", "segment", "scale"):
        common |= {"options": control.ids, "format_func": control.label_of}
    elif control.kind not in ("flag", "text"):
        limits = {"min_value": control.low, "max_value": control.high, "step": control.step}
        common |= {name: cast(v) for name, v in limits.items() if v is not None}
    match control.kind:
        case "int" | "float":
            return st.slider(control.label, value=cast(default), format=control.format, **common)
        case "number":
            return st.number_input(control.label, value=cast(default), **common)
        case "optional_float":
            return st.number_input(control.label, value=default, placeholder="automatic", **common)
        case "choice":
            return st.selectbox(control.label, index=control.ids.index(default), **common)
        case "segment":
            return st.segmented_control(control.label, default=default, required=True, **common)
        case "scale":
            return st.select_slider(control.label, value=default, **common)
        case "text":
            text = st.text_input(control.label, value=default, placeholder="none", **common)
            if objection := control.objection(text):
                st.caption(f":material/error: {plain(objection)}. It is ignored.")
            return text
    return st.toggle(control.label, value=default, **common)


def show_all(controls: Sequence[Control], *, disabled: bool = False) -> dict[str, Any]:
    """Draw `controls` in order and return their values by key.

    A line of text is drawn only where there is text: a link or a button brings it, and it can be
    changed or emptied.
    """
    accept_ids_from_url(controls)
    for control in controls:
        if control.kind == "text" and not _brought(control):
            remember_value(control, control.default)
        else:
            show(control, disabled=disabled)
    return read(controls)
