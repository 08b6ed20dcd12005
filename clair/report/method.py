"""How the numbers of a scenario were computed and where they do not hold, in words."""

from __future__ import annotations

import numpy as np

from clair.methods import METHODS
from clair.redteam.words import plan_sentences
from clair.sentences import TIE, amount, count, verdict_caveats
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


def method_of(result: ScenarioResult) -> tuple[str, ...]:
    """Describe how the numbers were computed, a paragraph for each step."""
    return _problem(result), _split(result), _verdict(result), _refinement(result)


def _problem(result: ScenarioResult) -> str:
    spec = result.problem.spec
    bad = spec.n_contaminated
    poison = "nobody is poisoned."
    if bad:
        about = _what_they_do(result)
        poison = f"{count(bad, 'client')} {'is' if bad == 1 else 'are'} poisoned. {about}"
    return (
        f"**The problem.** {spec.n_clients} clients each send a matrix of {spec.d_out} × "
        f"{spec.d_in} numbers. Honest ones share {count(spec.rank, 'direction')} of its columns' "
        f"space. {poison[0].upper()}{poison[1:]} Everything is drawn with seed {spec.seed}."
    )


def _split(result: ScenarioResult) -> str:
    fitted = result.fit
    if result.scenario.solver != "convex":
        return (
            "**The split.** A median subspace by reweighted principal components (IRLS) takes the "
            f"place of the convex program; {fitted.n_iter} iterations. No proof is claimed for it."
        )
    proven = fitted.certificate is not None and fitted.certificate.holds
    return (
        "**The split.** The stacked updates are split into L + S by the convex program "
        "(nuclear norm of L plus λ times the sum of the clients' block norms of S) at λ = "
        f"{fitted.lam:.4g}; {fitted.n_iter} iterations, {fitted.status.replace('_', ' ')}. The "
        f"dual certificate {'holds' if proven else 'does not hold'}"
        + (": this split is the only optimum." if proven else ", so no proof is claimed.")
    )


def _verdict(result: ScenarioResult) -> str:
    fitted, asked = result.fit, result.scenario
    ours = asked.detector == "residual"
    rule = (
        "what the subspace of the *other* clients leaves unexplained of each update (ours)"
        if ours
        else "the size of each client's block of S, the contamination norm (the paper's score)"
    )
    if asked.threshold != "auto":
        line = "the line is set by hand"
    elif not np.isfinite(fitted.threshold):
        line = "no gap between scores was wide enough to draw a line"
    elif ours:
        line = (
            "the line is in a gap that is wide for how far the scores below it spread, looked "
            "for again among those kept"
        )
    else:
        line = "the line is in the widest gap between scores"
    rank = "chosen from the updates" if asked.rank == "auto" else "set by hand"
    text = (
        f"**The verdict.** It rests on {rule}, with rank {fitted.rank} ({rank}), on the "
        f"{asked.side} side; {line}."
    )
    if ours:
        text += (
            " A client's few strongest directions are looked at besides, and whether what it sends "
            "outside has structure where others send noise. Clients above a line that "
            "look like noise alone, and clients that stand a little apart, are suspect: refined, "
            "but with little or no weight in what the others learn."
        )
    if asked.screen_coefficients:
        text += " The coefficient screen (ours) was on."
    return text if asked.polish else f"{text} The subspace was not refitted on the kept clients."


def _refinement(result: ScenarioResult) -> str:
    pooling = result.scenario.pooling
    if pooling == "halves":
        return HALVES
    shrunk = ", shrunk towards the others' as far as differences look like noise (ours)"
    return (
        "**The refinement.** A kept client gets the kept clients' average outside the shared "
        f"subspace and its own part inside it{shrunk * (pooling == 'eb')}. A flagged client keeps "
        "its own update."
    )


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


def _what_they_do(result: ScenarioResult) -> str:
    """Describe the attack, or the plan that takes its place."""
    plan, spec = result.scenario.plan, result.problem.spec
    if plan is None:
        return ATTACKS[spec.attack].description
    return f"They follow a plan. {'; '.join(plan_sentences(plan, spec.n_contaminated))}."
