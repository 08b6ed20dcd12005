"""The board story's pictures as charts, for a report: the numbers of the slides on plain axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from clair.board.story import Story
from clair.board.words import hospital, pct
from clair.figures import board_bars
from clair.figures.base import Chart, new_figure
from clair.figures.board_parts import Bar
from clair.figures.board_style import colors
from clair.figures.palette import PAPERS, ThemeName

_ROW = 34  # pixels of a bar
_VERDICT_FILL = {"flagged": "outside", "suspect": "suspect"}
_COLOR = {
    "honest": "fedavg",
    "outside": "bad",
    "shared": "clair",
    "benign": "good",
    "suspect": "doubt",
}
_HATCHED = ("honest", "outside", "suspect")
_OPEN = ("base",)
_ERROR = "error, training alone = 100 %"
_CAPTION = (
    "Shorter is better. The dashed line is where training alone stands: beyond it, joining forces "
    "did harm."
)


def slide_charts(story: Story, key: str, theme: ThemeName) -> tuple[Chart, ...]:
    """Draw the charts of a slide; none if it has no numbers to draw.

    Parameters
    ----------
    story : Story
    key : str
        Of the slide.
    theme : {"light", "dark"}
    """
    return CHARTS[key](story, theme) if key in CHARTS else ()


def _alone(story: Story, theme: ThemeName) -> tuple[Chart, ...]:
    values = story.alone
    each = [
        Bar(hospital(k), 0.0 if math.isnan(v) else float(v), "local") for k, v in enumerate(values)
    ]
    said = ["not counted" if math.isnan(v) else pct(v) for v in values]
    groups = board_bars.alone(story)
    both = [bar for _, bars in groups for bar in bars]
    read = [f"{bar.label} {text}" for bar, text in zip(each, said, strict=True)]
    figure = _figure([*each, *both], [*said, *(pct(bar.value) for bar in both)], theme, 100.0)
    return (
        Chart(
            figure,
            "What each hospital reaches alone",
            f"{_CAPTION} The poisoned hospital is left out: nobody asks how well it serves itself.",
            f"Error: {', '.join(read)}, {board_bars.read(groups)}.",
        ),
    )


def _errors(title: str, make: Callable[[Story], tuple[board_bars.Group, ...]]) -> Any:
    def draw(story: Story, theme: ThemeName) -> tuple[Chart, ...]:
        longest = max(bar.value for _, bars in make(story) for bar in bars)
        return tuple(
            Chart(
                _figure(bars, [pct(bar.value) for bar in bars], theme, 100.0, high=longest),
                group or title,
                _CAPTION,
                f"Error: {board_bars.read(((group, bars),))}.",
            )
            for group, bars in make(story)
        )

    return draw


def _idea(story: Story, theme: ThemeName) -> tuple[Chart, ...]:
    out = [float(v) for v in story.outside]
    rows = [Bar(hospital(k), v, "outside") for k, v in enumerate(out)]
    figure = _figure(
        rows, [pct(v) for v in out], theme, None, "share of the change, in per cent", high=100
    )
    read = ", ".join(f"{bar.label} {pct(bar.value)}" for bar in rows)
    return (
        Chart(
            figure,
            "How much of each change sticks out",
            "What is missing from 100 % lies in the directions that all share.",
            f"Share of each change outside the shared directions: {read}.",
        ),
    )


def _verdict(story: Story, theme: ThemeName) -> tuple[Chart, ...]:
    degrees, line = story.main.degrees, story.main.threshold
    rows = [
        Bar(hospital(k), float(score), _VERDICT_FILL.get(degrees[k], "benign"))
        for k, score in enumerate(story.main.scores)
    ]
    labels = [f"{b.value:.2f}, {degrees[k]}" for k, b in enumerate(rows)]
    read = ", ".join(f"{bar.label} {text}" for bar, text in zip(rows, labels, strict=True))
    drawn = "there is no line" if line is None else f"the line is at {line:.2f}"
    return (
        Chart(
            _figure(rows, labels, theme, line, "score"),
            "How far each hospital stands outside of what the others share",
            f"Hospitals beyond the dashed line are flagged; {drawn}.",
            f"Score of each hospital: {read}; {drawn}.",
        ),
    )


def _figure(
    rows: Sequence[Bar],
    labels: Sequence[str],
    theme: ThemeName,
    line: float | None,
    axis: str = _ERROR,
    high: float | None = None,
) -> Any:
    """Draw horizontal bars from top to bottom with their numbers, and a dashed line across them."""
    paper, color = PAPERS[theme], colors(theme)
    room = 12 + 7 * max(len(label) for label in labels)
    figure = new_figure(
        theme, _ROW * len(rows) + 62, margin={"l": 8, "r": room, "t": 8, "b": 46}, bargap=0.3
    )
    fills = [color[_COLOR.get(bar.fill, bar.fill)] for bar in rows]
    drawn = list(zip(rows, fills, strict=True))
    figure.add_bar(
        orientation="h",
        x=[bar.value for bar in rows],
        y=[-k for k in range(len(rows))],
        marker={
            "color": [paper.background if bar.fill in _OPEN else fill for bar, fill in drawn],
            "pattern": {
                "shape": ["/" if bar.fill in _HATCHED else "" for bar in rows],
                "fgcolor": fills,
                "bgcolor": paper.background,
            },
            "line": {"color": fills, "width": 1.5},
        },
        hoverinfo="skip",
        showlegend=False,
    )
    # Numbers stand at the right edge, where no line crosses them.
    figure.update_layout(
        annotations=[
            {
                "text": label,
                "x": 1.0,
                "xref": "paper",
                "xanchor": "left",
                "xshift": 8,
                "y": -k,
                "showarrow": False,
                "font": {"size": 13, "color": paper.ink},
            }
            for k, label in enumerate(labels)
        ]
    )
    longest = max(*(bar.value for bar in rows), line or 0.0, high or 0.0)
    figure.update_xaxes(range=[0, 1.04 * longest], title_text=axis)
    figure.update_yaxes(
        tickvals=[-k for k in range(len(rows))],
        ticktext=[bar.label for bar in rows],
        tickfont={"color": paper.ink, "size": 13},
        showgrid=False,
    )
    if line is not None:
        dashed = {"color": paper.ink, "width": 2, "dash": "dash"}
        figure.add_shape(type="line", x0=line, x1=line, y0=0, y1=1, yref="y domain", line=dashed)
    return figure


#: How the slides with numbers are drawn.
CHARTS: dict[str, Callable[[Story, ThemeName], tuple[Chart, ...]]] = {
    "alone": _alone,
    "average": _errors("What the plain average does", board_bars.average),
    "robust": _errors("What cautious averages do", board_bars.robust),
    "idea": _idea,
    "verdict": _verdict,
    "gain": _errors("What CLAIR does", board_bars.gain),
}
