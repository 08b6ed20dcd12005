"""The views of the Subspace lab; only the one looked at is drawn."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from clair.app.components.chart import charts_of
from clair.app.components.stepper import stepper
from clair.app.kit.presenter import presenting
from clair.app.kit.results import found_metric, reasons_panel, show_chart
from clair.figures.comparison import scenario_comparison
from clair.figures.halves import direction_weights
from clair.figures.kinds import evidence_kinds
from clair.figures.palette import ThemeName
from clair.figures.solver import block_paths, certificate, convergence
from clair.figures.split import split_strips
from clair.figures.steps import solver_steps
from clair.figures.subspace import angles, plane, scree
from clair.figures.verdicts import scenario_verdicts
from clair.method.kinds import all_evidence
from clair.sentences import amount, clients_list, times
from clair.simulation.scenario import ScenarioResult

View = Callable[[ScenarioResult, ThemeName], None]


def headline_numbers(result: ScenarioResult) -> None:
    """Show the four numbers that every view is about."""
    scores, fitted = result.detection, result.fit
    chosen, local = result.error_of(result.chosen), result.error_of("local")
    grid = st.grid(4, min_column_width=150)
    found_metric(grid, scores)
    grid.metric(
        "Honest clients' error",
        amount(chosen.mean),
        f"{amount(local.mean)} when training alone",
        delta_color="off",
        delta_arrow="off",
        help="Mean distance between a client's refined update and its true one. No server knows "
        "it; here the truth is known because the problem was drawn.",
    )
    grid.metric(
        "Angle to the truth",
        "–" if result.angles is None else f"{amount(float(result.angles[-1]))}°",
        f"rank {fitted.rank} used, {result.problem.spec.rank} true",
        delta_color="off",
        delta_arrow="off",
        help="Largest principal angle between the recovered and the true subspace: 0° is a "
        "perfect match, 90° a lost direction.",
    )
    grid.metric(
        "Margin",
        _margin(result),
        f"λ = {amount(fitted.lam)}",
        delta_color="off",
        delta_arrow="off",
        help="Lowest flagged score over highest kept score: how clear the verdict is; a dash where "
        "nobody, everybody or only the coefficient screen decides. λ weighs "
        "the client-wise part S against the shared part L.",
    )


def split(result: ScenarioResult, theme: ThemeName) -> None:
    """Draw M = L + S by client."""
    show_chart(charts_of(split_strips, result, theme), "lab_split")


def verdict(result: ScenarioResult, theme: ThemeName) -> None:
    """Draw both scores of every client, then all kinds of evidence, then the reasons."""
    screened = result.fit.screened
    if screened.any():
        st.info(
            f"Flagged by the coefficient screen alone: {clients_list(screened)}. Neither "
            "size below shows them. They point against the majority inside the subspace: the "
            "Subspace view has them on the left.",
            icon=":material/info:",
        )
    panels = charts_of(scenario_verdicts, result, theme)
    for column, (key, chart) in zip(st.columns(2, gap="large"), panels, strict=True):
        with column:
            show_chart(chart, f"lab_{key}")
    if presenting():
        return
    found, fitted = all_evidence(result.fit), result.fit
    left, right = st.columns([3, 2], gap="large")
    with left:
        chart = evidence_kinds(
            found, theme, degrees=fitted.degrees, contaminated=result.problem.contaminated
        )
        show_chart(chart, "lab_kinds")
    with right:
        reasons_panel(fitted.degrees, fitted.reasons, fitted.scores, found)


def errors(result: ScenarioResult, theme: ThemeName) -> None:
    """Draw every method's error of the honest clients; with halves, also weights by direction."""
    if result.fit.direction_weights is None:
        show_chart(charts_of(scenario_comparison, result, theme), "lab_errors")
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_chart(charts_of(scenario_comparison, result, theme), "lab_errors")
    with right:
        show_chart(charts_of(direction_weights, result, theme), "lab_directions")


def subspace(result: ScenarioResult, theme: ThemeName) -> None:
    """Draw clients relative to the subspace, the spectrum and the angles."""
    if presenting():  # beside each other, so that nothing has to be scrolled
        left, right, below = st.columns([5, 4, 4], gap="medium")
        heights = 460, 460
    else:
        left, right = st.columns([3, 2], gap="large")
        below, heights = right, (240, 210)
    with left:
        show_chart(charts_of(plane, result, theme, 460), "lab_plane")
    with right:
        show_chart(charts_of(scree, result, theme, heights[0]), "lab_scree")
    with below:
        if result.angles is None:
            st.info(
                "The clients share directions of the output side, and CLAIR was told to look at "
                "the input side: there is no true subspace to compare with."
            )
        else:
            show_chart(charts_of(angles, result, theme, heights[1]), "lab_angles")


def solver(result: ScenarioResult, theme: ThemeName) -> None:
    """Draw the convergence, and the proof if there is one."""
    proven = result.fit.certificate is not None
    columns = st.columns(3 if proven and presenting() else 2, gap="medium")
    with columns[0]:
        show_chart(charts_of(convergence, result, theme), "lab_convergence")
    with columns[1]:
        if proven:
            show_chart(charts_of(certificate, result, theme), "lab_certificate")
        else:
            show_chart(charts_of(block_paths, result, theme), "lab_paths")
    if not proven:
        st.caption("IRLS solves another problem, which has no certificate: no proof is claimed.")
    elif presenting():
        with columns[2]:
            show_chart(charts_of(block_paths, result, theme), "lab_paths")
    else:
        show_chart(charts_of(block_paths, result, theme, 260), "lab_paths")


def steps(result: ScenarioResult, theme: ThemeName) -> None:
    """Play the solver's iterations in the browser."""
    stepper(charts_of(solver_steps, result, theme), "lab_steps")


VIEWS: dict[str, View] = {
    "split": split,
    "verdict": verdict,
    "errors": errors,
    "subspace": subspace,
    "solver": solver,
    "steps": steps,
}


def _margin(result: ScenarioResult) -> str:
    """Write how clear the verdict is; a dash if the scores do not divide the clients."""
    fitted = result.fit
    flagged = fitted.flagged & ~fitted.screened
    if not flagged.any() or fitted.flagged.all():
        return "–"
    return times(result.fit.margin) if result.fit.margin < 1000 else "over 1000×"
