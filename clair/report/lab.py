"""The views of the Subspace lab, and the report of one scenario of the matrix model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from clair.figures.comparison import scenario_comparison
from clair.figures.halves import direction_weights
from clair.figures.solver import block_paths, certificate, convergence
from clair.figures.split import split_strips
from clair.figures.steps import solver_steps
from clair.figures.subspace import angles, plane, scree
from clair.figures.verdicts import scenario_kinds, scenario_verdict
from clair.method.kinds import all_evidence
from clair.report.blocks import (
    Block,
    Fact,
    OnScreen,
    Player,
    Plot,
    Printed,
    View,
    Words,
    columns,
    plot,
    plots_of,
)
from clair.report.document import Report, Screen, Section
from clair.report.export import Export
from clair.report.method import SOURCE, limits_of, method_of
from clair.report.provenance import made_with
from clair.report.scenario import (
    TABLES,
    client_table,
    method_table,
    scenario_json,
    scenario_recipe,
)
from clair.report.tables import evidence_table
from clair.report.verdict import found_fact, method_words, reasons_words
from clair.sentences import (
    amount,
    clients_list,
    scenario_sentence,
    times,
)
from clair.simulation.scenario import ScenarioResult


def split(result: ScenarioResult, stage: bool = False) -> tuple[Block, ...]:
    """Show M = L + S by client."""
    return (plot("lab_split", split_strips, result),)


def verdict(result: ScenarioResult, stage: bool = False) -> tuple[Block, ...]:
    """Show both scores of every client, then all kinds of evidence, then the reasons."""
    fitted = result.fit
    # the score that decides comes first
    scores = sorted(("residual", "norms"), key=lambda score: score != result.scenario.detector)
    blocks: list[Block] = [
        columns(*([plot(f"lab_{score}", scenario_verdict, result, score)] for score in scores))
    ]
    if fitted.screened.any():
        words = (
            f"Flagged by the coefficient screen alone: {clients_list(fitted.screened)}. Neither "
            "size below shows them. They point against the majority inside the subspace: the "
            "Subspace view has them on the left."
        )
        blocks.insert(0, Words(words, "note"))
    if stage:
        return tuple(blocks)
    found = all_evidence(fitted)
    why = OnScreen(reasons_words(fitted.degrees, fitted.reasons, fitted.scores, found))
    kinds = plot("lab_kinds", scenario_kinds, result)
    tables = Printed((client_table(result), evidence_table(found)))
    return (*blocks, columns([kinds], [why], widths=(3, 2)), tables)


def errors(result: ScenarioResult, stage: bool = False) -> tuple[Block, ...]:
    """Show every method's error of the honest clients; with halves, also weights by direction."""
    drawn: Block = plot("lab_errors", scenario_comparison, result)
    if result.fit.direction_weights is not None:
        weights = plot("lab_directions", direction_weights, result)
        drawn = columns([drawn], [weights], widths=(3, 2))
    if stage:
        return (drawn,)
    rows = method_words([row.method for row in result.errors])
    return (drawn, rows, Printed((method_table(result),)))


def subspace(result: ScenarioResult, stage: bool = False) -> tuple[Block, ...]:
    """Show the clients relative to the subspace, the spectrum and the angles."""
    heights = (460, 460) if stage else (240, 210)
    truth: Block = Words(
        "The clients share directions of the output side, and CLAIR was told to look at the input "
        "side: there is no true subspace to compare with.",
        "note",
    )
    if result.angles is not None:
        truth = plot("lab_angles", angles, result, height=heights[1])
    lie = plot("lab_plane", plane, result, height=460)
    spectrum = plot("lab_scree", scree, result, height=heights[0])
    if stage:  # beside each other, so that nothing has to be scrolled
        return (columns([lie], [spectrum], [truth], widths=(5, 4, 4)),)
    return (columns([lie], [spectrum, truth], widths=(3, 2)),)


def solver(result: ScenarioResult, stage: bool = False) -> tuple[Block, ...]:
    """Show the convergence, and the proof if there is one."""
    converging = plot("lab_convergence", convergence, result)
    paths = plot("lab_paths", block_paths, result)
    if result.fit.certificate is None:
        unproven = "IRLS solves another problem, which has no certificate: no proof is claimed."
        return (columns([converging], [paths]), Words(unproven, "caption"))
    proof = plot("lab_certificate", certificate, result)
    if stage:
        return (columns([converging], [proof], [paths]),)
    return (columns([converging], [proof]), plot("lab_paths", block_paths, result, height=260))


def steps(result: ScenarioResult, stage: bool = False) -> tuple[Block, ...]:
    """Play the solver's iterations."""
    return (Player("lab_steps", solver_steps, (result,)),)


VIEWS: dict[str, View] = {
    "split": View("The updates, taken apart", split),
    "verdict": View("Whom CLAIR flagged", verdict),
    "errors": View("What it is worth to the honest clients", errors),
    "subspace": View("The subspace", subspace),
    "solver": View("The solver, and its proof", solver),
    "steps": View("Step by step", steps),
}
#: The chart that a view is about, where it is not the first.
_MAIN = {"solver": "lab_certificate"}


def main_plot(view: str, result: ScenarioResult) -> Plot:
    """Choose the one chart that a view is about.

    Raises
    ------
    StopIteration
        If this result has no such chart.
    """
    plots = plots_of(VIEWS[view].blocks(result))
    return next(one for one in plots if one.key == _MAIN.get(view, one.key))


def headline(result: ScenarioResult) -> tuple[Fact, ...]:
    """Collect the four numbers that every view is about."""
    fitted, local = result.fit, result.error_of("local")
    return (
        found_fact(result.detection),
        Fact(
            amount(result.error_of(result.chosen).mean),
            "Honest clients' error",
            f"{amount(local.mean)} when training alone",
            "Mean distance between a client's refined update and its true one. No server knows "
            "it; here the truth is known because the problem was drawn.",
        ),
        Fact(
            "–" if result.angles is None else f"{amount(float(result.angles[-1]))}°",
            "Angle to the truth",
            f"rank {fitted.rank} used, {result.problem.spec.rank} true",
            "Largest principal angle between the recovered and the true subspace: 0° is a "
            "perfect match, 90° a lost direction.",
        ),
        Fact(
            _margin(result),
            "Margin",
            f"λ = {amount(fitted.lam)}",
            "Lowest flagged score over highest kept score: how clear the verdict is; a dash where "
            "nobody, everybody or only the coefficient screen decides. λ weighs "
            "the client-wise part S against the shared part L.",
        ),
    )


def _margin(result: ScenarioResult) -> str:
    """Write how clear the verdict is; a dash if the scores do not divide the clients."""
    fitted = result.fit
    flagged = fitted.flagged & ~fitted.screened
    if not flagged.any() or fitted.flagged.all():
        return "–"
    return times(fitted.margin) if fitted.margin < 1000 else "over 1000×"


def lab_report(result: ScenarioResult, screen: Screen | None = None) -> Report:
    """Report everything that the views of the lab show, on one page.

    Parameters
    ----------
    result : ScenarioResult
    screen : Screen, optional
        The settings in words and the link that opens them.
    """
    return scenario_report(
        result,
        "Subspace lab",
        "Who is poisoned, and what the others gain",
        [Section.of(view, result) for key, view in VIEWS.items() if key != "steps"],
        screen,
    )


def lab_export(result: ScenarioResult, screen: Screen | None = None) -> Export:
    """Build the downloads of a scenario of the Subspace lab."""
    name = f"clair-lab-seed-{result.scenario.spec.seed}"
    return scenario_export(name, result, lambda: lab_report(result, screen))


def scenario_export(name: str, result: ScenarioResult, report: Callable[[], Report]) -> Export:
    """Build the downloads of a scenario, with a report of its page's own."""
    return Export(
        name=name,
        recipe=scenario_recipe(result.scenario),
        report=report,
        tables={title: partial(make, result) for title, make in TABLES.items()},
        numbers=partial(scenario_json, result),
    )


def scenario_report(
    result: ScenarioResult,
    page: str,
    title: str,
    sections: Sequence[Section],
    screen: Screen | None = None,
) -> Report:
    """Report sections about a scenario, with how it was computed and where it does not hold."""
    return Report(
        page=page,
        title=title,
        sentence=scenario_sentence(result),
        recipe=scenario_recipe(result.scenario),
        screen=screen or Screen(),
        facts=headline(result),
        sections=tuple(sections),
        method=(*method_of(result), SOURCE),
        limits=limits_of(result),
        made_with=made_with(),
    )
