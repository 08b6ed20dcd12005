"""The slider that asks for a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from clair.lessons.course import Number, Step
from clair.lessons.quantities import QUANTITIES, Unit

_FORMATS: dict[Unit, str] = {
    "times": "%g×",
    "clients": "%d",
    "directions": "%d",
    "degrees": "%g°",
    "percent": "%d%%",
    "points": "%g points",
}


def slider(
    step: Step,
    key: str,
    made: float | None,
    on_change: Callable[..., None] | None = None,
    args: tuple[Any, ...] = (),
) -> None:
    """Draw the slider of a step that asks for a number, and the range under it.

    Parameters
    ----------
    step : Step
    key : str
        Name in the session state.
    made : float or None
        The prediction so far; the slider starts in its middle without one.
    on_change : callable, optional
        Called with `args` before the next run.
    """
    assert step.number is not None
    quantity, cast = QUANTITIES[step.answer], _type(step.number)
    # Streamlit forgets a widget that was not drawn for a while; the prediction is kept elsewhere.
    if key not in st.session_state:
        st.session_state[key] = cast(step.number.middle if made is None else made)
    low, high, by = (cast(x) for x in (step.number.low, step.number.high, step.number.step))
    st.slider(
        step.question,
        low,
        high,
        step=by,
        format=_FORMATS[quantity.unit],
        key=key,
        label_visibility="collapsed",
        on_change=on_change,
        args=args,
        width="stretch",
    )
    st.caption(f"From {quantity.say(low)} to {quantity.say(high)}.")


def _type(number: Number) -> type[int] | type[float]:
    """Choose int or float for a slider; Streamlit wants all four of its numbers of one type."""
    whole = all(x == int(x) for x in (number.low, number.high, number.step))
    return int if whole else float
