"""The verdict in words and numbers, whatever it was found on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from clair.method.detection import FLAGGED, KEPT, NOT_COMPARABLE, SUSPECT
from clair.method.evidence import Evidence
from clair.method.kinds import client_margins, deciding, ranked
from clair.method.metrics import DetectionScores
from clair.methods import METHODS
from clair.report.blocks import Fact, OnScreen, Words
from clair.sentences import count

_LISTED = 8  # clients of one degree are listed, and the others only counted
_DEGREE_WORDS = {
    FLAGGED: "Flagged: keep their own update, and nobody learns from them",
    SUSPECT: "Suspect: refined, with little or no weight in what the others learn",
    NOT_COMPARABLE: "Not comparable: too few others changed what they changed",
}


def found_fact(scores: DetectionScores) -> Fact:
    """Say how many poisoned clients were found, and how many honest ones flagged or suspect."""
    beside = count(scores.false_alarms, "false alarm")
    if scores.suspects:  # short: the place is narrow
        beside = f"{scores.false_alarms} false, {scores.suspects} suspect"
    return Fact(
        f"{scores.n_correct} of {scores.n_contaminated}",
        "Poisoned found",
        beside,
        "A false alarm is an honest client that was flagged. A suspect is refined, but has "
        "little or no weight in what the others learn. Clients that send nothing but noise are "
        "suspects, up to ten times a typical residual, and do not count as found.",
    )


def method_words(keys: Iterable[str]) -> OnScreen:
    """Explain each method of a comparison in a sentence, in the order it is drawn."""
    drawn = [key for key in METHODS if key in set(keys)]
    lines = [f"* **{METHODS[key].label}**: {METHODS[key].description}" for key in drawn]
    alike = (
        "\n\nMean, median, trimmed mean and Krum's rules give everybody one and the same update. "
        "Where honest clients differ much, any one update is far from most of them, so these rows "
        "look alike."
    )
    return OnScreen((Words("What each row is\n" + "\n".join(lines) + alike, "fold"),))


def reasons_words(
    degrees: Sequence[str],
    reasons: Sequence[str],
    scores: np.ndarray,
    evidence: Sequence[Evidence],
) -> tuple[Words, ...]:
    """Explain why clients are flagged or suspect, the most suspicious first.

    Parameters
    ----------
    degrees, reasons : sequence of str
        Of every client.
    scores : ndarray of shape (n_clients,)
        The deciding one.
    evidence : sequence of Evidence
        All kinds, the published rule last where it does not decide.
    """
    if all(degree == KEPT for degree in degrees):
        return (Words("Nobody is flagged or suspect: everybody is kept."),)
    margins = client_margins(deciding(evidence))
    groups = []
    for degree, heading in _DEGREE_WORDS.items():
        clients = ranked(degrees, scores, degree)
        lines = [f"**{heading}**"]
        for k in clients[:_LISTED]:
            line = "" if margins[k] is None else f" ({margins[k]:.2f}× the line)"
            lines.append(f"* client {k + 1}{line}: {reasons[k]}")
        if len(clients) > _LISTED:
            lines.append(f"* and {len(clients) - _LISTED} more")
        if clients:
            groups.append(Words("\n".join(lines), "terms"))
    return tuple(groups)
