"""A report as one HTML file that needs nothing else: no host, no folder, no server."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from plotly.offline import get_plotlyjs

from clair._files import ASSETS, PLOTLY_JS
from clair.adapters.result import FLAGGED, KEPT
from clair.figures.base import Chart
from clair.figures.fonts import font_faces
from clair.report.blocks import (
    Block,
    Choice,
    Columns,
    Facts,
    Frame,
    Listing,
    Live,
    Markup,
    OnScreen,
    Pair,
    Parts,
    Player,
    Plot,
    Printed,
    Words,
)
from clair.report.document import Fact, Report, Setting, Verbatim
from clair.report.recipe import Recipe
from clair.report.tables import Table, shown

_HERE = Path(__file__).parent
_LONG = 28  # characters; a longer cell may be broken anywhere
_MANY = 60  # rows; a longer table is folded away


@cache
def plotly_script() -> str:
    """Read plotly.js: our smaller bundle, or Plotly's own where the assets are missing."""
    return PLOTLY_JS.read_text(encoding="utf-8") if PLOTLY_JS.is_file() else str(get_plotlyjs())


@cache
def _own_script() -> str:
    return (_HERE / "page.js").read_text(encoding="utf-8")


@cache
def _style() -> str:
    faces = font_faces("Inter", "Source Serif 4")
    return faces + (_HERE / "page.css").read_text(encoding="utf-8")


def to_html(report: Report) -> str:
    """Write the report as one HTML file.

    The security policy in the file's head allows no request and runs two scripts only, known by
    their hashes. A name from an upload could not run even if it were not escaped.
    """
    charts: list[Chart] = []
    body = "\n".join(_body(report, charts))
    scripts = [plotly_script(), _own_script()] if charts else []
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'; "
        f"script-src {' '.join(_hash(script) for script in scripts) or chr(39) + 'none' + chr(39)}"
    )
    data = f'<script type="application/json" id="charts">{_charts_json(charts)}</script>\n'
    code = "".join(f"<script>{script}</script>\n" for script in scripts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<title>{html.escape(report.title)}</title>
<style>
{_style()}
</style>
</head>
<body>
{body}
{data if charts else ""}{code}</body>
</html>
"""


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _charts_json(charts: Sequence[Chart]) -> str:
    text = "[" + ",".join(chart.figure.to_json() for chart in charts) + "]"
    # inside a script element only "<" could end it early; JSON knows the escaped form
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _body(report: Report, charts: list[Chart]) -> Iterator[str]:
    """Write everything that is seen; every chart that gets a place is added to `charts`."""
    mark = ASSETS / "icon.svg"
    icon = mark.read_text(encoding="utf-8") if mark.is_file() else ""
    yield f"<header><p class='from'>{icon}CLAIR Explorer, {html.escape(report.page)}</p>"
    yield f"<h1>{html.escape(report.title)}</h1>"
    yield f"<p class='lead'>{html.escape(report.sentence)}</p>"
    yield from _facts(report.facts)
    yield "</header>\n<main>"
    for section in report.sections:
        yield f"<section><h2>{html.escape(section.title)}</h2>"
        yield from _paragraphs(section.words)
        for block in (*section.charts, *section.tables, *section.blocks):
            yield from _block(block, charts)
        yield "</section>"
    yield from _scenario(report.screen.settings, report.screen.link)
    if report.method:
        yield "<section><h2>How it was computed</h2>"
        yield from _paragraphs(report.method)
        yield "</section>"
    if report.limits:
        yield "<section><h2>Where it does not hold</h2><ul>"
        yield from (f"<li>{rich(text)}</li>" for text in report.limits)
        yield "</ul></section>"
    yield from _recipe(report.recipe)
    yield "</main>"
    made = "; ".join(f"{html.escape(name)} {html.escape(what)}" for name, what in report.made_with)
    yield f"<footer><p>Made with {made}.</p></footer>"


def _facts(facts: Sequence[Fact]) -> Iterator[str]:
    if not facts:
        return
    yield "<dl class='facts'>"
    for fact in facts:
        note = f"<span>{html.escape(fact.note)}</span>" if fact.note else ""
        value = f"<dd><b>{html.escape(fact.value)}</b>{note}</dd>"
        yield f"<div><dt>{html.escape(fact.label)}</dt>{value}</div>"
    yield "</dl>"


def _block(block: Block, charts: list[Chart]) -> Iterator[str]:
    match block:
        case Words():
            yield from _words(block)
        case Listing():
            yield from _listing(block)
        case Facts():
            yield from _facts(block.facts)
        case Plot():
            yield from _block(block.chart("light"), charts)
        case Pair():
            for chart in block.charts("light"):
                yield from _block(chart, charts)
        case Chart():
            yield _figure(block, len(charts))
            charts.append(block)
        case Table():
            yield _table(block)
        case Markup():
            yield block.make(*block.args, "light", **block.settings)
        case Columns():
            yield from _blocks(block.columns, charts)
        case Choice():
            yield from _blocks(block.options.values(), charts)
        case Parts():
            yield from _blocks(block.parts.values(), charts)
        case Frame() | Printed():
            yield from _blocks([block.blocks], charts)
        case Live() | OnScreen() | Player():
            return


def _words(words: Words) -> Iterator[str]:
    """Write paragraphs, headings and lists; a list is lines that begin with a star."""
    if words.look == "heading":
        yield f"<h3>{rich(words.text)}</h3>"
        return
    lines = words.text.strip().splitlines()
    points = [line.removeprefix("* ") for line in lines if line.startswith("* ")]
    rest = " ".join(line for line in lines if not line.startswith("* "))
    if rest:
        yield f"<p{' class=note' * (words.look == 'caption')}>{rich(rest)}</p>"
    if points:
        yield f"<ul>{''.join(f'<li>{rich(point)}</li>' for point in points)}</ul>"


def _listing(listing: Listing) -> Iterator[str]:
    if listing.title:
        yield f"<p>{html.escape(listing.title)}:</p>"
    lines = (
        f"<li>{f'<strong>{html.escape(name)}</strong>' * bool(name)}{html.escape(text)}</li>"
        for name, text in listing.lines
    )
    yield f"<ul>{''.join(lines)}</ul>"


def _blocks(groups: Iterable[Sequence[Block]], charts: list[Chart]) -> Iterator[str]:
    for group in groups:
        for block in group:
            yield from _block(block, charts)


def _figure(chart: Chart, index: int) -> str:
    alt = html.escape(chart.alt, quote=True)
    caption = f"<figcaption>{rich(chart.caption)}</figcaption>" if chart.caption else ""
    return (
        f"<figure><h3>{html.escape(chart.title)}</h3>"
        f"<div class='plot' id='chart-{index}' role='img' aria-label=\"{alt}\"></div>"
        f"<noscript><p>{html.escape(chart.alt)}</p></noscript>{caption}</figure>"
    )


def _paragraphs(texts: Sequence[str]) -> Iterator[str]:
    yield from (f"<p>{rich(text)}</p>" for text in texts)


def _table(content: Table) -> str:
    columns = list(zip(*content.rows, strict=True))
    numeric = [any(type(cell) in (int, float) for cell in column) for column in columns]
    numeric = numeric or [False] * len(content.columns)
    texts = zip(*(shown(column) for column in columns), strict=True)
    head = "".join(
        f"<th scope='col'{_class(right)}>{html.escape(text)}</th>"
        for text, right in zip(content.heads, numeric, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(_cell(i, text, numeric[i]) for i, text in enumerate(row))}</tr>"
        for row in texts
    )
    label = html.escape(content.title, quote=True)
    note = f"<p class='note'>{rich(content.caption)}</p>" if content.caption else ""
    drawn = (
        f'<div class="wide" tabindex="0" role="region" aria-label="{label}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}"
    )
    if len(content.rows) > _MANY:
        rows = f"All {len(content.rows)} rows; the CSV file of the page holds them too"
        drawn = f"<details><summary>{rows}</summary>{drawn}</details>"
    return f"<h3>{label}</h3>{drawn}"


def _class(right: bool, text: str = "") -> str:
    kind = text if text in (KEPT, FLAGGED) else "num" if right else ""
    return f" class='{kind}'" if kind else ""


def _cell(index: int, text: str, right: bool) -> str:
    safe = html.escape(text).replace(" × ", "&nbsp;×&nbsp;")
    if len(text) > _LONG:
        safe = f"<span class='long'>{safe}</span>"
    if index == 0:
        return f"<th scope='row'{_class(right)}>{safe}</th>"
    return f"<td{_class(right, text)}>{safe}</td>"


def _scenario(settings: Sequence[Setting], link: str) -> Iterator[str]:
    if not settings and not link:
        return
    yield "<section><h2>The scenario</h2>"
    if any(setting.changed for setting in settings):
        yield (
            "<p>Settings in bold with a mark differ from those the page opens with.</p>"
            if any(not setting.changed for setting in settings)
            else ""
        )
    groups = dict.fromkeys(setting.group for setting in settings)
    yield "<div class='settings'>"
    for group in groups:
        yield f"<div class='group'>{f'<h3>{html.escape(group)}</h3>' if group else ''}<dl>"
        for one in settings:
            if one.group == group:
                kind = " class='changed'" if one.changed else ""
                yield (
                    f"<div{kind}><dt>{html.escape(one.label)}</dt>"
                    f"<dd>{html.escape(one.value)}</dd></div>"
                )
        yield "</dl></div>"
    yield "</div>"
    if link:
        text = html.escape(link)
        target = f'<a href="{html.escape(link, quote=True)}">{text}</a>'
        yield (
            f"<p class='link'>Open it again: {target if _is_address(link) else text}"
            + ("" if _is_address(link) else " (added to the address of the app)")
            + "</p>"
        )
    yield "</section>"


def _is_address(link: str) -> bool:
    return link.startswith(("http://", "https://"))


def _recipe(recipe: Recipe) -> Iterator[str]:
    yield "<section><h2>Reproduce this</h2>"
    yield "<p>Only settings that differ from the defaults are written out.</p>"
    yield f"<h3>In Python</h3><pre><code>{html.escape(recipe.python)}</code></pre>"
    if recipe.command:
        lines = "\n".join(
            " ".join(f"<span class='word'>{html.escape(word)}</span>" for word in line.split(" "))
            for line in recipe.command.split("\n")
        )
        yield f"<h3>On the command line</h3><pre><code>{lines}</code></pre>"
    if recipe.note:
        yield f"<p class='note'>{rich(recipe.note)}</p>"
    yield "</section>"


_CODE = re.compile(r"`([^`\n]+)`")
_STRONG = re.compile(r"\*\*([^*\n]+)\*\*")
_EMPHASIS = re.compile(r"\*([^*\n]+)\*")


def rich(text: str) -> str:
    """Turn the few marks of our own texts into HTML; everything else is escaped first.

    Examples
    --------
    >>> rich("the *other* clients, a < b, `x * y * z`")
    'the <em>other</em> clients, a &lt; b, <code>x * y * z</code>'
    """
    if isinstance(text, Verbatim):
        return html.escape(text, quote=False)
    parts = _CODE.split(html.escape(text, quote=False))
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = f"<code>{part}</code>"
        else:
            marked = _STRONG.sub(r"<strong>\1</strong>", part)
            parts[place] = _EMPHASIS.sub(r"<em>\1</em>", marked)
    return "".join(parts)
