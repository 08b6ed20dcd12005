"""An audit as JSON, and as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clair.adapters.result import (
    DEGREES,
    FLAGGED,
    KEPT,
    SUSPECT,
    Audit,
    ClientReport,
    ModuleReport,
)
from clair.adapters.writer import WrittenAdapter
from clair.method.evidence import Evidence
from clair.method.words import KINDS

FORMAT = 2
_LISTED = 6


def audit_json(audit: Audit, written: Sequence[WrittenAdapter] = ()) -> dict[str, Any]:
    """Convert every number of an audit to JSON values; NaN and infinity become null.

    Parameters
    ----------
    audit : Audit
    written : sequence of WrittenAdapter
    """
    names = [client.name for client in audit.judged_clients]
    return {
        "format": FORMAT,
        "sentence": audit.sentence(),
        "exit_code": audit.exit_code,
        "reason": audit.reason,
        "options": audit.options.to_json(),
        "base_model": audit.base_model,
        "side": audit.side,
        "rank": audit.rank,
        "lambda": _number(audit.lam),
        "solver_status": audit.status,
        "threshold": _number(audit.threshold),
        **{
            verdict.replace(" ", "_"): [client.name for client in audit.named(verdict)]
            for verdict in DEGREES
        },
        "clients": [_client(client) for client in audit.clients],
        "evidence": [
            _evidence(kind, names, kind is not audit.published) for kind in audit.evidence
        ],
        "sides": {
            key: {
                "rank": side.rank,
                "threshold": _number(side.threshold),
                "margin": _number(side.margin),
                "shared_energy": _number(side.shared_energy),
                "degrees": list(side.degrees),
                "flagged": [n for n, f in zip(names, side.flagged, strict=True) if f],
                "scores": _numbers(side.scores),
            }
            for key, side in audit.sides.items()
        },
        "judged_clients": names,
        "modules": [_module(module) for module in audit.modules],
        "modules_not_comparable": list(audit.unjudged_modules),
        "written": [
            {
                "name": entry.name,
                "rank": entry.rank,
                "truncation_error": _number(entry.truncation_error),
            }
            for entry in written
        ],
        "seconds": {key: round(value, 3) for key, value in audit.seconds.items()},
        "notes": list(audit.notes),
        "caveat": audit.caveat,
    }


def _client(client: ClientReport) -> dict[str, Any]:
    return {
        "name": client.name,
        "verdict": client.verdict,
        "score": _number(client.score),
        "margin": _number(client.margin),
        "influence": _number(client.influence),
        "contamination_norm": _number(client.norm),
        "update_norm": _number(client.size),
        "rank": client.rank,
        "deviates_most_in": [
            {"module": name, "times_typical": _number(value)} for name, value in client.where
        ],
        "reasons": list(client.reasons),
        "notes": list(client.notes),
    }


def _evidence(kind: Evidence, names: Sequence[str], decides: bool) -> dict[str, Any]:
    return {
        "kind": kind.kind,
        "measures": KINDS[kind.kind].about,
        "decides": decides,
        "scores": _numbers(kind.scores),
        "threshold": _number(kind.threshold),
        "above": [name for name, above in zip(names, kind.flagged, strict=True) if above],
    }


def _module(module: ModuleReport) -> dict[str, Any]:
    return {
        "name": module.name,
        "layer": module.layer,
        "kind": module.kind,
        "shape": list(module.shape),
        "n_clients": module.n_clients,
        "shared_energy": {key: _number(value) for key, value in module.shared_energy.items()},
        "suggested_rank": dict(module.suggested_rank),
        "deviation": _numbers(module.deviation),
    }


def _number(value: float) -> float | None:
    return float(f"{value:.8g}") if math.isfinite(value) else None


def _numbers(values: np.ndarray) -> list[float | None]:
    return [_number(float(value)) for value in values]


def verdict_table(audit: Audit, width: int = 100) -> str:
    """Write the verdict on every client as a table of aligned text.

    Parameters
    ----------
    audit : Audit
    width : int
        Columns of the terminal; long reasons continue on lines of their own.
    """
    if not audit.clients:
        return ""
    longest = max(len(client.name) for client in audit.clients)
    name_width = min(max(longest, len("client")), max(20, width // 3))
    lines = [
        f"{'client':<{name_width}}  {'verdict':<14}  {'score':>7}  {'margin':>6}  {'norm':>8}  "
        "why, or where it deviates most"
    ]
    for client in audit.ranked:
        name = client.name
        if len(name) > name_width:
            name = name[: name_width - 1] + "…"
        tail = "; ".join(client.reasons)
        if client.verdict == KEPT and client.where:
            module, times = client.where[0]
            tail = f"{module} ({min(times, 9999):.1f}x)"
        numbers = f"{_short(client.score):>7}  {_times(client.margin):>6}  {_short(client.norm):>8}"
        mark = client.verdict.upper() if client.verdict == FLAGGED else client.verdict
        lines.append(f"{name:<{name_width}}  {mark:<14}  {numbers}  {tail}".rstrip())
    return "\n".join(lines)


def evidence_lines(audit: Audit) -> list[str]:
    """Say what each kind of evidence found, one line per kind."""
    lines = []
    names = [client.name for client in audit.judged_clients]
    for kind in audit.evidence:
        title, measures = KINDS[kind.kind].name, KINDS[kind.kind].about
        above = [name for name, flagged in zip(names, kind.flagged, strict=True) if flagged]
        if kind is audit.published:
            title += ", which does not decide"
        if not above:
            lines.append(f"{title}: nobody above the line")
        else:
            who = f"{some(above)} above the line"
            lines.append(f"{title}: {who} ({measures})")
    return lines


def _times(value: float) -> str:
    return f"{min(value, 999.0):.2f}" if math.isfinite(value) else "–"


def _short(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if 1e-3 <= abs(value) < 1000 or value == 0 else f"{value:.1e}"


def client_notes(audit: Audit) -> list[str]:
    """List the notes on clients, each once, with the clients it is about."""
    found: dict[str, list[str]] = {}
    for client in audit.clients:
        for note in client.notes:
            found.setdefault(note, []).append(client.name)
    return [f"{some(names)}: {note}" for note, names in found.items()]


def some(names: Sequence[str]) -> str:
    """List a few names, and count the rest."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def side_lines(audit: Audit) -> list[str]:
    """Say what each side found, one line per side."""
    lines = []
    for key, side in audit.sides.items():
        n = int(side.flagged.sum())
        margin = f", margin {min(side.margin, 9999):.2f}" if math.isfinite(side.margin) else ""
        doubt = side.degrees.count(SUSPECT)
        suspect = f", {doubt} suspect" if doubt else ""
        decides = " (decides)" if key == audit.side else ""
        lines.append(
            f"{key} side{decides}: rank {side.rank}, {side.shared_energy:.0%} of a kept update "
            f"is shared, {n} flagged{suspect}{margin}"
        )
    return lines
