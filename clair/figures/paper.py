"""Sweeps as vector graphics for a paper: letters embedded, a caption with all settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from clair.figures.fonts import font_faces
from clair.figures.palette import mixed, role_style
from clair.simulation.sweeps.axes import AXIS_TITLES, Axis
from clair.simulation.sweeps.grid import SweepResult
from clair.simulation.sweeps.summary import LEVEL, mean_interval

#: A drawing is as wide as the text of a page, in millimetres, and 3.2 units a millimetre.
WIDTH_MM, SCALE = 170, 3.2
WIDTH = WIDTH_MM * SCALE
_TYPE, _SMALL = 10.5, 9.0
# Widths of a letter relative to its size: on average, and surely enough for a line of text.
_LETTER, _LINE = 0.56, 0.53
_PAPER, _EMPTY = "#ffffff", "#d9d9d9"
_TICKS = 10
_ROTATED_FROM = 7


@dataclass
class _Drawing:
    """Parts of a drawing as they are added, in units from its upper left corner."""

    parts: list[str] = field(default_factory=list)

    def add(self, tag: str, **attributes: object) -> None:
        """Add an element without content."""
        self.parts.append(f"<{tag}{_attributes(attributes)}/>")

    def text(self, words: str, x: float, y: float, **attributes: object) -> None:
        """Add words."""
        self.parts.append(
            f"<text{_attributes({'x': x, 'y': y, **attributes})}>{escape(words)}</text>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, **look: object) -> None:
        """Add a straight line."""
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, **{"stroke": "currentColor", **look})

    def svg(self, height: float, title: str, caption: str) -> str:
        """Write the file."""
        style = (
            font_faces("Inter")
            + f'text{{font-family:"Inter",Helvetica,Arial,sans-serif;font-size:{_TYPE}px;'
            "fill:currentColor}.small{font-size:" + f"{_SMALL}px" + "}"
        )
        size = f'width="{WIDTH_MM}mm" height="{_number(height / SCALE)}mm"'
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'viewBox="0 0 {_number(WIDTH)} {_number(height)}" role="img" color="#000000">\n'
            f"<title>{escape(title)}</title>\n<desc>{escape(caption)}</desc>\n"
            f"<style>{style}</style>\n"
            f'<rect width="100%" height="100%" fill="{_PAPER}"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _attributes(attributes: dict[str, object]) -> str:
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
    )


@dataclass(frozen=True)
class _Frame:
    """The rectangle that data are drawn in."""

    left: float
    top: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.left + self.width


def heat_map_svg(
    values: np.ndarray,
    axes: tuple[Axis, Axis],
    title: str,
    caption: str,
    *,
    share: bool = True,
    beyond: np.ndarray | None = None,
) -> str:
    """Draw a phase diagram as an SVG file.

    Parameters
    ----------
    values : ndarray of shape (rows, columns)
        NaN where there is nothing.
    axes : pair of Axis
        Across and upwards.
    title : str
        What the colours are, beside their bar.
    caption : str
    share : bool
        Whether values are shares in [0, 1]; else the colours reach from 0 to the largest.
    beyond : ndarray of bool of the same shape, optional
        On which side of theory's boundary each cell lies.
    """
    rows, columns = values.shape
    x, y = axes
    label = max(len(text) for text in y.texts) * _SMALL * _LETTER
    frame = _Frame(30 + label, 12, WIDTH - 30 - label - 92, min(340.0, 34.0 * rows + 40))
    drawing = _Drawing()
    top = 1.0 if share else float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    step_x, step_y = frame.width / columns, frame.height / rows
    for row, column in np.ndindex(rows, columns):
        value = float(values[row, column])
        drawing.add(
            "rect",
            x=frame.left + column * step_x,
            y=frame.bottom - (row + 1) * step_y,
            width=step_x,
            height=step_y,
            fill=_EMPTY if np.isnan(value) else _color(value / top if top else 0.0),
            shape_rendering="crispEdges",  # no lines of paper between cells
        )
    if np.isnan(values).any():
        caption += " Grey: no such problem."
    if beyond is not None:
        _add_edges(drawing, beyond, frame, np.isnan(values))
    _add_frame(drawing, frame)
    below = _across(drawing, frame, x)
    _upwards(drawing, frame, y)
    _add_bar(drawing, frame, title, top, share)
    if beyond is not None:
        below += 4
        drawing.line(frame.left, below - 3, frame.left + 26, below - 3, **_BOUNDARY)
        drawing.text(
            "boundary predicted without simulation", frame.left + 32, below, class_="small"
        )
        below += 6
    return drawing.svg(_add_caption(drawing, caption, below + 16), title, caption)


def curve_svg(result: SweepResult, name: str, title: str, caption: str) -> str:
    """Draw the means of a measure along the one axis of a sweep, with intervals, as an SVG file.

    Parameters
    ----------
    result : SweepResult
        Of one axis.
    name : str
        A measure or method that was measured.
    title : str
        What is drawn, beside the axis.
    caption : str
    """
    axis, drawing = result.config.along[0], _Drawing()
    found = np.array([mean_interval(one, name) for one in result.of_measure(name)])
    top = 1.0 if name not in result.config.methods and name != "false_alarms" else 0.0
    top = max(top, float(np.nanmax(found)) * 1.05 if np.isfinite(found).any() else 1.0) or 1.0
    frame = _Frame(64, 12, WIDTH - 84, 250)
    step = frame.width / len(axis.values)
    power = 10.0 ** np.floor(np.log10(top / 5))
    tick_step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= top / 5)
    for tick in np.arange(0, top * 1.0001, tick_step):
        at = frame.bottom - tick / top * frame.height
        drawing.line(frame.left, at, frame.right, at, stroke="#dddddd", stroke_width=0.6)
        drawing.text(f"{tick:.3g}", frame.left - 6, at + 3, text_anchor="end", class_="small")
    color = role_style("recovered", "light").color
    places = [
        [frame.left + (i + 0.5) * step, *(frame.bottom - v / top * frame.height for v in one)]
        for i, one in enumerate(found)
    ]
    known = [place for place in places if np.isfinite(place[1])]
    line = " ".join(f"{_number(x)},{_number(y)}" for x, y, *_ in known)
    drawing.add("polyline", points=line, fill="none", stroke=color, stroke_width=1.6)
    for x, mean, low, high in known:
        if np.isfinite(low):
            floor = min(low, frame.bottom)
            drawing.line(x, floor, x, high, stroke=color, stroke_width=1.2)
            for end in (floor, high):
                drawing.line(x - 3, end, x + 3, end, stroke=color, stroke_width=1.2)
        drawing.add("circle", cx=x, cy=mean, r=2.6, fill=color)
    _add_frame(drawing, frame)
    below = _across(drawing, frame, axis)
    _turned(drawing, title, 16, frame.top + frame.height / 2)
    more = f" Bars: intervals of the mean, {LEVEL:.0%}."
    return drawing.svg(_add_caption(drawing, caption + more, below + 16), title, caption)


_BOUNDARY: dict[str, object] = {
    "stroke": "#000000",
    "stroke_width": 1.8,
    "stroke_linecap": "square",
}


def _color(share: float) -> str:
    """Choose the colour of a value: white, then ever greener."""
    return mixed(_PAPER, role_style("recovered", "light").color, float(np.clip(share, 0, 1)))


def _add_frame(drawing: _Drawing, frame: _Frame) -> None:
    drawing.add(
        "rect",
        x=frame.left,
        y=frame.top,
        width=frame.width,
        height=frame.height,
        fill="none",
        stroke="currentColor",
        stroke_width=0.8,
    )


def _shown(texts: Sequence[str]) -> range:
    """Choose which of the values get a label."""
    return range(0, len(texts), max(1, -(-len(texts) // _TICKS)))


def _across(drawing: _Drawing, frame: _Frame, axis: Axis) -> float:
    """Draw the axis below; return where the next thing may stand."""
    texts, step = axis.texts, frame.width / len(axis.values)
    turned = max(map(len, texts)) >= _ROTATED_FROM and len(texts) > 3
    for index in _shown(texts) if axis.numeric else range(len(texts)):
        at = frame.left + (index + 0.5) * step
        drawing.line(at, frame.bottom, at, frame.bottom + 4, stroke_width=0.8)
        look: dict[str, object] = {"class_": "small", "text_anchor": "middle"}
        if turned:
            where = f"{_number(at + 3)} {_number(frame.bottom + 14)}"
            look |= {"text_anchor": "end", "transform": f"rotate(-35 {where})"}
        drawing.text(texts[index], at + 3 * turned, frame.bottom + 14, **look)
    deep = max(map(len, texts)) * _SMALL * _LETTER * 0.6 if turned else 0
    below = frame.bottom + 32 + deep
    title = AXIS_TITLES[axis.name][0]
    drawing.text(title, frame.left + frame.width / 2, below, text_anchor="middle")
    return below + 14


def _upwards(drawing: _Drawing, frame: _Frame, axis: Axis) -> None:
    texts, step = axis.texts, frame.height / len(axis.values)
    for index in _shown(texts) if axis.numeric else range(len(texts)):
        at = frame.bottom - (index + 0.5) * step
        drawing.line(frame.left - 4, at, frame.left, at, stroke_width=0.8)
        drawing.text(texts[index], frame.left - 6, at + 3, text_anchor="end", class_="small")
    _turned(drawing, AXIS_TITLES[axis.name][0], 14, frame.top + frame.height / 2)


def _turned(drawing: _Drawing, words: str, x: float, y: float) -> None:
    turn = f"rotate(-90 {_number(x)} {_number(y)})"
    drawing.text(words, x, y, text_anchor="middle", transform=turn)


def _add_bar(drawing: _Drawing, frame: _Frame, title: str, top: float, share: bool) -> None:
    """Draw the bar that says what the colours are."""
    left, n, high = frame.right + 18, 50, min(frame.height, 200.0)
    for i in range(n):
        at = frame.top + high * (n - 1 - i) / n
        drawing.add(
            "rect", x=left, y=at, width=12, height=high / n + 0.3, fill=_color((i + 0.5) / n)
        )
    bar = _Frame(left, frame.top, 12, high)
    _add_frame(drawing, bar)
    for tick in np.linspace(0, 1, 5):
        at = bar.bottom - tick * high
        drawing.line(bar.right, at, bar.right + 3, at, stroke_width=0.8)
        text = f"{tick:.0%}" if share else f"{tick * top:.3g}"
        drawing.text(text, bar.right + 6, at + 3, class_="small")
    _turned(drawing, title, WIDTH - 10, frame.top + max(high / 2, 2.5 * len(title)))


def _add_edges(drawing: _Drawing, beyond: np.ndarray, frame: _Frame, unknown: np.ndarray) -> None:
    """Draw the edges between cells on different sides of a boundary."""
    rows, columns = beyond.shape
    step_x, step_y = frame.width / columns, frame.height / rows
    path = []
    for row in range(rows):
        for column in range(columns):
            x, y = frame.left + column * step_x, frame.bottom - row * step_y
            here = row, column
            for there, end in (
                ((row, column + 1), (x + step_x, y, x + step_x, y - step_y)),
                ((row + 1, column), (x, y - step_y, x + step_x, y - step_y)),
            ):
                inside = there[0] < rows and there[1] < columns
                if not inside or unknown[here] or unknown[there] or beyond[here] == beyond[there]:
                    continue
                x1, y1, x2, y2 = map(_number, end)
                path.append(f"M{x1} {y1}L{x2} {y2}")
    drawing.add("path", d="".join(path), fill="none", **_BOUNDARY)


def _add_caption(drawing: _Drawing, caption: str, top: float) -> float:
    """Write the caption in lines; return the height of the whole."""
    most, lines = int((WIDTH - 24) / (_SMALL * _LINE)), [""]
    for word in caption.split():
        if len(lines[-1]) + len(word) + 1 > most:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    for number, line in enumerate(lines):
        drawing.text(line, 12, top + 13 * number, class_="small")
    return top + 13 * len(lines)
