"""A scenario of the matrix model as numbers, and the code that gives them again; no charts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

import clair
from clair.method.kinds import finite, verdict_json
from clair.method.metrics import client_numbers
from clair.methods import METHODS
from clair.report.recipe import Recipe, call, command, differing, literal
from clair.report.tables import Table, table, verdict_columns
from clair.sentences import scenario_sentence
from clair.simulation.scenario import Scenario, ScenarioResult

FORMAT = 1

#: Option of ``python -m clair simulate`` by field of the problem, and of what CLAIR does with it.
PROBLEM_OPTIONS: dict[str, str] = {
    "n_clients": "--clients",
    "poisoned_fraction": "--poisoned",
    "attack": "--attack",
    "attack_scale": "--attack-scale",
    "heterogeneity": "--heterogeneity",
    "off_subspace": "--off-subspace",
    "unevenness": "--unevenness",
    "data_spread": "--data-spread",
    "second_attack": "--second-attack",
    "second_share": "--second-share",
    "noise": "--noise",
    "rank": "--true-rank",
    "d_out": "--d-out",
    "d_in": "--d-in",
    "seed": "--seed",
}
CLAIR_OPTIONS: dict[str, str] = {
    "rank": "--rank",
    "pooling": "--pooling",
    "screen_coefficients": "--screen",
    "detector": "--detector",
    "threshold": "--threshold",
    "solver": "--solver",
    "side": "--side",
    "polish": "--polish",
}
#: Option that replaces the attack by a plan.
PLAN = "--plan"


def scenario_recipe(scenario: Scenario) -> Recipe:
    """Write Python and shell for the numbers of a scenario."""
    usual = Scenario()
    problem = differing(scenario.spec, usual.spec)
    options = clair_options(scenario)
    shell = {PROBLEM_OPTIONS[name]: value for name, value in problem.items()}
    shell |= {PLAN: scenario.plan.to_text()} if scenario.plan else {}
    shell |= {CLAIR_OPTIONS[name]: value for name, value in options.items()}
    halved = scenario.pooling == "halves"
    more = ("halves=halves",) if halved else ()
    lines = [
        "import clair",
        *[IMPORT_PLAN] * (scenario.plan is not None),
        "",
        call("spec = clair.ProblemSpec", **problem),
        call("problem = clair.sample_problem", "spec", *plan_source(scenario)),
        *["halves = clair.sample_halves(problem)"] * halved,
        call("fit = clair.fit", "problem.updates", *more, **options),
        call("errors = clair.compare", "problem", "result=fit", *more),
        "",
        "for k, (degree, reason) in enumerate(zip(fit.degrees, fit.reasons), 1):",
        '    print(f"client {k}: {degree}" + f", {reason}" * bool(reason))',
        "for row in errors:",
        '    print(f"{row.label:<26} {row.mean:.6g}")',
    ]
    return Recipe(
        "\n".join(lines),
        command("python", "-m", "clair", "simulate", options=shell),
        "The same seed and settings give the same numbers; another processor or another version of "
        "numpy may change their last digits. `--json FILE` writes all of them.",
    )


#: Line of Python for code with a plan in it.
IMPORT_PLAN = "from clair.simulation.attack_plan import AttackPlan"


def plan_source(scenario: Scenario) -> tuple[str, ...]:
    """Write the source of the argument that gives a scenario's plan; none where it has none."""
    if scenario.plan is None:
        return ()
    return (f"plan=AttackPlan.from_text({literal(scenario.plan.to_text())})",)


def clair_options(scenario: Scenario) -> dict[str, Any]:
    """Collect what CLAIR does otherwise than by default."""
    other = ("spec", "plan")
    return {k: v for k, v in differing(scenario, Scenario()).items() if k not in other}


def client_table(result: ScenarioResult) -> Table:
    """List the clients, a row each: truth, verdict, its reason and what it rests on."""
    fitted, truth = result.fit, result.problem.contaminated
    (verdict, *why), said = verdict_columns(fitted.degrees, fitted.reasons, fitted.evidence)
    rows = [
        (
            k + 1,
            "poisoned" if truth[k] else "honest",
            said[k][0],
            fitted.scores[k],
            fitted.contamination_norms[k],
            *said[k][1:],
            bool(fitted.screened[k]),
        )
        for k in range(truth.size)
    ]
    columns = (
        ("client", "client"),
        ("truth", "truth"),
        verdict,
        ("score", "score"),
        ("contamination_norm", "‖S‖"),
        *why,
        ("flagged_by_screen", "by the screen alone"),
    )
    return table(
        "clients",
        "Every client",
        columns if fitted.screened.any() else columns[:-1],
        rows if fitted.screened.any() else [row[:-1] for row in rows],
        "The truth is known because the problem was drawn; no method has seen it.",
    )


def method_table(result: ScenarioResult) -> Table:
    """List the methods, a row each, with their errors of the honest clients."""
    return table(
        "methods",
        "Error of the honest clients, by method",
        (
            ("method", "method"),
            ("oracle", "oracle"),
            ("mean", "mean"),
            ("sd", "±"),
            ("largest", "largest"),
        ),
        [(row.label, row.oracle, row.mean, row.sd, row.per_client.max()) for row in result.errors],
        "Distance between what a client ends up with and its true update: mean and standard "
        "deviation (±) over the honest clients. An oracle is told who is poisoned.",
    )


def error_table(result: ScenarioResult) -> Table:
    """List the errors, a row for each method and honest client."""
    honest = np.flatnonzero(~result.problem.contaminated) + 1
    return table(
        "errors",
        "Error by method and honest client",
        (
            ("method", "method"),
            ("label", "name"),
            ("oracle", "oracle"),
            ("client", "client"),
            ("error", "error"),
        ),
        [
            (row.method, row.label, row.oracle, client, error)
            for row in result.errors
            for client, error in zip(honest, row.per_client, strict=True)
        ],
    )


def split_table(result: ScenarioResult) -> Table:
    """List every entry of what was received and of its two parts, a row each."""
    fitted = result.fit
    parts = (result.problem.updates, fitted.low_rank, fitted.contamination)
    return table(
        "split",
        "Every entry of M = L + S",
        tuple((name, name) for name in ("client", "row", "column", "received", "shared", "own")),
        [
            (*(int(i) + 1 for i in index), *(float(part[index]) for part in parts))
            for index in np.ndindex(parts[0].shape)
        ],
    )


def iteration_table(result: ScenarioResult) -> Table:
    """List the solver's iterations, a row each, with the size of every client's block of S."""
    blocks = [(f"client_{k}", f"client {k}") for k in range(1, len(result.fit.benign) + 1)]
    names = ("iteration", "objective", "primal_residual", "dual_residual", "penalty")
    return table(
        "iterations",
        "Every iteration of the solver",
        [*((name, name.replace("_", " ")) for name in names), *blocks],
        [(*(getattr(one, name) for name in names), *one.block_norms) for one in result.fit.history],
    )


#: All tables of a scenario, by their name among the downloads.
TABLES: dict[str, Callable[[ScenarioResult], Table]] = {
    "Clients": client_table,
    "Methods": method_table,
    "Errors": error_table,
    "Split": split_table,
    "Iterations": iteration_table,
}


def scenario_json(result: ScenarioResult) -> dict[str, Any]:
    """Collect every number of a result as JSON values; clients are counted from 1.

    A number that is missing or not finite is null.
    """
    fitted, scores = result.fit, result.detection
    benign = ~result.problem.contaminated
    proof = fitted.certificate
    return {
        "format": FORMAT,
        "kind": "simulate",
        "version": clair.__version__,
        "sentence": scenario_sentence(result),
        "problem": asdict(result.scenario.spec),
        "plan": None if result.scenario.plan is None else result.scenario.plan.to_json(),
        "options": result.scenario.fit_options,
        "contaminated": client_numbers(result.problem.contaminated),
        "flagged": client_numbers(fitted.flagged),
        "flagged_by_screen": client_numbers(fitted.screened),
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "false_alarms": scores.false_alarms,
        **verdict_json(fitted),
        "rank": int(fitted.rank),
        "lambda": float(fitted.lam),
        "threshold": finite(fitted.threshold),
        "margin": finite(fitted.margin),
        "scores": [float(v) for v in fitted.scores],
        "contamination_norms": [float(v) for v in fitted.contamination_norms],
        "principal_angles_degrees": (
            None if result.angles is None else [float(v) for v in result.angles]
        ),
        "solver": {
            "status": fitted.status,
            "iterations": fitted.n_iter,
            "objective": float(fitted.objective),
            "certificate": None
            if proof is None
            else {
                "holds": bool(proof.holds),
                "dual_feasibility": float(proof.dual_feasibility),
                "spectral_norm": float(proof.spectral_norm),
            },
        },
        "honest_clients": client_numbers(benign),
        "errors": {
            row.method: {
                "label": METHODS[row.method].label,
                "oracle": row.oracle,
                "mean": row.mean,
                "sd": row.sd,
                "per_client": [float(v) for v in row.per_client],
            }
            for row in result.errors
        },
        "notes": list(fitted.notes),
        **_directions(result),
    }


def _directions(result: ScenarioResult) -> dict[str, Any]:
    """Collect what two halves told of each direction, if clients sent any."""
    found = result.fit.direction_weights
    if found is None:
        return {}
    return {
        "directions": {
            "weights": [float(v) for v in found.weights],
            "between_clients": [float(v) for v in found.between],
            "estimation_error": [finite(v) for v in found.noise],
        }
    }
