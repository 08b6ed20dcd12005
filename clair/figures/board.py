"""Pictures of the board story as HTML: hospitals are houses, the poisoned one open and dashed."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable

from clair.board.limits import limit_texts
from clair.board.story import HOSPITALS, Story
from clair.board.words import Slide, hospital, pct
from clair.figures import board_bars
from clair.figures import board_parts as parts
from clair.figures.board_style import stylesheet
from clair.figures.palette import ThemeName
from clair.method.detection import FLAGGED, KEPT, SUSPECT


def slide_html(story: Story, slide: Slide, theme: ThemeName, *, stage: bool = False) -> str:
    """Write one slide with its stylesheet as HTML.

    Parameters
    ----------
    story : Story
    slide : Slide
    theme : {"light", "dark"}
    stage : bool
        In presenter mode: the slide fills the window and its headline is the page's title.
    """
    level = "h1" if stage else "h2"
    head = (
        f'<header><p class="topic">{parts.to_html(slide.topic)}</p>'
        f'<{level} class="headline">{parts.to_html(slide.headline)}</{level}></header>'
    )
    return f"{stylesheet(theme, stage=stage)}{_deck(story, slide, theme, head)}"


def slide_body(story: Story, slide: Slide, theme: ThemeName) -> str:
    """Write one slide without headline and stylesheet as HTML, for a report."""
    return _deck(story, slide, theme, "")


def _deck(story: Story, slide: Slide, theme: ThemeName, head: str) -> str:
    note = f'<p class="note">{parts.to_html(slide.note)}</p>' if slide.note else ""
    return (
        f'<div class="deck"><section class="slide" data-slide="{slide.key}">{head}'
        f"{PICTURES[slide.key](story, slide, theme)}{note}</section></div>"
    )


def _beside(slide: Slide, picture: str, alt: str) -> str:
    words = "".join(f"<p>{parts.to_html(paragraph)}</p>" for paragraph in slide.text)
    return (
        f'<div class="words">{words}</div>'
        f'<figure class="picture" role="img" aria-label="{html.escape(alt)}">{picture}</figure>'
    )


def _team(story: Story, slide: Slide, theme: ThemeName) -> str:
    picture = parts.flow(story, theme, "One common model", "sees the changes, never the records")
    return _beside(slide, picture, "Five houses, one of them poisoned, send to one common model.")


def _alone(story: Story, slide: Slide, theme: ThemeName) -> str:
    values = story.alone
    top = 1.25 * max(v for v in values if not math.isnan(v))
    fills = [[] if math.isnan(v) else [parts.Fill(0, v / top, "local")] for v in values]
    labels = ["not counted" if math.isnan(v) else pct(v) for v in values]
    rule = parts.rule(100 / top, "mean 100 %", story.poisoned)
    picture = parts.five(story, theme, parts.columns(fills, labels), parts.state(story), rule)
    groups = board_bars.alone(story)
    read = [f"{hospital(k)} {label}" for k, label in enumerate(labels)]
    alt = f"Error when training alone: {', '.join(read)}. {board_bars.read(groups)}."
    return _beside(slide, picture + parts.bars(groups), alt)


def _average(story: Story, slide: Slide, theme: ThemeName) -> str:
    groups = board_bars.average(story)
    picture = parts.flow(story, theme, "Plain average", "the same model for everybody")
    return _beside(slide, picture + parts.bars(groups), f"Error: {board_bars.read(groups)}.")


def _robust(story: Story, slide: Slide, theme: ThemeName) -> str:
    groups = board_bars.robust(story)
    return _beside(slide, parts.bars(groups), f"Error: {board_bars.read(groups)}.")


def _idea(story: Story, slide: Slide, theme: ThemeName) -> str:
    out = [v / 100 for v in story.outside]
    scale = 0.86
    fills = [
        [
            parts.Fill(0, scale * (1 - v), "shared"),
            parts.Fill(scale * (1 - v), scale * v, "outside"),
        ]
        for v in out
    ]
    picture = parts.five(
        story, theme, parts.columns(fills, [pct(100 * v) for v in out]), parts.state(story)
    ) + (
        '<div class="key"><span><i class="outside"></i>sticks out</span>'
        '<span><i class="shared"></i>lies in the directions they share</span></div>'
    )
    read = ", ".join(f"{hospital(k)} {pct(100 * v)}" for k, v in enumerate(out))
    return _beside(slide, picture, f"Share of each change that sticks out: {read}.")


_FILLS = {FLAGGED: "outside", SUSPECT: "suspect"}
_STATES = {
    FLAGGED: '<span class="state bad">✕ flagged</span>',
    SUSPECT: '<span class="state doubt">? suspect</span>',
    KEPT: '<span class="state good">✓ kept</span>',
}


def _verdict(story: Story, slide: Slide, theme: ThemeName) -> str:
    scores, line, degrees = story.main.scores, story.main.threshold, story.main.degrees
    top = 1.25 * max(*scores, line or 0.0)
    fills = [
        [parts.Fill(0, float(score) / top, _FILLS.get(degree, "benign"))]
        for score, degree in zip(scores, degrees, strict=True)
    ]
    state = [_STATES.get(degree, _STATES[KEPT]) for degree in degrees]
    rule = parts.rule(line / top, "the line", int(scores.argmin())) if line is not None else ""
    labels = [f"{score:.2f}" for score in scores]
    picture = parts.five(story, theme, parts.columns(fills, labels), state, rule)
    read = ", ".join(f"{hospital(k)} {labels[k]}, {degrees[k]}" for k in range(HOSPITALS))
    return _beside(slide, picture, f"Score of each hospital: {read}.")


def _gain(story: Story, slide: Slide, theme: ThemeName) -> str:
    groups = board_bars.gain(story)
    alt = f"Error of the honest hospitals: {board_bars.read(groups)}."
    return _beside(slide, parts.bars(groups), alt)


def _limits(story: Story, slide: Slide, theme: ThemeName) -> str:
    bad = [k == story.poisoned for k in range(HOSPITALS)]
    lean = (62, 78, 70, 66, 74)
    most = [k % 2 == 0 for k in range(HOSPITALS)]
    pictures = (
        parts.arrows([350 + 4 * k if most[k] else lean[k] for k in range(HOSPITALS)], most, theme),
        parts.arrows([lean[k] + 180 * bad[k] for k in range(HOSPITALS)], bad, theme),
        parts.arrows((70, 160, 15, 250, 320), [False] * HOSPITALS, theme),
    )
    tiles = "".join(
        f'<div>{picture}<p class="head">{parts.to_html(title)}</p>'
        f"<p>{parts.to_html(text)}</p></div>"
        for picture, (title, text) in zip(pictures, limit_texts(story), strict=True)
    )
    return f'<div class="three">{tiles}</div>'


def _sums(story: Story, slide: Slide, theme: ThemeName) -> str:
    rows = []
    for text in slide.text:
        number, rest = re.fullmatch(r"\*\*(.+?)\*\* (.+)", text).groups()  # type: ignore[union-attr]
        rows.append(f"<div><b>{parts.to_html(number)}</b><p>{parts.to_html(rest)}</p></div>")
    return f'<div class="sums">{"".join(rows)}</div>'


PICTURES: dict[str, Callable[[Story, Slide, ThemeName], str]] = {
    "team": _team,
    "alone": _alone,
    "average": _average,
    "robust": _robust,
    "idea": _idea,
    "verdict": _verdict,
    "gain": _gain,
    "limits": _limits,
    "remember": _sums,
    "takes": _sums,
    "yours": _sums,
}
