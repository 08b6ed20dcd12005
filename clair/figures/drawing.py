"""A plotly figure as the plain lists and dictionaries that plotly.js reads.

plotly's own figures copy, look up and check every entry. For a chart of thirty traces that takes
longer than solving the problem it shows, so figures are put together here, and plotly checks them
in the tests only.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Names with an underscore of their own. In other names it separates the part, as in plotly.
_WHOLE = frozenset({"paper_bgcolor", "plot_bgcolor"})
_WHOLE_NUMBERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32)


class Figure:
    """Traces and a layout, filled by the methods of plotly's figures that our charts use.

    Parameters
    ----------
    **layout
        Settings of the layout.

    Attributes
    ----------
    traces : list of dict
    settings : dict
        The layout.
    """

    #: Whether plotly checks a figure before it is written; only the tests switch this on.
    validate = False

    def __init__(self, **layout: Any) -> None:
        self.traces: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = {}
        self.update_layout(**layout)

    def copy(self) -> Figure:
        """Copy the figure, so that changes to the copy leave it alone; both share the data."""
        other = Figure()
        other.traces = [dict(trace) for trace in self.traces]
        # neither a template nor a picture is ever changed
        kept = {key: self.settings[key] for key in ("template", "images") if key in self.settings}
        rest = {key: value for key, value in self.settings.items() if key not in kept}
        other.settings = kept | copy.deepcopy(rest)
        return other

    def add_trace(self, type: str, **trace: Any) -> None:
        """Add a trace of a type of plotly.js."""
        self.traces.append(_merged({"type": type}, trace))

    def add_scatter(self, **trace: Any) -> None:
        """Add marks or lines."""
        self.add_trace("scatter", **trace)

    def add_bar(self, **trace: Any) -> None:
        """Add bars."""
        self.add_trace("bar", **trace)

    def add_heatmap(self, **trace: Any) -> None:
        """Add a heat map."""
        self.add_trace("heatmap", **trace)

    def add_contour(self, **trace: Any) -> None:
        """Add contour lines."""
        self.add_trace("contour", **trace)

    def add_shape(self, shape: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Add a shape, given as a mapping or by its entries."""
        self.settings.setdefault("shapes", []).append(_merged(dict(shape or {}), more))

    def add_annotation(self, **note: Any) -> None:
        """Add words at a place."""
        self.settings.setdefault("annotations", []).append(_merged({}, note))

    def add_hline(self, y: Any, **look: Any) -> None:
        """Add a line across the whole width."""
        across = {"type": "line", "x0": 0, "x1": 1, "xref": "x domain", "y0": y, "y1": y}
        self.add_shape(across | {"yref": "y"}, **look)

    def add_vline(self, x: Any, **look: Any) -> None:
        """Add a line over the whole height."""
        along = {"type": "line", "x0": x, "x1": x, "xref": "x", "y0": 0, "y1": 1}
        self.add_shape(along | {"yref": "y domain"}, **look)

    def add_vrect(self, x0: Any, x1: Any, **look: Any) -> None:
        """Add a band over the whole height."""
        along = {"type": "rect", "x0": x0, "x1": x1, "xref": "x", "y0": 0, "y1": 1}
        self.add_shape(along | {"yref": "y domain"}, **look)

    def update_layout(self, **settings: Any) -> None:
        """Change settings of the layout: dictionaries are merged, None goes, all else replaces."""
        _merged(self.settings, settings)

    def update_xaxes(self, **settings: Any) -> None:
        """Change settings of the horizontal axis."""
        self.update_layout(xaxis=settings)

    def update_yaxes(self, **settings: Any) -> None:
        """Change settings of the vertical axis."""
        self.update_layout(yaxis=settings)

    def plotly(self) -> Any:
        """Convert to a `plotly.graph_objects.Figure`, which can be shown or changed further.

        Raises
        ------
        ValueError
            If plotly knows no such trace or setting.
        """
        import plotly.graph_objects as go

        return go.Figure(data=self.traces, layout=self.settings)

    @property
    def data(self) -> Any:
        """Traces as plotly's objects."""
        return self.plotly().data

    @property
    def layout(self) -> Any:
        """Layout as plotly's object."""
        return self.plotly().layout

    def to_json(self) -> str:
        """Write what plotly.js reads.

        Numbers in arrays are written as bytes, and what is not a finite number as null.
        """
        if self.validate:
            self.plotly()
        whole = {"data": self.traces, "layout": self.settings}
        try:
            return _dumps(whole, allow_nan=False)
        except ValueError:  # a number is NaN or infinite: rare, so slower is fine
            return _dumps(json.loads(_dumps(whole), parse_constant=lambda _: None))


def _dumps(value: Any, *, allow_nan: bool = True) -> str:
    return json.dumps(value, default=_plain, separators=(",", ":"), allow_nan=allow_nan)


def _merged(into: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Change `into` by the entries of `new`; ``title_text`` means the text of the title."""
    for name, value in new.items():
        head, _, rest = name.partition("_")
        if rest and name not in _WHOLE:
            name, value = head, {rest: value}
        if value is None:
            into.pop(name, None)
            continue
        if name != "template" and isinstance(value, Mapping):
            before = into.get(name)
            value = _merged(dict(before) if isinstance(before, Mapping) else {}, value)
        into[name] = value
    return into


def _plain(value: Any) -> Any:
    """Convert what JSON cannot hold: arrays to plotly's compact form, numpy's numbers."""
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a figure holds arrays, numbers, text and None, got {type(value)!r}")
    array = _narrow(value)
    if array is None:
        return value.tolist()
    data = base64.b64encode(np.ascontiguousarray(array).data).decode("ascii")
    packed = {"dtype": f"{array.dtype.kind}{array.dtype.itemsize}", "bdata": data}
    if array.ndim > 1:
        packed["shape"] = ", ".join(map(str, array.shape))
    return packed


def _narrow(array: np.ndarray) -> np.ndarray | None:
    """Convert an array to a type that the browser has; None if there is none.

    Whole numbers take the smallest type that holds them.
    """
    if array.size == 0 or array.dtype.kind not in "iuf" or array.dtype == np.float16:
        return None
    if array.dtype.kind == "f":
        return array if array.dtype.itemsize <= 8 else array.astype(np.float64)
    low, high = array.min(), array.max()
    for kind in _WHOLE_NUMBERS:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return array.astype(kind)
    return None
