"""Detectors that draw the final line, behind the names that `fit` takes.

Another one is a frozen dataclass with the fields of these, `label`, `scale_free` and `judge`, in a
file of its own, and a line in `clair.method.choices`. Commands and controls list it by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from clair.method.concentration import SCORE_FLOOR
from clair.method.detection import Verdict, simple_verdict
from clair.method.evidence import Evidence, gap_rule, threshold_rule

#: Gap of the published detector: the widest gap between norms, looked for once.
NORMS_GAP = (1.10, 1.15)


class Detector(Protocol):
    """A rule that judges the clients.

    Attributes
    ----------
    label : str
        Its name on a control.
    scale_free : bool
        Whether its scores stay the same if all updates are multiplied by a number.
    """

    label: ClassVar[str]
    scale_free: ClassVar[bool]

    def __init__(self, gap: tuple[float, float] | str, threshold: float | str) -> None:
        """Take the keywords of `fit` of these names."""

    def judge(self, pilot: Verdict, norms: np.ndarray, typical: float) -> Verdict:
        """Judge every client.

        Parameters
        ----------
        pilot : Verdict
            Of the residual detector, which runs first in any case: lambda and the rank rest on it.
        norms : ndarray of shape (n_clients,)
            Contamination norms of the split.
        typical : float
            Median size of what a client sent.
        """


@dataclass(frozen=True)
class ResidualDetector:
    """Leave-one-out residuals and the further kinds of evidence (ours).

    Attributes
    ----------
    gap : tuple of float, or "auto"
        Ratios of the gap rule, which the pilot was judged by.
    threshold : float or "auto"
        Scores above are flagged; "auto" keeps the pilot's verdict.
    """

    gap: tuple[float, float] | str
    threshold: float | str
    label: ClassVar[str] = "Residual"
    scale_free: ClassVar[bool] = True

    def judge(self, pilot: Verdict, norms: np.ndarray, typical: float) -> Verdict:
        """Keep the pilot's verdict, or flag its scores above the threshold."""
        if self.threshold == "auto":
            return pilot
        return simple_verdict(threshold_rule(pilot.scores, float(self.threshold)))


@dataclass(frozen=True)
class NormsDetector:
    """The published detector: contamination norms, split at their widest gap.

    Attributes
    ----------
    gap : tuple of float, or "auto"
        Ratios of the gap rule; "auto" takes `NORMS_GAP`.
    threshold : float or "auto"
        Norms above are flagged; "auto" looks for the gap.
    """

    gap: tuple[float, float] | str
    threshold: float | str
    label: ClassVar[str] = "Norm, as published"
    scale_free: ClassVar[bool] = False

    def judge(self, pilot: Verdict, norms: np.ndarray, typical: float) -> Verdict:
        """Flag by the norms alone."""
        if self.threshold != "auto":
            return simple_verdict(threshold_rule(norms, float(self.threshold)))
        gap = NORMS_GAP if isinstance(self.gap, str) else self.gap
        return simple_verdict(published_rule(norms, typical, gap))


def published_rule(
    norms: np.ndarray, typical: float, gap: tuple[float, float] = NORMS_GAP
) -> Evidence:
    """Judge contamination norms as the published detector does: by the widest gap, found once.

    Parameters
    ----------
    norms : ndarray of shape (n_clients,)
    typical : float
        Median size of what a client sent; norms that are nothing beside it are treated as equal.
    gap : tuple of float
        See `clair.method.evidence.gap_rule`.
    """
    floor = SCORE_FLOOR * typical
    return gap_rule("norms", norms, gap, again=None, spread=False, floor=floor)
