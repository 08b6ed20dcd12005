"""Both scores of every client, the one that decides first, with the words that say so."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from clair.figures.base import Chart
from clair.figures.palette import ThemeName
from clair.figures.verdict import client_verdict
from clair.method.evidence import Evidence
from clair.simulation.scenario import ScenarioResult

_RESIDUAL_SCORE = (
    "Residual score: how much of a client's update lies outside the directions that the *other* "
    "clients share, measured against a typical update."
)
_RESIDUAL_SIZE = (
    "Residual: how much of a client's update lies outside the recovered subspace, in the units of "
    "the update. Here it is only for comparison."
)
_SUSPICION = (
    "Suspicion score: how much of a client's update lies outside the directions that the *other* "
    "clients share, measured against a typical update. This score decides first"
)
_NORM = (
    "Contamination norm: all updates stacked side by side are split into a low-rank part and a "
    "part that is zero for most clients, M = L + S; this is the size of each client's block of S."
)
_NORM_AXIS = "contamination norm ‖S<sub>k</sub>‖"


class Judged(Protocol):
    """A result with a verdict."""

    @property
    def contaminated(self) -> np.ndarray: ...
    @property
    def flagged(self) -> np.ndarray: ...
    @property
    def degrees(self) -> tuple[str, ...]: ...
    @property
    def reasons(self) -> tuple[str, ...]: ...
    @property
    def evidence(self) -> tuple[Evidence, ...]: ...
    @property
    def scores(self) -> np.ndarray: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def norms(self) -> np.ndarray: ...


def task_verdicts(outcome: Judged, theme: ThemeName, *, reveal: bool = True) -> tuple[Chart, Chart]:
    """Draw suspicion and contamination norm by client of a trained task, the truth if wanted."""
    truth = outcome.contaminated if reveal else None
    line = (
        ", and no gap between the scores is wide enough to draw a line."
        if outcome.threshold is None
        else "; the line lies in a gap that is wide for how far the scores below it spread."
    )
    return (
        client_verdict(
            outcome.scores,
            theme,
            degrees=outcome.degrees,
            reasons=outcome.reasons,
            threshold=outcome.threshold,
            contaminated=truth,
            axis_title="suspicion score",
            caption=_SUSPICION + line,
        ),
        client_verdict(
            outcome.norms,
            theme,
            degrees=outcome.degrees,
            reasons=outcome.reasons,
            contaminated=truth,
            axis_title=_NORM_AXIS,
            caption=_NORM,
        ),
    )


def scenario_verdicts(result: ScenarioResult, theme: ThemeName) -> tuple[tuple[str, Chart], ...]:
    """Draw both scores of a scenario, each chart with its key ("residual" or "norms")."""
    fitted, decides = result.fit, result.scenario.detector
    residual = _RESIDUAL_SCORE if decides == "residual" else _RESIDUAL_SIZE
    panels = {"residual": ("residual score", residual), "norms": (_NORM_AXIS, _NORM)}
    values = {
        "residual": fitted.scores if decides == "residual" else _residuals(result),
        "norms": fitted.contamination_norms,
    }
    threshold = float(fitted.threshold) if np.isfinite(fitted.threshold) else None
    return tuple(
        (
            key,
            client_verdict(
                values[key],
                theme,
                degrees=fitted.degrees,
                reasons=fitted.reasons,
                threshold=threshold if key == decides else None,
                contaminated=result.problem.contaminated,
                axis_title=panels[key][0],
                caption=panels[key][1] + (f" {_line(result)}" if key == decides else ""),
            ),
        )
        for key in sorted(panels, key=lambda key: key != decides)
    )


def _residuals(result: ScenarioResult) -> np.ndarray:
    blocks = result.problem.updates
    if result.scenario.side == "input":
        blocks = blocks.transpose(0, 2, 1)
    basis = result.fit.subspace
    outside = blocks - basis @ (basis.T @ blocks)
    sizes: np.ndarray = np.sqrt(np.einsum("kij,kij->k", outside, outside))
    return sizes


def _line(result: ScenarioResult) -> str:
    """Say where the line between kept and flagged comes from."""
    if result.scenario.threshold != "auto":
        return "This decides; the threshold is the one you set."
    if np.isfinite(result.fit.threshold):
        if result.scenario.detector == "norms":
            return "This decides; the line lies in the widest gap, as published."
        return (
            "This decides first; the line lies in a gap that is wide for how far the scores below "
            "it spread."
        )
    return "This decides first, and no gap between the scores is wide enough to draw a line."
