"""Parts of the board story's pictures: houses, bars, columns and arrows, as HTML."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from clair.board.story import HOSPITALS, Story
from clair.board.words import pct
from clair.figures.board_style import colors
from clair.figures.palette import ThemeName

_ROOF = "M4 27 L32 4 L60 27 V57 H4 Z"


class Bar(NamedTuple):
    """One horizontal bar: what it is, how long in per cent, and how it is filled."""

    label: str
    value: float
    fill: str
    remark: str = ""


class Fill(NamedTuple):
    """One part of a column, in shares of its height."""

    bottom: float
    height: float
    fill: str


_MARKS = ((r"\*\*(.+?)\*\*", "b"), (r"\*(.+?)\*", "i"), (r"`(.+?)`", "code"))


def to_html(text: str) -> str:
    """Write a paragraph with its bold, slanted and typed words as HTML."""
    told = html.escape(text, quote=False)
    for pattern, tag in _MARKS:
        told = re.sub(pattern, rf"<{tag}>\1</{tag}>", told)
    return told


def image(name: str, box: str, markup: str, theme: ThemeName, extra: str = "") -> str:
    """Write a drawing as an image with its colours.

    The page lets no inline SVG through, so style sheets do not reach the drawing.
    """
    for role, value in colors(theme).items():
        markup = markup.replace(f"var(--{role})", value)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"{extra}>{markup}</svg>'
    return f'<img class="{name}" alt="" src="data:image/svg+xml,{quote(svg)}">'


def house(poisoned: bool, theme: ThemeName) -> str:
    """Draw a hospital: filled with a cross, or open, dashed and crossed out."""
    if poisoned:
        shape = (
            f'<path d="{_ROOF}" fill="var(--bad-pale)" stroke="var(--bad)" stroke-width="4" '
            'stroke-dasharray="7 4"/><path d="M23 31 L41 49 M41 31 L23 49" stroke="var(--bad)" '
            'stroke-width="5.5" stroke-linecap="round"/>'
        )
    else:
        shape = (
            f'<path d="{_ROOF}" fill="var(--good)"/><path d="M32 28 V52 M20 40 H44" '
            'stroke="var(--paper)" stroke-width="6.5"/>'
        )
    return image("house", "0 0 64 61", shape, theme)


def five(
    story: Story, theme: ThemeName, above: Sequence[str], state: Sequence[str], extra: str = ""
) -> str:
    tiles = []
    for k in range(HOSPITALS):
        short = f'<span class="wide-only">Hospital </span>{k + 1}'
        tiles.append(
            f"<div>{above[k]}{house(k == story.poisoned, theme)}"
            f'<span class="name">{short}</span>{state[k]}</div>'
        )
    return f'<div class="five">{"".join(tiles)}{extra}</div>'


def state(story: Story, good: str = "honest", bad: str = "poisoned") -> list[str]:
    return [
        f'<span class="state bad">{bad}</span>'
        if k == story.poisoned
        else f'<span class="state">{good}</span>'
        for k in range(HOSPITALS)
    ]


def flow(story: Story, theme: ThemeName, hub: str, remark: str) -> str:
    """Draw five houses whose lines meet in one box."""
    lines = "".join(
        f'<line x1="{10 + 20 * k}" y1="0" x2="{46 + 2 * k}" y2="20" stroke-width="2" '
        'vector-effect="non-scaling-stroke" '
        + (
            'stroke="var(--bad)" stroke-dasharray="6 5"/>'
            if k == story.poisoned
            else 'stroke="var(--good)"/>'
        )
        for k in range(HOSPITALS)
    )
    return (
        "<div>"
        + five(story, theme, [""] * HOSPITALS, state(story))
        + image("links", "0 0 100 20", lines, theme, ' preserveAspectRatio="none"')
        + f'<div class="hub" style="width:fit-content">{hub}<small>{remark}</small></div></div>'
    )


def bars(groups: Iterable[tuple[str, Sequence[Bar]]]) -> str:
    """Draw horizontal bars in groups, with a dashed line where training alone stands."""
    groups = list(groups)
    longest = max(100.0, *(bar.value for _, bars in groups for bar in bars))
    mark = f'<span class="mark" style="left:{100 / longest:.2%}"></span>'
    parts = []
    for title, bars in groups:
        parts += [f'<span class="gap">{to_html(title)}</span>'] if title else []
        for bar in bars:
            width = f"{bar.value / longest:.2%}"
            # The mark would cross the number beside a bar of about 100.
            near = 60 < bar.value < 100.5
            at = f"{100 / longest:.2%}" if near else width
            remark = f"<small>{to_html(bar.remark)}</small>" if bar.remark else ""
            parts.append(
                f'<span class="label">{to_html(bar.label)}{remark}</span><span class="track">'
                f'<span class="fill {bar.fill}" style="width:{width}"></span>{mark}'
                f'<span class="value" style="left:{at}"><span>{pct(bar.value)}</span></span></span>'
            )
    return f'<div class="bars">{"".join(parts)}</div>'


def columns(
    fills: Sequence[Sequence[Fill]],
    values: Sequence[str],
) -> list[str]:
    columns = []
    for parts, value in zip(fills, values, strict=True):
        drawn = "".join(
            f'<span class="fill {part.fill}" style="bottom:{part.bottom:.2%};'
            f'height:{part.height:.2%}"></span>'
            for part in parts
        )
        top = max((part.bottom + part.height for part in parts), default=0.0)
        label = (
            f'<span class="value" style="bottom:{top:.2%}">{value}</span>'
            if parts
            else f'<span class="empty">{value}</span>'
        )
        columns.append(f'<div class="column">{drawn}{label}</div>')
    return columns


def rule(height: float, text: str, column: int) -> str:
    """Draw a dashed line over all columns at a share of their height, named above one of them."""
    top, left = f"calc({1 - height:.4f} * var(--tall))", f"{20 * column + 10}%"
    return f'<div class="rule" style="top:{top}"><span style="left:{left}">{text}</span></div>'


def arrows(angles: Sequence[float], bad: Sequence[bool], theme: ThemeName) -> str:
    """Draw what five hospitals send as arrows, those of poisoned ones dashed."""
    parts = []
    for k, (angle, wrong) in enumerate(zip(angles, bad, strict=True)):
        x, y = 24 + 43 * k, 34
        dx, dy = 18 * math.cos(math.radians(angle)), -18 * math.sin(math.radians(angle))
        color = "var(--bad)" if wrong else "var(--good)"
        tip = [
            (x + dx + 8 * math.cos(math.radians(-angle + turn)),
             y + dy + 8 * math.sin(math.radians(-angle + turn)))
            for turn in (150, -150)
        ]  # fmt: skip
        head = " L".join(f"{a:.1f} {b:.1f}" for a, b in (tip[0], (x + dx, y + dy), tip[1]))
        dash = ' stroke-dasharray="6 4"' if wrong else ""
        parts.append(
            f'<g fill="none" stroke="{color}" stroke-width="4" stroke-linecap="round">'
            f'<path d="M{x - dx:.1f} {y - dy:.1f} L{x + dx:.1f} {y + dy:.1f}"{dash}/>'
            f'<path d="M{head}"/></g>'
        )
    return image("arrows", "0 6 220 56", "".join(parts), theme)
