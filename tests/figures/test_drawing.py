"""A figure of ours is the one that plotly's own methods would make."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from clair.figures.drawing import Figure

TRACE: dict[str, Any] = {
    "x": np.arange(3),
    "y": np.array([0.5, np.nan, 2.0]),
    "customdata": np.array([["a", "b"]] * 3),
    "marker": {"color": "red", "line": {"width": 1}},
    "marker_size": 4,
    "text": None,
}


def fill(figure: Any) -> None:
    """Make the same calls on plotly's figure and on ours."""
    figure.update_layout(height=200, paper_bgcolor="white", legend={"y": 1, "font": {"size": 9}})
    figure.update_layout(legend={"x": 0}, legend_font_color="blue")
    figure.add_scatter(**TRACE)
    figure.add_bar(y=["<b>one</b>", "two"], x=[1.5, None])
    figure.add_heatmap(z=np.array([[1, 2], [300, 4]]), zmin=np.float64(0.5))
    figure.add_contour(z=np.ones((2, 2), dtype=np.float32))
    figure.add_shape(type="line", x0=0, x1=1, y0=2, y1=2, line={"width": np.int64(2)})
    figure.add_hline(y=1, line={"color": "red"})
    figure.add_vline(x=0.25, line={"dash": "dot"})
    figure.add_vrect(x0=0, x1=1, line_width=0, layer="below")
    figure.add_annotation(text="here", x=1, y=np.float32(0.5))
    figure.update_xaxes(title_text="x", range=[0, np.float64(1)])
    figure.update_xaxes(title={"standoff": 3}, showgrid=False)
    figure.update_yaxes(type="log", tickvals=np.array([1, 2]))


def read(text: str) -> Any:
    """Read JSON with arrays as lists of numbers, however they are written."""

    def unpacked(part: dict[str, Any]) -> Any:
        if "bdata" not in part:
            return part
        array = np.frombuffer(base64.b64decode(part["bdata"]), part["dtype"])
        if "shape" in part:
            array = array.reshape([int(n) for n in part["shape"].split(",")])
        return [None if value != value else value for value in array.tolist()]

    return json.loads(text, object_hook=unpacked)


def test_calls_give_what_they_give_in_plotly() -> None:
    ours, theirs = Figure(), go.Figure()
    fill(ours)
    fill(theirs)
    expected = json.loads(theirs.to_json())
    expected["layout"].pop("template")
    assert read(ours.to_json()) == read(json.dumps(expected))


def test_a_copy_is_changed_alone() -> None:
    figure = Figure(xaxis={"range": [0, 1]}, shapes=[{"type": "line", "x1": 1}])
    figure.add_scatter(x=[1], y=[2])
    before, other = figure.to_json(), figure.copy()
    assert other.to_json() == before
    other.settings["shapes"][0]["x1"] = 2
    other.update_xaxes(range=[0, 2])
    other.add_scatter(x=[None], y=[None])
    assert figure.to_json() == before


def test_numbers_that_json_has_not_become_null() -> None:
    figure = Figure()
    figure.add_scatter(x=[1.0, float("nan")], y=[float("inf"), 2.0])
    (trace,) = json.loads(figure.to_json(), parse_constant=pytest.fail)["data"]
    assert (trace["x"], trace["y"]) == ([1.0, None], [None, 2.0])


def test_tests_refuse_what_plotly_does_not_know() -> None:
    figure = Figure()
    figure.add_scatter(x=[1], y=[1], colour="red")
    with pytest.raises(ValueError, match="colour"):
        figure.to_json()
