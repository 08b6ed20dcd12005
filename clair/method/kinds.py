"""The kinds of evidence in words, the published rule beside ours, and both as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clair.method.detection import SUSPECT
from clair.method.detectors import published_rule
from clair.method.evidence import Evidence
from clair.method.fit import ClairFit
from clair.method.metrics import client_numbers
from clair.method.solvers import joint_norms
from clair.method.updates import FactoredUpdates
from clair.method.words import KINDS


def published_evidence(fit: ClairFit) -> Evidence:
    """Judge a fit's contamination norms as the published detector does.

    Parameters
    ----------
    fit : ClairFit
        Made with any detector; the split does not depend on it.

    Returns
    -------
    Evidence
        As ``clair.fit(..., detector="norms")`` finds it.
    """
    for kind in fit.evidence:
        if kind.kind == "norms":
            return kind
    return published_rule(fit.contamination_norms, _typical_size(fit))


def _typical_size(fit: ClairFit) -> float:
    """Compute the median norm of what clients sent, which is the sum of the split's two parts."""
    shared, own = (
        list(part.values()) if isinstance(part, Mapping) else [part]
        for part in (fit.low_rank, fit.contamination)
    )
    sent = [_in_basis(one) + _in_basis(other) for one, other in zip(shared, own, strict=True)]
    return float(np.median(joint_norms(sent)))


def _in_basis(part: Any) -> np.ndarray:
    """Return an array of the same norms: both parts of a split have the same orthonormal bases."""
    return part.core if isinstance(part, FactoredUpdates) else np.asarray(part)


def all_evidence(fit: ClairFit) -> tuple[Evidence, ...]:
    """List every kind of evidence of a fit, the published rule last where it does not decide."""
    known = {kind.kind for kind in fit.evidence}
    return fit.evidence if "norms" in known else (*fit.evidence, published_evidence(fit))


def client_margins(evidence: Sequence[Evidence]) -> tuple[float | None, ...]:
    """Divide each client's score by the line: above 1 for clients above the line.

    Parameters
    ----------
    evidence : sequence of Evidence
        The kinds that decide.

    Returns
    -------
    tuple of float or None
        Of the first kind that flags the client, or else of the first kind that has a line; None
        where no line was drawn.
    """
    drawn = [kind for kind in evidence if 0 < kind.threshold < float("inf")]
    if not drawn:
        return (None,) * len(evidence[0].scores)
    kinds = [
        next((kind for kind in drawn if kind.flagged[k]), drawn[0])
        for k in range(len(drawn[0].scores))
    ]
    return tuple(float(kind.scores[k] / kind.threshold) for k, kind in enumerate(kinds))


def deciding(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Select the kinds that decide: the first, and all others but the published rule."""
    return tuple(kind for i, kind in enumerate(evidence) if i == 0 or kind.kind != "norms")


def ranked(degrees: Sequence[str], scores: np.ndarray, degree: str = SUSPECT) -> list[int]:
    """List the clients of one degree, the most suspicious first.

    Examples
    --------
    >>> ranked(["kept", "suspect", "suspect"], np.array([0.9, 0.3, 0.5]))
    [2, 1]
    """
    return sorted(
        (k for k, given in enumerate(degrees) if given == degree), key=lambda k: -scores[k]
    )


def evidence_json(evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Convert kinds of evidence to JSON values; clients are counted from 1."""
    return [
        {
            "kind": kind.kind,
            "ours": not KINDS[kind.kind].paper,
            "scores": [float(v) for v in kind.scores],
            "flagged": client_numbers(kind.flagged),
            "threshold": finite(kind.threshold),
            "margin": finite(kind.margin),
        }
        for kind in evidence
    ]


def evidence_of(payload: Sequence[Mapping[str, Any]]) -> tuple[Evidence, ...]:
    """Read what `evidence_json` wrote."""
    found = []
    for one in payload:
        flagged = np.zeros(len(one["scores"]), dtype=bool)
        flagged[np.asarray(one["flagged"], dtype=int) - 1] = True
        found.append(
            Evidence(
                one["kind"],
                np.asarray(one["scores"], dtype=float),
                flagged,
                float("inf") if one["threshold"] is None else one["threshold"],
                float("inf") if one["margin"] is None else one["margin"],
            )
        )
    return tuple(found)


def verdict_json(fit: ClairFit) -> dict[str, Any]:
    """Convert every client's degree, reason, influence and evidence to JSON values."""
    return {
        "degrees": list(fit.degrees),
        "reasons": list(fit.reasons),
        "influence": [float(v) for v in fit.influence],
        "margins": list(client_margins(fit.evidence)),
        "suspects": [k + 1 for k in ranked(fit.degrees, fit.scores)],
        "evidence": evidence_json(all_evidence(fit)),
    }


def finite(value: float) -> float | None:
    """Convert to a JSON value: None stands for NaN and infinity."""
    return float(value) if np.isfinite(value) else None
