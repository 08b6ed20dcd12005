"""An audit as one HTML file that needs nothing else: verdict, tables, charts."""

from __future__ import annotations

import html
from collections.abc import Sequence

from clair.adapters.report import side_lines
from clair.adapters.result import FLAGGED, KEPT, Audit, ClientReport, ModuleReport
from clair.adapters.writer import WrittenAdapter
from clair.figures.adapters import (
    client_scores,
    deviation_map,
    layer_map,
    shared_energy,
    sides_compared,
)
from clair.figures.base import Chart
from clair.palette import PAPERS, role_style

_MAX_LAYER_MAPS = 6
_CONFIG = {"displayModeBar": False, "responsive": True}


def html_report(audit: Audit, written: Sequence[WrittenAdapter] = ()) -> str:
    """The whole report.

    Parameters
    ----------
    audit : Audit
    written : sequence of WrittenAdapter
        Refined adapters, if some were written.

    Returns
    -------
    str
        A page that asks no other file or host for anything; its one script is Plotly's.
    """
    parts = [f"<p class='lead'>{html.escape(audit.sentence())}</p>"]
    parts.append(_facts(audit))
    parts.append("<h2>Verdict by client</h2>")
    parts.append(_client_table(audit.clients))
    if not audit.reason:
        charts = [client_scores(audit, "light"), deviation_map(audit, "light")]
        flagged = [k for k, c in enumerate(audit.judged_clients) if c.verdict == FLAGGED]
        charts += [layer_map(audit, k, "light") for k in flagged[:_MAX_LAYER_MAPS]]
        parts.append(_charts(charts, first=True))
        parts.append("<h2>Modules, and both sides compared</h2>")
        parts += [f"<p>{html.escape(line)}</p>" for line in side_lines(audit)]
        compared = [shared_energy(audit, "light"), sides_compared(audit, "light")]
        parts.append(_charts(compared, first=False))
        parts.append(_module_table(audit))
    if written:
        parts.append("<h2>Refined adapters</h2>")
        rows = [[w.name, str(w.rank), f"{w.truncation_error:.2%}"] for w in written]
        parts.append(_table(["client", "rank", "truncation error"], rows, numeric=(1, 2)))
    notes = [*audit.notes, *(f"{c.name}: {note}" for c in audit.clients for note in c.notes)]
    if notes:
        parts.append("<h2>Notes</h2><ul>")
        parts += [f"<li>{html.escape(note)}</li>" for note in notes]
        parts.append("</ul>")
    return _page("\n".join(parts))


def _facts(audit: Audit) -> str:
    kept, flagged = len(audit.named(KEPT)), len(audit.named(FLAGGED))
    facts = [
        ("kept", str(kept)),
        ("flagged", str(flagged)),
        ("not judged", str(len(audit.clients) - kept - flagged)),
        ("modules", str(len(audit.modules))),
    ]
    if not audit.reason:
        facts += [("shared rank", str(audit.rank)), ("side", audit.side)]
    if audit.base_model:
        facts.append(("base model", audit.base_model))
    cells = "".join(f"<div><b>{html.escape(v)}</b><span>{k}</span></div>" for k, v in facts)
    return f"<div class='facts'>{cells}</div>"


def _client_table(clients: Sequence[ClientReport]) -> str:
    order = {FLAGGED: 0, KEPT: 2}
    rows = []
    for client in sorted(clients, key=lambda c: (order.get(c.verdict, 1), -_or_zero(c.score))):
        where = "; ".join(f"{name} ({min(t, 9999):.1f}×)" for name, t in client.where[:2])
        rows.append(
            [
                client.name,
                client.verdict,
                f"{client.score:.3g}" if client.score == client.score else "–",
                f"{client.norm:.3g}" if client.norm == client.norm else "–",
                str(client.rank or "–"),
                "; ".join(client.reasons) or where,
            ]
        )
    heads = ["client", "verdict", "score", "‖S‖", "rank", "why, or where it deviates most"]
    return _table(heads, rows, numeric=(2, 3, 4), mark=1)


def _or_zero(value: float) -> float:
    return value if value == value else 0.0


def _module_table(audit: Audit) -> str:
    names = [client.name for client in audit.judged_clients]
    flagged = [k for k, c in enumerate(audit.judged_clients) if c.verdict == FLAGGED]
    rows = [_module_row(module, names, flagged) for module in audit.modules]
    heads = [
        "module",
        "shape",
        "clients",
        "shared (output)",
        "shared (input)",
        "suggested rank (output, input)",
        "flagged client furthest off",
    ]
    return _table(heads, rows, numeric=(2, 3, 4))


def _module_row(module: ModuleReport, names: Sequence[str], flagged: Sequence[int]) -> list[str]:
    here = [(float(module.deviation[k]), names[k]) for k in flagged]
    here = [pair for pair in here if pair[0] == pair[0]]
    worst = max(here, default=None)
    return [
        module.name,
        f"{module.shape[0]} × {module.shape[1]}",
        str(module.n_clients),
        f"{module.shared_energy['output']:.0%}",
        f"{module.shared_energy['input']:.0%}",
        f"{module.suggested_rank['output']}, {module.suggested_rank['input']}",
        "" if worst is None else f"{worst[1]} ({min(worst[0], 9999):.1f}×)",
    ]


def _table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[int] = (),
    mark: int | None = None,
) -> str:
    def cell(index: int, text: str) -> str:
        kind = "num" if index in numeric else ""
        if index == mark and text in (KEPT, FLAGGED):
            kind = text
        return f"<td class='{kind}'>{html.escape(text)}</td>"

    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(cell(i, text) for i, text in enumerate(row))}</tr>" for row in rows
    )
    return f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>"


def _charts(charts: Sequence[Chart], *, first: bool) -> str:
    """Charts with their takeaways; only the report's first one brings Plotly along."""
    import plotly.io as pio

    parts = []
    for index, chart in enumerate(charts):
        figure = chart.figure
        figure.update_layout(paper_bgcolor=PAPERS["light"].background)
        drawn = pio.to_html(
            figure,
            include_plotlyjs="inline" if first and index == 0 else False,
            full_html=False,
            config=_CONFIG,
            default_width="100%",
        )
        caption = html.escape(chart.caption).replace("*other*", "<i>other</i>")
        parts.append(
            f"<figure aria-label='{html.escape(chart.alt, quote=True)}'>"
            f"<h3>{html.escape(chart.title)}</h3>{drawn}<figcaption>{caption}</figcaption></figure>"
        )
    return "\n".join(parts)


def _page(body: str) -> str:
    paper = PAPERS["light"]
    kept, flagged = role_style("benign", "light").color, role_style("contaminated", "light").color
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; font-src data:">
<title>CLAIR audit of LoRA adapters</title>
<style>
body {{ font: 16px/1.5 Inter, "Helvetica Neue", Arial, sans-serif; color: {paper.ink};
  background: {paper.background}; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }}
h1, h2, h3 {{ font-family: "Source Serif 4", Georgia, serif; line-height: 1.25; }}
h3 {{ font-size: 1.05rem; margin: 2rem 0 .3rem; }}
.lead {{ font-size: 1.2rem; font-weight: 600; }}
.facts {{ display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; }}
.facts b {{ display: block; font-size: 1.3rem; overflow-wrap: anywhere; }}
.facts span, figcaption {{ color: {paper.muted}; font-size: .9rem; }}
figure {{ margin: 0; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem; }}
th, td {{ text-align: left; padding: .35rem .7rem .35rem 0; vertical-align: top;
  border-bottom: 1px solid {paper.grid}; overflow-wrap: anywhere; }}
th {{ color: {paper.muted}; font-weight: 500; }}
.num {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
.flagged {{ color: {flagged}; font-weight: 700; white-space: nowrap; }}
.kept {{ color: {kept}; white-space: nowrap; }}
@media print {{ body {{ margin: 0; max-width: none; }} figure {{ break-inside: avoid; }} }}
</style>
</head>
<body>
<h1>CLAIR audit of LoRA adapters</h1>
{body}
</body>
</html>
"""
