"""Results of the Red team page: the attack on its draw, what shipped, the visitor's best."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import streamlit as st

from clair._files import ASSETS
from clair.app.kit.shared import shared
from clair.app.kit.state import assign, ignore
from clair.app.pages import lab
from clair.app.pages.classes import report_attempt as report
from clair.app.pages.redteam_controls import (
    BUDGET,
    CLIENTS,
    DEFENCE,
    HELD,
    PLAN,
    SHARED,
    VIEW,
    plan_of,
)
from clair.redteam import RedTeamConfig
from clair.redteam.record import Record, read_record
from clair.redteam.strike import Strike, strike
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.scenario import Scenario

RECORD = ASSETS / "redteam" / "record.json"
BEST = "rt_best"  # in the address, and in the session as long as it lasts


def majority(values: Mapping[str, Any]) -> bool:
    """Tell whether you hold half of the clients or more."""
    return bool(2 * values[HELD.key] >= values[CLIENTS.key])


def spec_of(values: Mapping[str, Any]) -> ProblemSpec:
    """Build the problem that the controls describe, without the attack."""
    return ProblemSpec(
        n_clients=values[CLIENTS.key],
        poisoned_fraction=values[HELD.key] / values[CLIENTS.key],
        **{key: values[f"rt_{key}"] for key in SHARED if key not in ("seed", "use_rank")},
        seed=int(values["rt_seed"]),
    )


def scenario_of(values: Mapping[str, Any]) -> Scenario:
    """Build the scenario that the controls describe."""
    return Scenario(spec_of(values), rank=values["rt_use_rank"], plan=plan_of(values))


def obstacle(values: Mapping[str, Any]) -> str | None:
    """Explain why these values have no result; None if they have one."""
    honest = values[CLIENTS.key] - values[HELD.key]
    if honest < lab.MIN_HONEST:
        return (
            f"You hold {values[HELD.key]} of {values[CLIENTS.key]} clients. At least "
            f"{lab.MIN_HONEST} honest ones are needed, or there is nobody to harm. Hold fewer."
        )
    if values["rt_rank"] >= values["rt_d_out"]:
        return (
            f"A subspace of {values['rt_rank']} dimensions fills all {values['rt_d_out']} rows of "
            "an update: nothing lies outside it, so nobody can be told apart. Lower the rank or "
            "add rows."
        )
    asked = {key: values[f"rt_{key}"] for key in SHARED} | {"clients": 20, "poisoned": 0.25}
    return lab.obstacle({"attack": "low_rank", "scale": 1.0} | asked)


@shared(most=32)
def _strike(scenario: Scenario) -> Strike:
    return strike(scenario)


def struck(values: Mapping[str, Any]) -> Strike:
    """Compute what the attack does, once for all visitors."""
    return _strike(scenario_of(values))


def lab_values(
    spec: ProblemSpec, plan: AttackPlan, rank: int | str, **options: Any
) -> dict[str, Any]:
    """Collect the lab's values that show exactly an attack on a draw."""
    names = {"n_clients": "clients", "poisoned_fraction": "poisoned"}
    problem = {
        names.get(key, key): getattr(spec, key) for key in (*names, *SHARED) if key != "use_rank"
    }
    return problem | {"use_rank": rank, "plan": plan.to_text()} | options


def report_attempt(values: Mapping[str, Any], now: Strike) -> None:
    """Report an attack to the visitor's class, if there is one; a majority has no score."""
    if not majority(values):
        report(now.score, f"{values[HELD.key]} of {values[CLIENTS.key]}")


# -- what the computer found beforehand ---------------------------------------------------------


@cache
def record() -> Record:
    """Read what ships with the app: what defeats which defence."""
    return read_record(json.loads(RECORD.read_text(encoding="utf-8")))


def search_config(values: Mapping[str, Any]) -> RedTeamConfig:
    """Build the search that the controls describe; the attacker must be a minority."""
    return RedTeamConfig(
        spec_of(values), values[DEFENCE.key], values["rt_use_rank"], values[BUDGET.key]
    )


def computers_best(values: Mapping[str, Any]) -> float | None:
    """Look up what the computer's worst unflagged attack on CLAIR costs in this federation."""
    known = record()
    if replace(spec_of(values), seed=known.config.search.spec.seed) != known.config.search.spec:
        return None
    return max(known.found["clair"].harm / known.alone["clair"] - 1, 0.0)


# -- the visitor's best ------------------------------------------------------------------------


def best_plan() -> AttackPlan | None:
    """Read the visitor's best attack so far, from the session or else from the address."""
    text = st.session_state.get(BEST) or st.query_params.get(BEST)
    if not text:
        return None
    try:
        plan = AttackPlan.from_text(text)
    except ValueError:
        ignore("Best attack", text, PLAN.rule)
        st.session_state.pop(BEST, None)
        del st.query_params[BEST]
        return None
    keep_best(plan)
    return plan


def use_plan(plan: AttackPlan) -> None:
    """Take a plan as the present attack, and look at it; a callback."""
    assign((PLAN, VIEW), {PLAN.key: plan.to_text()})


def keep_best(plan: AttackPlan) -> None:
    """Keep an attack as the visitor's best, in the session and the address."""
    text = plan.to_text()
    st.session_state[BEST] = text
    if st.query_params.get(BEST) != text:
        st.query_params[BEST] = text


def best_of(values: Mapping[str, Any], now: Strike) -> tuple[AttackPlan | None, float]:
    """Measure the visitor's best attack in this federation; the present one if that is better."""
    kept = best_plan()
    score = 0.0
    if kept is not None:
        scenario = replace(scenario_of(values), plan=kept)
        score = _strike(scenario).score
    if now.score > score:
        plan = plan_of(values)
        keep_best(plan)
        return plan, now.score
    return kept, score
