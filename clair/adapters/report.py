"""An audit as JSON, and as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clair.adapters.result import FLAGGED, KEPT, Audit, ClientReport, ModuleReport
from clair.adapters.writer import WrittenAdapter

FORMAT = 1


def audit_json(audit: Audit, written: Sequence[WrittenAdapter] = ()) -> dict[str, Any]:
    """Every number of an audit as JSON values; what is not a number there is null.

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
        "flagged": [client.name for client in audit.named(FLAGGED)],
        "kept": [client.name for client in audit.named(KEPT)],
        "clients": [_client(client) for client in audit.clients],
        "sides": {
            key: {
                "rank": side.rank,
                "threshold": _number(side.threshold),
                "margin": _number(side.margin),
                "shared_energy": _number(side.shared_energy),
                "flagged": [n for n, f in zip(names, side.flagged, strict=True) if f],
                "scores": _numbers(side.scores),
            }
            for key, side in audit.sides.items()
        },
        "judged_clients": names,
        "modules": [_module(module) for module in audit.modules],
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
    }


def _client(client: ClientReport) -> dict[str, Any]:
    return {
        "name": client.name,
        "verdict": client.verdict,
        "score": _number(client.score),
        "contamination_norm": _number(client.norm),
        "update_norm": _number(client.size),
        "rank": client.rank,
        "deviates_most_in": [
            {"module": name, "times_typical": _number(value)} for name, value in client.where
        ],
        "reasons": list(client.reasons),
        "notes": list(client.notes),
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
    """The verdict on every client as aligned text.

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
        f"{'client':<{name_width}}  {'verdict':<10}  {'score':>7}  {'norm':>8}  deviates most in"
    ]
    for client in audit.clients:
        name = client.name
        if len(name) > name_width:
            name = name[: name_width - 1] + "…"
        if client.verdict in (KEPT, FLAGGED):
            module, times = client.where[0] if client.where else ("", 0.0)
            tail = f"{module} ({min(times, 9999):.1f}x)" if module else ""
            numbers = f"{_short(client.score):>7}  {_short(client.norm):>8}"
        else:
            tail, numbers = "; ".join(client.reasons), f"{'–':>7}  {'–':>8}"
        mark = client.verdict.upper() if client.verdict == FLAGGED else client.verdict
        lines.append(f"{name:<{name_width}}  {mark:<10}  {numbers}  {tail}".rstrip())
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:.3f}" if 1e-3 <= abs(value) < 1000 or value == 0 else f"{value:.1e}"


def side_lines(audit: Audit) -> list[str]:
    """What both sides say, one line each."""
    lines = []
    for key, side in audit.sides.items():
        n = int(side.flagged.sum())
        margin = f", margin {min(side.margin, 9999):.2f}" if n else ""
        decides = " (decides)" if key == audit.side else ""
        lines.append(
            f"{key} side{decides}: rank {side.rank}, {side.shared_energy:.0%} of a kept update "
            f"is shared, {n} flagged{margin}"
        )
    return lines
