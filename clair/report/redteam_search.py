"""What the Red team page hands out of a search, and of what defeats which defence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import clair
from clair.figures.redteam import attempts_chart
from clair.redteam import DEFENCES, Attempt, RedTeamConfig
from clair.redteam.gallery import GALLERY
from clair.redteam.record import Found, Record
from clair.redteam.words import plan_sentences
from clair.report.blocks import Fact
from clair.report.document import Report, Screen, Section
from clair.report.export import Export
from clair.report.method import SOURCE
from clair.report.provenance import made_with
from clair.report.recipe import Recipe, call, command, differing
from clair.report.redteam import FORMAT, LIMITS, PAGE, sent
from clair.report.scenario import PROBLEM_OPTIONS
from clair.report.tables import Table, table
from clair.simulation.matrix_model import ProblemSpec

_SEARCH_OPTIONS = {"defence": "--defence", "rank": "--rank", "budget": "--budget"}


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
    attempts: Mapping[str, tuple[Attempt, ...]],
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
                    *sent(plan_sentences(found.plan, config.spec.n_contaminated)),
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


def search_export(
    config: RedTeamConfig,
    found: Found,
    attempts: Mapping[str, tuple[Attempt, ...]],
    screen: Screen | None = None,
) -> Export:
    """Build the downloads of a search; attempts on other defences are drawn beside its own."""
    own = attempts[config.defence]
    return Export(
        name=f"clair-red-team-search-{config.defence}",
        recipe=search_recipe(config),
        report=lambda: search_report(config, found, attempts, screen),
        tables={"Attempts": partial(attempt_table, own)},
        numbers=partial(search_json, config, found, own),
    )


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


def record_export(record: Record, sentence: str, screen: Screen | None = None) -> Export:
    """Build the downloads of the table of what defeats which defence."""
    return Export(
        name="clair-red-team-table",
        recipe=record_recipe(record),
        report=lambda: record_report(record, sentence, screen),
        tables={
            "Attacks": partial(record_table, record),
            "Caught": partial(caught_table, record),
        },
        numbers=partial(record_json, record),
    )
