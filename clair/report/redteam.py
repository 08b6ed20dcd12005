"""What the Red team page hands out: an attack, a search, and what defeats which defence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import clair
from clair.figures.kinds import evidence_kinds
from clair.figures.redteam import (
    attempts_chart,
    former_chart,
    prices_chart,
    row_label,
)
from clair.figures.verdicts import scenario_verdicts
from clair.method.kinds import all_evidence
from clair.method.metrics import client_numbers
from clair.redteam import DEFENCES, Attempt, RedTeamConfig
from clair.redteam.gallery import GALLERY
from clair.redteam.record import Found, Record
from clair.redteam.strike import Strike
from clair.redteam.words import cost_words, plan_sentences, strike_sentence
from clair.report.document import Fact, Report, Screen, Section
from clair.report.lab import SOURCE, limits_of, method_of
from clair.report.provenance import made_with
from clair.report.recipe import Recipe, call, command, differing
from clair.report.scenario import (
    IMPORT_PLAN,
    PROBLEM_OPTIONS,
    clair_options,
    client_table,
    plan_source,
    scenario_json,
    scenario_recipe,
)
from clair.report.tables import Table, evidence_table, table
from clair.simulation.matrix_model import ProblemSpec

FORMAT = 1
PAGE = "Red team"
LIMITS = (
    "The attacker knows everything: the shared directions, every honest update, the defence. A "
    "real attacker knows less.",
    "A search finds bad attacks, but perhaps not the worst, so what it reports is a lower bound.",
    "Two parts of CLAIR are not attacked here: the evidence of shape, which needs three modules, "
    "and the pooling by halves, about which no plan says anything.",
)
_SEARCH_OPTIONS = {"defence": "--defence", "rank": "--rank", "budget": "--budget"}


# -- one attack --------------------------------------------------------------------------------


def strike_recipe(found: Strike) -> Recipe:
    """Write Python and shell for what an attack does."""
    scenario = found.result.scenario
    plain = scenario_recipe(scenario)
    lines = [
        "from clair.redteam.strike import strike",
        IMPORT_PLAN,
        "from clair.simulation.matrix_model import ProblemSpec",
        "from clair.simulation.scenario import Scenario",
        "",
        call("spec = ProblemSpec", **differing(scenario.spec, ProblemSpec())),
        call("scenario = Scenario", "spec", *plan_source(scenario), **clair_options(scenario)),
        "found = strike(scenario)",
        "",
        "print(found.fates())",
        "for name, price in found.prices.items():",
        '    print(f"{name:<17} {price.alone:8.3f} {price.attacked:8.3f} {price.cost:+.1%}")',
    ]
    note = "The command shows whom CLAIR flags; Python also what you add to the error."
    return Recipe("\n".join(lines), plain.command, f"{note} {plain.note}")


def price_table(found: Strike) -> Table:
    """List the defences, a row each: error with the attack and without the attacker's clients."""
    return table(
        "defences",
        "What the honest pay",
        (
            ("defence", "defence"),
            ("alone", "you stay away"),
            ("attacked", "you attack"),
            ("cost", "added"),
        ),
        [(row_label(key), p.alone, p.attacked, p.cost) for key, p in found.prices.items()],
        "Root mean square error of the honest clients over that of an oracle that is told who is "
        "honest and the true directions; added: growth from the first to the second.",
    )


def strike_report(found: Strike, rule: str, screen: Screen | None = None) -> Report:
    """Report one attack: what was sent, who was caught, and what every defence paid."""
    fitted, truth = found.result.fit, found.held
    evidence = all_evidence(fitted)
    kinds = evidence_kinds(evidence, "light", degrees=fitted.degrees, contaminated=truth)
    verdicts = [scenario_verdicts(found.result, "light")[0][1], kinds]
    if rule == "former":
        verdicts.append(former_chart(found, "light"))
    fates = found.fates(rule)
    plan = found.result.scenario.plan
    assert plan is not None
    return Report(
        page=PAGE,
        title="You were the attacker",
        sentence=strike_sentence(found, rule),
        recipe=strike_recipe(found),
        screen=screen or Screen(),
        facts=(
            *(Fact(str(len(who)), f"of your clients {fate}") for fate, who in fates.items()),
            Fact(cost_words(found.prices["clair"].cost), "added to the error under CLAIR"),
            Fact(cost_words(found.prices["fedavg"].cost), "added under plain averaging"),
        ),
        sections=(
            Section("What you sent", tuple(_sent(plan_sentences(plan, int(truth.sum()))))),
            Section(
                "Who was caught",
                charts=tuple(verdicts),
                tables=(client_table(found.result), evidence_table(evidence)),
            ),
            Section(
                "What it cost",
                charts=(prices_chart(found, "light", rule),),
                tables=(price_table(found),),
            ),
        ),
        method=(*method_of(found.result), SOURCE),
        limits=(*LIMITS, *limits_of(found.result)),
        made_with=made_with(),
    )


def _sent(lines: Sequence[str]) -> list[str]:
    return [f"{line}." for line in lines]


def strike_json(found: Strike) -> dict[str, Any]:
    """Collect every number of an attack as JSON values; clients are counted from 1."""
    return {
        "format": FORMAT,
        "kind": "redteam attack",
        "version": clair.__version__,
        "sentence": strike_sentence(found),
        "fates": {rule: found.fates(rule) for rule in ("today", "former")},
        "prices": {key: price._asdict() for key, price in found.prices.items()},
        "score": found.score,
        "former": {
            "scores": [float(v) for v in found.former.scores],
            "flagged": client_numbers(found.former.flagged),
        },
        "scenario": scenario_json(found.result),
    }


# -- a search ----------------------------------------------------------------------------------


def search_recipe(config: RedTeamConfig) -> Recipe:
    """Write Python and shell for a search."""
    spec = differing(config.spec, RedTeamConfig().spec)
    own = {key: value for key, value in differing(config, RedTeamConfig()).items() if key != "spec"}
    shell = {_SEARCH_OPTIONS[key]: value for key, value in own.items()}
    shell |= {PROBLEM_OPTIONS[key]: value for key, value in spec.items()}
    lines = [
        "from clair.redteam import RedTeamConfig, search",
        "from clair.redteam.words import report",
        "from clair.simulation.matrix_model import ProblemSpec",
        "",
        call("spec = ProblemSpec", **differing(config.spec, ProblemSpec())),
        call("result = search", call("RedTeamConfig", "spec", **own)),
        "print(report(result))",
    ]
    return Recipe(
        "\n".join(lines),
        command("python", "-m", "clair", "redteam", options=shell),
        "The same settings give the same attack; `--json FILE` writes it as a plan.",
    )


def attempt_table(attempts: Sequence[Attempt]) -> Table:
    """List the attempts of a search in order."""
    return table(
        "attempts",
        "Every attempt",
        (
            ("harm", "error / oracle"),
            ("suspicion", "suspicion"),
            ("unflagged", "unflagged"),
            ("plan", "plan"),
        ),
        [(a.harm, a.suspicion, a.unseen, a.plan.to_text()) for a in attempts],
        "Means over the draws of the search, which flatter the attacks it chose.",
    )


def search_report(
    config: RedTeamConfig,
    found: Found,
    attempts: dict[str, tuple[Attempt, ...]],
    screen: Screen | None = None,
) -> Report:
    """Report a search: everything it tried, and the worst that stayed unflagged."""
    label = DEFENCES[config.defence].label
    return Report(
        page=PAGE,
        title=f"The computer attacks {label}",
        sentence=found.sentence,
        recipe=search_recipe(config),
        screen=screen or Screen(),
        facts=(
            Fact(f"{found.harm:.2f}", "times the oracle's error", "worst unflagged, fresh draws"),
            Fact(str(len(attempts[config.defence])), "attempts"),
        ),
        sections=(
            Section(
                "Harm against suspicion",
                charts=(attempts_chart(attempts, config.defence, "light"),),
                tables=(attempt_table(attempts[config.defence]),),
            ),
            Section(
                "The worst attack that was found",
                (
                    *_sent(plan_sentences(found.plan, config.spec.n_contaminated)),
                    f"As a plan: `{found.plan.to_text()}`, worst on seed {found.seed}.",
                ),
            ),
        ),
        limits=LIMITS,
        made_with=made_with(),
    )


def search_json(config: RedTeamConfig, found: Found, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Collect a search as JSON values."""
    return {
        "format": FORMAT,
        "kind": "redteam search",
        "version": clair.__version__,
        "sentence": found.sentence,
        "config": asdict(config),
        "found": {"harm": found.harm, "plan": found.plan.to_json(), "seed": found.seed},
        "attempts": [
            {
                "plan": a.plan.to_json(),
                "harm": a.harm,
                "suspicion": a.suspicion,
                "unflagged": a.unseen,
            }
            for a in attempts
        ],
    }


# -- what defeats which defence ----------------------------------------------------------------


def record_table(record: Record) -> Table:
    """List the attacks, a row each, with what they multiply the error by under every defence."""
    alone = record.alone
    rows: list[tuple[object, ...]] = [
        (one.label, *(record.cells[attack, d].harm / alone[d] for d in alone))
        for attack, one in GALLERY.items()
    ]
    rows.append(("Found by the computer", *(record.found[d].harm / alone[d] for d in alone)))
    return table(
        "defeats",
        "What defeats which defence",
        (("attack", "attack"), *((d, DEFENCES[d].label) for d in alone)),
        rows,
        "Error of the honest clients with the attack over that without the attacker's clients, "
        f"means over {len(record.config.draws)} draws; below 1 the attacker helps. The last row is "
        "the worst attack that a search found against each defence without being flagged.",
    )


def caught_table(record: Record) -> Table:
    """List the attacks with the share of the attacker's clients that each CLAIR flags."""
    defences = [d for d in record.alone if d.startswith("clair")]
    return table(
        "caught",
        "Share of the attacker's clients that are flagged",
        (("attack", "attack"), *((d, DEFENCES[d].label) for d in defences)),
        [
            (GALLERY[attack].label, *(record.cells[attack, d].caught for d in defences))
            for attack in GALLERY
        ],
    )


def record_recipe(record: Record) -> Recipe:
    """Write Python and shell for the record; one cell, because all of it takes minutes."""
    lines = [
        "from clair.redteam.record import RECORD_CONFIG, cell",
        "",
        'print(cell(RECORD_CONFIG, "masking", "clair_former"))',
    ]
    budget = record.config.search.budget
    return Recipe(
        "\n".join(lines),
        "python assets/redteam/make.py",
        f"Python gives one cell. The command makes the whole record again, with {budget} runs of "
        "every defence in its search; it takes some minutes.",
    )


def record_report(record: Record, sentence: str, screen: Screen | None = None) -> Report:
    """Report what defeats which defence."""
    spec = record.config.search.spec
    return Report(
        page=PAGE,
        title="What defeats which defence",
        sentence=sentence,
        recipe=record_recipe(record),
        screen=screen or Screen(),
        sections=(
            Section(
                "Attacks and defences",
                tables=(record_table(record), caught_table(record)),
            ),
            Section(
                "The attacks",
                tuple(f"**{one.label}.** {one.description}" for one in GALLERY.values()),
            ),
        ),
        method=(
            f"{spec.n_contaminated} of {spec.n_clients} clients are held by the attacker, updates "
            f"of {spec.d_out} × {spec.d_in} numbers, rank {spec.rank}, noise {spec.noise:g}. Every "
            f"attack is tried on {len(record.config.draws)} draws, and a search of "
            f"{record.config.search.budget} runs looks for the worst against each defence.",
            SOURCE,
        ),
        limits=LIMITS,
        made_with=made_with(),
    )


def record_json(record: Record) -> dict[str, Any]:
    """Collect the record as JSON values, without the attempts."""
    return {
        "format": FORMAT,
        "kind": "redteam record",
        "version": clair.__version__,
        "config": asdict(record.config),
        "alone": dict(record.alone),
        "cells": {
            attack: {d: asdict(record.cells[attack, d]) for d in record.alone} for attack in GALLERY
        },
        "found": {
            d: {"harm": one.harm, "plan": one.plan.to_json(), "seed": one.seed}
            for d, one in record.found.items()
        },
    }
