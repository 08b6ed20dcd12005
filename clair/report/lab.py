"""The report of the Subspace lab: one scenario of the matrix model."""

from __future__ import annotations

import numpy as np

from clair.figures.base import Chart
from clair.figures.comparison import scenario_comparison
from clair.figures.halves import direction_weights
from clair.figures.kinds import evidence_kinds
from clair.figures.solver import block_paths, certificate, convergence
from clair.figures.split import split_strips
from clair.figures.subspace import angles, plane, scree
from clair.figures.verdicts import scenario_verdicts
from clair.method.kinds import all_evidence
from clair.methods import METHODS
from clair.report.document import Fact, Report, Screen, Section
from clair.report.provenance import made_with
from clair.report.scenario import client_table, method_table, scenario_recipe
from clair.report.tables import evidence_table
from clair.sentences import TIE, amount, clients_list, count, scenario_sentence, verdict_caveats
from clair.simulation.attacks import ATTACKS
from clair.simulation.scenario import ScenarioResult

SOURCE = (
    "The split and the refinement follow our reading of He, Chen, Feng, *Federated LoRA "
    "Fine-Tuning for LLMs via Collaborative Alignment*, arXiv 2605.21217, of which only the "
    "abstract was available. All evidence but the contamination norms, the line between kept and "
    "flagged, the automatic rank, pooling and the coefficient screen are ours."
)
OUTSIDE = (
    "What honest clients hold outside the shared subspace is averaged away. Where they share "
    "little, training alone is better, and one update per client cannot tell when that is so."
)
HALVES = (
    "**The refinement.** Every client also sends what it gets from either half of its data (ours). "
    "Along each direction a kept client is pulled to the kept clients' mean by the share of the "
    "differences between clients that is estimation error, as the distance of the halves tells; "
    "the median over clients is taken. A flagged client keeps its own update."
)


def lab_report(result: ScenarioResult, screen: Screen | None = None) -> Report:
    """Report everything that the views of the lab show, on one page.

    Parameters
    ----------
    result : ScenarioResult
    screen : Screen, optional
        The settings in words and the link that opens them.
    """
    found, truth = all_evidence(result.fit), result.problem.contaminated
    kinds = evidence_kinds(found, "light", degrees=result.fit.degrees, contaminated=truth)
    verdicts = (*(chart for _, chart in scenario_verdicts(result, "light")), kinds)
    split = split_strips(result, "light")
    return Report(
        page="Subspace lab",
        title="Who is poisoned, and what the others gain",
        sentence=scenario_sentence(result),
        recipe=scenario_recipe(result.scenario),
        screen=screen or Screen(),
        facts=_facts(result),
        sections=(
            Section("The updates, taken apart", charts=(split,)),
            Section(
                "Whom CLAIR flagged",
                _screened(result),
                charts=verdicts,
                tables=(client_table(result), evidence_table(found)),
            ),
            Section(
                "What it is worth to the honest clients",
                charts=(scenario_comparison(result, "light"), *_weights(result)),
                tables=(method_table(result),),
            ),
            Section("The subspace", charts=_subspace(result)),
            Section("The solver, and its proof", charts=_solver(result)),
        ),
        method=(*method_of(result), SOURCE),
        limits=limits_of(result),
        made_with=made_with(),
    )


def _facts(result: ScenarioResult) -> tuple[Fact, ...]:
    scores, chosen, local = (
        result.detection,
        result.error_of(result.chosen),
        result.error_of("local"),
    )
    found = f"{scores.n_correct} of {scores.n_contaminated}"
    beside = count(scores.false_alarms, "false alarm")
    beside += f", {count(scores.suspects, 'suspect')}" * bool(scores.suspects)
    facts = [
        Fact(found, "poisoned clients found", beside),
        Fact(amount(chosen.mean), f"error with {chosen.label}", "honest clients, mean"),
        Fact(amount(local.mean), "error when training alone", "honest clients, mean"),
    ]
    if result.angles is not None:
        used = f"rank {result.fit.rank} used, {result.problem.spec.rank} true"
        facts.append(Fact(f"{amount(float(result.angles[-1]))}°", "angle to the truth", used))
    return tuple(facts)


def _screened(result: ScenarioResult) -> tuple[str, ...]:
    if not result.fit.screened.any():
        return ()
    return (
        f"Flagged by the coefficient screen alone: {clients_list(result.fit.screened)}. Neither "
        "size below shows them; they point against the majority inside the subspace.",
    )


def _weights(result: ScenarioResult) -> tuple[Chart, ...]:
    return () if result.fit.direction_weights is None else (direction_weights(result, "light"),)


def _subspace(result: ScenarioResult) -> tuple[Chart, ...]:
    drawn = [plane(result, "light", 440), scree(result, "light", 240)]
    if result.angles is not None:
        drawn.append(angles(result, "light", 210))
    return tuple(drawn)


def _solver(result: ScenarioResult) -> tuple[Chart, ...]:
    drawn = [convergence(result, "light"), block_paths(result, "light")]
    if result.fit.certificate is not None:
        drawn.insert(1, certificate(result, "light"))
    return tuple(drawn)


def method_of(result: ScenarioResult) -> tuple[str, ...]:
    """Describe how the numbers were computed, a paragraph for each step."""
    spec, fitted, asked = result.problem.spec, result.fit, result.scenario
    honest = count(spec.rank, "direction")
    bad = spec.n_contaminated
    poison = (
        f"{count(bad, 'client')} {'is' if bad == 1 else 'are'} poisoned. "
        + ATTACKS[spec.attack].description
        if bad
        else "Nobody is poisoned."
    )
    drawn = (
        f"**The problem.** {spec.n_clients} clients each send a matrix of {spec.d_out} × "
        f"{spec.d_in} numbers. Honest ones share {honest} of its columns' space. "
        f"{poison[0].upper()}{poison[1:]} Everything is drawn with seed {spec.seed}."
    )
    rank = "chosen from the updates" if asked.rank == "auto" else "set by hand"
    if asked.solver == "convex":
        proof = fitted.certificate
        proven = proof is not None and proof.holds
        split = (
            f"**The split.** The stacked updates are split into L + S by the convex program "
            f"(nuclear norm of L plus λ times the sum of the clients' block norms of S) at λ = "
            f"{fitted.lam:.4g}; {fitted.n_iter} iterations, {fitted.status.replace('_', ' ')}. The "
            f"dual certificate {'holds' if proven else 'does not hold'}"
            + (": this split is the only optimum." if proven else ", so no proof is claimed.")
        )
    else:
        split = (
            "**The split.** A median subspace by reweighted principal components (IRLS) takes the "
            f"place of the convex program; {fitted.n_iter} iterations. No proof is claimed for it."
        )
    rule = (
        "what the subspace of the *other* clients leaves unexplained of each update (ours)"
        if asked.detector == "residual"
        else "the size of each client's block of S, the contamination norm (the paper's score)"
    )
    if asked.threshold != "auto":
        line = "the line is set by hand"
    elif np.isfinite(fitted.threshold):
        line = (
            "the line is in the widest gap between scores"
            if asked.detector == "norms"
            else "the line is in a gap that is wide for how far the scores below it spread, looked "
            "for again among those kept"
        )
    else:
        line = "no gap between scores was wide enough to draw a line"
    verdict = (
        f"**The verdict.** It rests on {rule}, with rank {fitted.rank} ({rank}), on the "
        f"{asked.side} side; {line}."
        + " A client's few strongest directions are looked at besides. Clients above a line that "
        "look like noise alone, and clients that stand a little apart, are suspect: refined, but "
        "with little or no weight in what the others learn."
        * (asked.detector == "residual")
        + (" The coefficient screen (ours) was on." if asked.screen_coefficients else "")
        + ("" if asked.polish else " The subspace was not refitted on the kept clients.")
    )
    pooled = asked.pooling == "eb"
    if asked.pooling == "halves":
        return drawn, split, verdict, HALVES
    refined = (
        "**The refinement.** A kept client gets the kept clients' average outside the shared "
        "subspace and its own part inside it"
        + (", shrunk towards the others' as far as differences look like noise (ours)." * pooled)
        + ("." * (not pooled))
        + " A flagged client keeps its own update."
    )
    return drawn, split, verdict, refined


def limits_of(result: ScenarioResult) -> tuple[str, ...]:
    """List what these numbers show against CLAIR, then what is always true."""
    chosen = result.error_of(result.chosen)
    notes = [f"Note of the solver: {note}" for note in result.fit.notes]
    notes += verdict_caveats(result.detection)
    better = [
        f"{METHODS[row.method].label} ({amount(row.mean)})"
        for row in result.errors
        if not row.oracle and METHODS[row.method].family != "clair" and row.mean <= chosen.mean
    ]
    if better:
        notes.append(
            f"Here other methods are at least as good as {chosen.label} ({amount(chosen.mean)}): "
            f"{', '.join(better)}."
        )
    published = result.error_of("clair_published").mean
    if published < chosen.mean * (1 - TIE):
        notes.append(
            f"Here the verdict as published would have served the honest clients better: "
            f"{amount(published)} instead of {amount(chosen.mean)}."
        )
    notes += [
        "Clients that send dense noise only are suspect instead of flagged as long as their "
        "residual is below ten times a typical one: the same as honest clients with few data.",
        "From one half of the clients on no method can tell poisoned from honest: the liars are "
        "the majority.",
        "Poison that stays inside the shared subspace, such as a sign flip, is invisible to the "
        "size of what is left over; only the coefficient screen looks there.",
        *[OUTSIDE] * (result.scenario.pooling != "halves"),
        "The updates were drawn from the model that CLAIR assumes, with its violations as "
        "settings. They show what follows from it, not how often it holds.",
    ]
    return tuple(notes)
