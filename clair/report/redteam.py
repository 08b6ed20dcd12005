"""What an attack of the Red team page shows and hands out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import clair
from clair.figures.redteam import former_chart, prices_chart, row_label
from clair.figures.verdicts import scenario_kinds, scenario_verdict
from clair.method.kinds import all_evidence
from clair.method.metrics import client_numbers
from clair.method.words import KINDS
from clair.redteam.strike import CAUGHT, MISSED, SUSPECTED, Strike
from clair.redteam.words import cost_words, plan_sentences, strike_sentence
from clair.report.blocks import Block, Fact, OnScreen, Printed, View, Words, columns, plot
from clair.report.document import Report, Screen, Section
from clair.report.export import Export
from clair.report.method import SOURCE, limits_of, method_of
from clair.report.provenance import made_with
from clair.report.recipe import Recipe, call, differing
from clair.report.scenario import (
    IMPORT_PLAN,
    clair_options,
    client_table,
    plan_source,
    scenario_json,
    scenario_recipe,
)
from clair.report.tables import Table, evidence_table, table
from clair.report.verdict import reasons_words
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


_FATES = {CAUGHT: "Caught", SUSPECTED: "Suspect", MISSED: "Missed"}


def headline(found: Strike, rule: str) -> tuple[Fact, ...]:
    """Collect how many were caught, and what it cost."""
    fates = {fate: len(who) for fate, who in found.fates(rule).items()}
    key, name = ("clair_former", "former rule") if rule == "former" else ("clair", "CLAIR")
    return (
        Fact(
            f"{fates[CAUGHT]} of {int(found.held.sum())}",
            "Caught",
            f"{fates[SUSPECTED]} suspect, {fates[MISSED]} missed",
            "Your clients: flagged; suspect, which means refined, but with little or no weight in "
            "what the others learn; kept.",
        ),
        Fact(
            cost_words(found.prices[key].cost),
            f"Cost under {name}",
            "for the honest",
            "Growth of the honest clients' error over that where your clients stay away.",
        ),
        Fact(
            cost_words(found.prices["fedavg"].cost),
            "Cost under averaging",
            "the same attack",
            "The same under plain averaging (FedAvg).",
        ),
    )


def attack(found: Strike, rule: str = "today", stage: bool = False) -> tuple[Block, ...]:
    """Show who is caught by which kind of evidence, and what every defence pays."""
    scores = plot("redteam_scores", scenario_verdict, found.result, "residual")
    if rule == "former":
        scores = plot("redteam_scores", former_chart, found)
    first = columns([scores], [plot("redteam_prices", prices_chart, found, rule=rule)])
    if stage:
        return (first,)
    fates = Words(fates_words(found, rule), "terms")
    plan = found.result.scenario.plan
    assert plan is not None
    lines = [f"* {line}" for line in plan_sentences(plan, int(found.held.sum()))]
    sends = Words("\n".join(["**What they send**", "", *lines]), "terms")
    evidence, fitted = all_evidence(found.result.fit), found.result.fit
    tables = (client_table(found.result), price_table(found), evidence_table(evidence))
    if rule == "former":
        today = Words("**What today's rule says of every client**")
        return (first, columns([fates], [sends]), Printed((today, *tables)))
    why = reasons_words(fitted.degrees, fitted.reasons, fitted.scores, evidence)
    kinds = plot("redteam_kinds", scenario_kinds, found.result)
    return (first, columns([kinds], [fates, sends, OnScreen(why)]), Printed(tables))


def fates_words(found: Strike, rule: str) -> str:
    """List what becomes of the attacker's clients, and which honest ones are flagged."""
    lines = ["**What became of your clients**", ""]
    for fate, clients in found.fates(rule).items():
        if clients:
            by = _by_kind(found, clients) if rule == "today" and fate == CAUGHT else ""
            lines.append(f"* **{_FATES[fate]}** {len(clients)}: {_numbers(clients)}{by}")
    wrong = [k + 1 for k, flag in enumerate(found.flagged(rule)) if flag and not found.held[k]]
    if wrong:
        lines.append(f"* **Honest, and flagged** {len(wrong)}: {_numbers(wrong)}")
    return "\n".join(lines)


def _by_kind(found: Strike, clients: Sequence[int]) -> str:
    """Name the kinds of evidence that flag some clients, with how many each flags."""
    told = []
    for kind in found.result.fit.evidence:
        number = sum(bool(kind.flagged[k - 1]) for k in clients)
        if number:
            told.append(f"{KINDS[kind.kind].name} {number}")
    return f" (by kind of evidence: {', '.join(told)})" if told else ""


def _numbers(clients: Sequence[int]) -> str:
    return ("client " if len(clients) == 1 else "clients ") + ", ".join(map(str, clients))


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


def handed_out(
    name: str,
    title: str,
    sentence: str,
    recipe: Recipe,
    view: View,
    *,
    kind: str,
    tables: Mapping[str, Callable[[], Table]],
    numbers: Callable[[], dict[str, Any]],
    screen: Screen | None,
    facts: tuple[Fact, ...] = (),
    method: tuple[str, ...] = (),
    limits: tuple[str, ...] = (),
) -> Export:
    """Build the downloads of one view of the page; see `Report` and `Export` for the arguments."""
    head = {"format": FORMAT, "kind": f"redteam {kind}", "version": clair.__version__}
    return Export(
        name=f"clair-red-team-{name}",
        recipe=recipe,
        report=lambda: Report(
            page=PAGE,
            title=title,
            sentence=sentence,
            recipe=recipe,
            screen=screen or Screen(),
            facts=facts,
            sections=(Section.of(view),),
            method=(*method, SOURCE),
            limits=(*LIMITS, *limits),
            made_with=made_with(),
        ),
        tables=tables,
        numbers=lambda: {**head, "sentence": sentence, **numbers()},
    )


def strike_export(found: Strike, rule: str, screen: Screen | None = None) -> Export:
    """Build the downloads of an attack."""
    return handed_out(
        f"seed-{found.result.scenario.spec.seed}",
        "You were the attacker",
        strike_sentence(found, rule),
        strike_recipe(found),
        View("Who was caught, and what it cost", partial(attack, found, rule)),
        kind="attack",
        tables={
            "Clients": partial(client_table, found.result),
            "Defences": partial(price_table, found),
        },
        numbers=partial(strike_json, found),
        screen=screen,
        facts=headline(found, rule),
        method=method_of(found.result),
        limits=limits_of(found.result),
    )


def strike_json(found: Strike) -> dict[str, Any]:
    """Collect every number of an attack as JSON values; clients are counted from 1."""
    return {
        "fates": {rule: found.fates(rule) for rule in ("today", "former")},
        "prices": {key: price._asdict() for key, price in found.prices.items()},
        "score": found.score,
        "former": {
            "scores": [float(v) for v in found.former.scores],
            "flagged": client_numbers(found.former.flagged),
        },
        "scenario": scenario_json(found.result),
    }
