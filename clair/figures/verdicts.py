"""The scores of every client and all evidence, with the words that say what decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.federated.task_result import TaskResult
from clair.figures.base import Chart
from clair.figures.kinds import evidence_kinds
from clair.figures.palette import ThemeName
from clair.figures.verdict import client_verdict
from clair.method.evidence import Evidence
from clair.method.kinds import KINDS, all_evidence, deciding
from clair.sentences import clients_list, listing
from clair.simulation.scenario import ScenarioResult

_RESIDUAL_SCORE = (
    "Residual score: how much of a client's update lies outside the directions that the *other* "
    "clients share, measured against a typical update."
)
_RESIDUAL_SIZE = (
    "Residual: how much of a client's update lies outside the recovered subspace, in the units of "
    "the update. Here it is only for comparison."
)
_NORM = (
    "Contamination norm: all updates stacked side by side are split into a low-rank part and a "
    "part that is zero for most clients, M = L + S; this is the size of each client's block of S."
)
_NORM_AXIS = "contamination norm ‖S<sub>k</sub>‖"


def task_verdict(run: TaskResult, score: str, theme: ThemeName, *, reveal: bool = True) -> Chart:
    """Draw a score by client of a trained task, the truth if wanted.

    Parameters
    ----------
    run : TaskResult
    score : {"residual", "norms"}
    theme : {"light", "dark"}
    reveal : bool
        Whether the truth is shown.
    """
    decides = score == "residual"
    line = _decided(run.threshold is not None, run.evidence, run.flagged)
    return client_verdict(
        run.scores if decides else run.norms,
        theme,
        degrees=run.degrees,
        reasons=run.reasons,
        threshold=run.threshold if decides else None,
        contaminated=run.contaminated if reveal else None,
        axis_title="residual score" if decides else _NORM_AXIS,
        caption=f"{_RESIDUAL_SCORE} {line}" if decides else _NORM,
    )


def scenario_verdict(result: ScenarioResult, score: str, theme: ThemeName) -> Chart:
    """Draw a score by client of a scenario.

    Parameters
    ----------
    result : ScenarioResult
    score : {"residual", "norms"}
    theme : {"light", "dark"}
    """
    fitted, decides = result.fit, result.scenario.detector == score
    threshold = float(fitted.threshold) if np.isfinite(fitted.threshold) else None
    if score == "norms":
        values, axis, caption = fitted.contamination_norms, _NORM_AXIS, _NORM
    else:
        values = fitted.scores if decides else _residuals(result)
        axis, caption = "residual score", _RESIDUAL_SCORE if decides else _RESIDUAL_SIZE
    return client_verdict(
        values,
        theme,
        degrees=fitted.degrees,
        reasons=fitted.reasons,
        threshold=threshold if decides else None,
        contaminated=result.problem.contaminated,
        axis_title=axis,
        caption=caption + (f" {_line(result)}" if decides else ""),
    )


def scenario_kinds(result: ScenarioResult, theme: ThemeName) -> Chart:
    """Draw all kinds of evidence of a scenario."""
    return evidence_kinds(
        all_evidence(result.fit),
        theme,
        degrees=result.fit.degrees,
        contaminated=result.problem.contaminated,
    )


def task_kinds(run: TaskResult, theme: ThemeName, *, reveal: bool = True) -> Chart:
    """Draw all kinds of evidence of a trained task, the truth if wanted."""
    truth = run.contaminated if reveal else None
    return evidence_kinds(run.evidence, theme, degrees=run.degrees, contaminated=truth)


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
    drawn = bool(np.isfinite(result.fit.threshold))
    if result.scenario.detector == "norms":
        gap = "the line lies in the widest gap" if drawn else "there is no gap to draw a line in"
        told = f"This decides; {gap}, as published."
        if not result.fit.screened.any():
            return told
        return f"{told} The coefficient screen flags {clients_list(result.fit.screened)} besides."
    return _decided(drawn, result.fit.evidence, result.fit.flagged)


def _decided(drawn: bool, evidence: Sequence[Evidence], flagged: np.ndarray) -> str:
    """Say where this score's line comes from, and what flagged those who are not above it."""
    gap = (
        "This decides first; the line lies in a gap that is wide for how far the scores below it "
        "spread."
        if drawn
        else "This decides first, but no gap between the scores is wide enough to draw a line."
    )
    rest = flagged & ~evidence[0].flagged
    if not rest.any():
        return gap
    names = [
        KINDS[kind.kind].name for kind in deciding(evidence)[1:] if (kind.flagged & rest).any()
    ]
    why = f" by other evidence ({listing(names)}, drawn below)" if names else " by other evidence"
    return f"{gap} Flagged{why}: {clients_list(rest)}."
