"""Screen state as a value: typed controls, presets, and the link that reopens a screen.

A control is declared once. The widget, its place in the URL, its default, its range and its help
all come from that declaration; pages read plain validated values back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import streamlit as st

from clair.app.kit.plain import plain

Kind = Literal[
    "int", "float", "number", "optional_float", "choice", "segment", "scale", "flag", "text"
]

# Names in the session state: where a button wants to go; the page of the latest run; by page, the
# address of every value that is not a default; what was left out of a link.
_DESTINATION = "_destination"
_IGNORED = "_ignored"
_PAGE = "_page"
_KEPT = "_kept"


@dataclass(frozen=True)
class Control:
    """One thing a visitor can set.

    Attributes
    ----------
    key : str
        Name in the session state and in the URL; unique over the app unless shared on purpose.
    label, help : str
        Text beside the widget and in its tooltip.
    kind : str
        "int" and "float" are sliders, "number" is a typed integer, "optional_float" a typed number
        that may be empty, "choice" a drop-down, "segment" a row of buttons, "scale" a slider over
        named options, "flag" a switch, "text" a line of text that may be empty.
    default : object
        Value without a parameter in the URL.
    low, high, step : float or None
        Range of the numeric kinds.
    options : tuple of (id, label)
        Of the choice kinds; ids are what pages and presets use, and what the URL may hold.
    group : str
        Where the control is shown on its page.
    format : str or None
        printf-style format of a slider's value.
    parse : callable or None
        Of the kind "text": raises ValueError for text that is not valid; empty text always is.
    tell : callable or None
        Of the kind "text": writes valid text for people.
    field : str
        Of a task's control: the field of the config that it sets.
    """

    key: str
    label: str
    kind: Kind
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    options: tuple[tuple[Any, str], ...] = ()
    group: str = ""
    format: str | None = None
    parse: Callable[[str], object] | None = None
    tell: Callable[[str], str] | None = None
    field: str = ""

    def __post_init__(self) -> None:
        if not self.valid(self.default):
            raise ValueError(f"default of control {self.key!r} breaks its own rule: {self.default}")

    @property
    def ids(self) -> tuple[Any, ...]:
        """The option ids of a choice, in display order."""
        return tuple(value for value, _ in self.options)

    def label_of(self, value: Any) -> str:
        """Return the text shown for an option id."""
        return dict(self.options)[value]

    def valid(self, value: Any) -> bool:
        """Tell whether `value` has the type and range of this control."""
        if self.kind == "flag":
            return isinstance(value, bool)
        if self.kind == "text":
            return isinstance(value, str) and self.objection(value) is None
        if self.kind in ("choice", "segment", "scale"):
            return value in self.ids
        if value is None:
            return self.kind == "optional_float"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        if not math.isfinite(value):
            return False
        if self.kind in ("int", "number") and value != int(value):
            return False
        above = self.low is None or value >= self.low - 1e-9
        return above and (self.high is None or value <= self.high + 1e-9)

    def objection(self, text: str) -> str | None:
        """Say what is wrong with text for this control; None if nothing is."""
        try:
            if text and self.parse is not None:
                self.parse(text)
        except ValueError as error:
            return str(error)
        return None

    def words(self, value: Any) -> str:
        """Write `value` for people."""
        if self.kind == "text":
            return (self.tell(value) if self.tell else value) if value else "none"
        if self.kind == "flag":
            return "on" if value else "off"
        if self.options:
            return self.label_of(value) if value in self.ids else str(value)
        if value is None:
            return "automatic"
        if self.format == "percent":
            return f"{value:.0%}"
        if self.format:
            return self.format % value
        return f"{value:g}" if isinstance(value, float) else str(value)

    @property
    def rule(self) -> str:
        """What a value of this control must be, in words for people."""
        if len(self.options) > 4:
            return f"one of the {len(self.options)} options"
        if self.options:
            return "one of " + ", ".join(label for _, label in self.options)
        if self.kind == "flag":
            return "true or false"
        if self.kind == "text":
            return "in the form that this app writes"
        kind = "a whole number" if self.kind in ("int", "number") else "a number"
        if self.low is not None and self.high is not None:
            return f"{kind} from {self.low:g} to {self.high:g}"
        return kind if self.low is None else f"{kind} of at least {self.low:g}"

    def to_url(self, value: Any) -> str:
        """Write `value` for the address."""
        if self.options:
            return self.label_of(value)
        return str(value).lower() if self.kind == "flag" else str(value)

    def from_url(self, raw: str) -> str | None:
        """Translate text of the address into what Streamlit takes; None if it is not valid."""
        if self.options:
            wanted = raw.strip().casefold()
            for value, label in self.options:
                if wanted in (str(value).casefold(), label.casefold()):
                    return label
            return None
        if self.kind == "flag":
            return raw if raw.strip().lower() in ("true", "false") else None
        if self.kind == "text":
            return raw if self.valid(raw) else None
        try:
            return raw if self.valid(float(raw)) else None
        except ValueError:
            return None


@dataclass(frozen=True)
class Preset:
    """A named screen: values that differ from the defaults, and what to look for there."""

    key: str
    name: str
    look_for: str
    values: Mapping[str, Any] = field(default_factory=dict)


def read(controls: Sequence[Control]) -> dict[str, Any]:
    """Return the current value of every control, the default where there is no valid one.

    Widget limits are enforced in the browser only, so everything is checked again here.
    """
    values = {}
    for control in controls:
        value = st.session_state.get(control.key, control.default)
        values[control.key] = value if control.valid(value) else control.default
    return values


def arriving(controls: Sequence[Control]) -> dict[str, Any]:
    """Read controls before they are drawn: as `read`, and on the first run as the address says."""
    values = read(controls)
    for control in controls:
        raw = st.query_params.get(control.key)
        if raw and control.options and control.key not in st.session_state:
            label = control.from_url(raw)
            values[control.key] = next(
                (value for value, shown in control.options if shown == label), values[control.key]
            )
    return values


def assign(controls: Sequence[Control], values: Mapping[str, Any] | None = None) -> None:
    """Set every control to its default, then to `values`; call from a widget callback only."""
    for control in controls:
        st.session_state[control.key] = (values or {}).get(control.key, control.default)
        for kept in st.session_state.get(_KEPT, {}).values():
            kept.pop(control.key, None)


def accept_ids_from_url(controls: Sequence[Control]) -> None:
    """Rewrite the address so that Streamlit's widgets take it; call before they are made.

    Options may be named by id (``attack=low_rank``), but Streamlit knows only the label shown.
    Values that break a control's rule are removed; on some (``rank=nan``) Streamlit would fail. The
    script starts again with the new address, and `show_ignored_values` tells what was removed.
    """
    changed = False
    for control in controls:
        raw = st.query_params.get(control.key)
        if raw is None or control.key in st.session_state:
            continue
        text = control.from_url(raw)
        if text is None:
            del st.query_params[control.key]
            ignore(control.label, raw, control.rule)
        elif text != raw:
            st.query_params[control.key] = text
        changed |= text != raw
    if changed:
        st.rerun()


def ignore(name: str, raw: str, rule: str) -> None:
    """Note for `show_ignored_values` that a value of the link is not taken, and what it must be."""
    note = f"{name} = {raw:.30} is ignored; it must be {rule}"
    st.session_state.setdefault(_IGNORED, []).append(note)


def show_ignored_values() -> None:
    """Say which values of the link were not taken; call once the page is drawn."""
    for note in st.session_state.pop(_IGNORED, ()):
        st.toast(plain(f"Link: {note}."), icon=":material/link_off:", duration="long")


def open_screen(
    page: str,
    controls: Sequence[Control],
    values: Mapping[str, Any],
    extra: Mapping[str, str] | None = None,
) -> None:
    """Go to another page with `values` set there and all else at its default; a callback.

    Parameters of the address that belong to no control come as `extra`.

    A plain link would not do: where it asks for a default, what the visitor has set there before
    would win. No control of `controls` may be on the page that is left.
    """
    assign(controls, values)
    # A value that is new to that page stays in its address only if it arrives there.
    address = {c.key: c.to_url(values[c.key]) for c in controls if c.key in values}
    st.session_state[_DESTINATION] = (page, address | dict(extra or {}))


def switch_to_requested_page() -> None:
    """Go where `open_screen` wants, once the router has run and pages are known."""
    if _DESTINATION in st.session_state:
        page, address = st.session_state.pop(_DESTINATION)
        st.switch_page(page, query_params=address)


def remember_value(control: Control, value: Any) -> None:
    """Remember a value that was drawn on this page, for `restore_page_values`."""
    kept = st.session_state.setdefault(_KEPT, {}).setdefault(_page(), {})
    if value == control.default or not control.valid(value):
        kept.pop(control.key, None)
    else:
        kept[control.key] = control.to_url(value)


def restore_page_values() -> None:
    """Restore what was set on a page when the browser's Back or Forward leads to it.

    Streamlit empties a page's address before it leaves it, so the history holds a bare address,
    and a bare address from the history means defaults to Streamlit.
    """
    page = _page()
    arrived = st.session_state.get(_PAGE) != page
    st.session_state[_PAGE] = page
    kept = st.session_state.get(_KEPT, {}).get(page, {})
    if arrived and kept and not any(key in st.query_params for key in kept):
        for key, text in kept.items():
            st.query_params[key] = text
        st.rerun()


def _page() -> str:
    return (st.context.url or "").split("?")[0].rstrip("/").rsplit("/", 1)[-1]


def active_preset(
    presets: Sequence[Preset], controls: Sequence[Control], values: Mapping[str, Any]
) -> Preset | None:
    """Return the preset whose screen is exactly the current one, if there is one."""
    for preset in presets:
        wanted = {control.key: control.default for control in controls} | dict(preset.values)
        if all(same(wanted[key], value) for key, value in values.items() if key in wanted):
            return preset
    return None


def same(first: Any, second: Any) -> bool:
    """Tell whether two values of a control are equal, up to rounding in a slider's steps."""
    if isinstance(first, float) and isinstance(second, (int, float)):
        return math.isclose(first, second, abs_tol=1e-9)
    return bool(first == second)
