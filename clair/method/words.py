"""Kinds of evidence in words, and why each client was not simply kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clair.method.detection import FLAGGED, NOT_COMPARABLE, SUSPECT, Verdict, usual_score
from clair.method.evidence import MIN_CLIENTS

_LARGEST_RATIO = 9999.0


class Kind(NamedTuple):
    """A kind of evidence in words.

    Attributes
    ----------
    name, about : str
        Label on charts; a sentence that says what it measures.
    reason : str
        Why a client is flagged by it; ``{ratio}`` is its score over a typical client's.
    paper : bool
        Whether it is the paper's; all others are ours.
    """

    name: str
    about: str
    reason: str
    paper: bool = False


KINDS: dict[str, Kind] = {
    "outside": Kind(
        "outside",
        "how much of an update lies outside the directions that the other clients share",
        "what it sends outside the shared directions is {ratio} a typical client's",
    ),
    "directions": Kind(
        "strongest directions",
        "how much of its few strongest directions lies outside them, whatever their size",
        "its strongest directions lie outside the shared ones, {ratio} as far as a typical "
        "client's",
    ),
    "modules": Kind(
        "modules",
        "the same as outside, but a single module that deviates far counts more than all others",
        "it deviates in few modules, but there far more than the others ({ratio} a typical client)",
    ),
    "shape": Kind(
        "shape",
        "how heavy-tailed the entries of an update are (kurtosis), wherever it points",
        "its entries are heavier-tailed than the others' (kurtosis {ratio} a typical client's)",
    ),
    "structure": Kind(
        "structure",
        "how much more concentrated than noise is what it sends outside, where the others send "
        "noise",
        "what it sends outside is {ratio} as concentrated in a few directions as a typical "
        "client's, which is noise",
    ),
    "inside": Kind(
        "inside",
        "whether it points against the majority within the shared directions: yes or no",
        "its coefficients point against those of the majority (sign flip)",
    ),
    "norms": Kind(
        "contamination norm",
        "the size of the client's block of S, with the line in the widest gap: the rule as "
        "published",
        "its contamination norm is {ratio} a typical client's",
        paper=True,
    ),
    "threshold": Kind(
        "threshold",
        "whether the score is above the line that was set by hand",
        "its score is above the given threshold",
    ),
}


def reasons(verdict: Verdict, zero: np.ndarray | None = None) -> tuple[str, ...]:
    """Say why each client is not simply kept.

    Parameters
    ----------
    verdict : Verdict
    zero : ndarray of bool, shape (n_clients,), optional
        Clients whose update is zero in every module; none by default.

    Returns
    -------
    tuple of str
        A sentence without full stop for each client; "" if it is kept.
    """
    said = []
    usual = {kind.kind: usual_score(kind.scores, verdict.benign) for kind in verdict.evidence}
    for k, degree in enumerate(verdict.degrees):
        if degree == FLAGGED:
            said.append(_accusation(verdict, k, usual))
        elif degree == NOT_COMPARABLE and zero is not None and zero[k]:
            said.append("its update is zero, so there is nothing to compare")
        elif degree == NOT_COMPARABLE:
            said.append(_incomparable(len(verdict.benign)))
        elif degree == SUSPECT and verdict.noisy[k]:
            said.append("large outside the shared directions, but like noise: perhaps few data")
        elif degree == SUSPECT and verdict.influence[k] > 0:
            said.append(
                "outside the shared directions it repeats others, or is louder than usual there"
            )
        elif degree == SUSPECT:
            said.append("its score stands a little apart, too little to convict")
        else:
            said.append("")
    return tuple(said)


def _accusation(verdict: Verdict, k: int, usual: dict[str, float]) -> str:
    found = next(kind for kind in verdict.evidence if kind.flagged[k])
    ratio = found.scores[k] / usual[found.kind]
    most = f"more than {_LARGEST_RATIO:.0f} times"
    return KINDS[found.kind].reason.format(
        ratio=f"{ratio:.1f} times" if ratio <= _LARGEST_RATIO else most
    )


def _incomparable(n_clients: int) -> str:
    if n_clients < MIN_CLIENTS:
        return f"with fewer than {MIN_CLIENTS} clients it cannot be told who differs"
    return "too few other clients changed the modules that it changed"
