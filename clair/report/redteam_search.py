"""What the Red team page shows of a search, and of what defeats which defence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from clair.figures.redteam import attempts_chart, frontiers_chart, short_label
from clair.figures.redteam_table import multiples_table
from clair.redteam import DEFENCES, Attempt, RedTeamConfig
from clair.redteam.gallery import GALLERY
from clair.redteam.record import Found, Record
from clair.redteam.words import cost_words, plan_sentences, times_words
from clair.report.blocks import (
    Block,
    Choice,
    Fact,
    Markup,
    OnScreen,
    Printed,
    View,
    Words,
    columns,
    plot,
)
from clair.report.document import Screen
from clair.report.export import Export
from clair.report.recipe import Recipe, call, command, differing
from clair.report.redteam import handed_out
from clair.report.scenario import PROBLEM_OPTIONS
from clair.report.tables import Table, table
from clair.simulation.matrix_model import ProblemSpec

#: What was tried on each defence, in order.
Attempts = tuple[tuple[str, tuple[Attempt, ...]], ...]
#: Makes the block that opens an attack elsewhere, from how its buttons' keys begin.
Opener = Callable[[str, RedTeamConfig, Found], Block]
#: Key of the chart whose marks are attempts.
ATTEMPTS = "redteam_attempts"
_SEARCH_OPTIONS = {"defence": "--defence", "rank": "--rank", "budget": "--budget"}


def no_opener(key: str, config: RedTeamConfig, found: Found) -> Block:
    """Open nothing, as on paper."""
    return OnScreen(())


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


def search_view(
    config: RedTeamConfig,
    attempts: Attempts,
    found: Found | None = None,
    *,
    stage: bool = False,
    opener: Opener = no_opener,
) -> tuple[Block, ...]:
    """Show harm against suspicion, and the worst attack that stayed unflagged.

    Parameters
    ----------
    config : RedTeamConfig
    attempts : tuple of (defence, attempts)
        Those on other defences in the same federation are compared.
    found : Found, optional
        What the search found, once it has ended.
    stage : bool
    opener : callable
        Makes the block that opens the attack elsewhere.
    """
    known = tuple(pair for pair in attempts if pair[1])
    tried, key = dict(known).get(config.defence), config.defence
    drawn: list[list[Block]] = []
    if tried:
        drawn.append([plot(ATTEMPTS, attempts_chart, tried, key, stage=stage)])
        if found is not None and not stage:
            click = Words("Click a mark to open it as your attack.", "caption")
            drawn[0].append(OnScreen((click,)))
    if len(known) > len(drawn):
        drawn.append([plot("redteam_frontiers", frontiers_chart, known, key, stage=stage)])
    charts = [columns(*drawn)] * bool(drawn)
    if found is None or stage:
        return tuple(charts)
    worst = (
        f"**The worst undetected attack** gives {times_words(found.harm)} the oracle's error, as a "
        f"mean over fresh draws; the worst of them has seed {found.seed}."
    )
    plan = Words(f"As a plan: `{found.plan.to_text()}`")
    return (
        *charts,
        _sent(worst, config, found),
        opener("redteam_worst", config, found),
        Printed((plan, attempt_table(tried or ()))),
    )


def _sent(words: str, config: RedTeamConfig, found: Found) -> Words:
    """Say what the groups of an attack send, below some words."""
    lines = plan_sentences(found.plan, config.spec.n_contaminated)
    return Words("\n".join([words, "", *(f"* {line}" for line in lines)]), "terms")


def search_export(
    config: RedTeamConfig, found: Found, attempts: Attempts, screen: Screen | None = None
) -> Export:
    """Build the downloads of a search; attempts on other defences are drawn beside its own."""
    own = dict(attempts)[config.defence]
    return handed_out(
        f"search-{config.defence}",
        f"The computer attacks {DEFENCES[config.defence].label}",
        found.sentence,
        search_recipe(config),
        View("Harm against suspicion", partial(search_view, config, attempts, found)),
        kind="search",
        tables={"Attempts": partial(attempt_table, own)},
        numbers=partial(_search_numbers, config, found, own),
        screen=screen,
        facts=(
            Fact(times_words(found.harm), "the oracle's error", "worst unflagged, fresh draws"),
            Fact(str(len(own)), "attempts"),
        ),
    )


def _search_numbers(
    config: RedTeamConfig, found: Found, attempts: Sequence[Attempt]
) -> dict[str, Any]:
    """Collect a search as JSON values."""
    return {
        "config": asdict(config),
        "found": _found_numbers(found),
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


def _found_numbers(found: Found) -> dict[str, Any]:
    return {"harm": found.harm, "plan": found.plan.to_json(), "seed": found.seed}


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
    """List the attacks with what is sent, and whom of the attacker's clients each CLAIR flags."""
    defences = [d for d in record.alone if d.startswith("clair")]
    return table(
        "caught",
        "What these attacks send, and the share of the attacker's clients that is flagged",
        (
            ("attack", "attack"),
            *((d, DEFENCES[d].label) for d in defences),
            ("sent", "what is sent"),
        ),
        [
            (one.label, *(record.cells[attack, d].caught for d in defences), one.description)
            for attack, one in GALLERY.items()
        ],
    )


def record_sentence(record: Record) -> str:
    """Write the plain sentence of the record."""
    ratios = {key: record.found[key].harm / record.alone[key] for key in record.alone}
    rules = {key: value for key, value in ratios.items() if not key.startswith("clair")}
    least = min(rules, key=lambda key: rules[key])
    former, clair_itself = ratios["clair_former"], ratios["clair"]
    return (
        f"The worst unflagged attack that the computer found adds {cost_words(clair_itself - 1)} "
        f"to the honest clients' error under CLAIR, and {cost_words(former - 1)} under the former "
        f"rule. Of the others {DEFENCES[least].label} loses least, {cost_words(rules[least] - 1)}."
    )


def record_view(
    record: Record, *, stage: bool = False, opener: Opener = no_opener
) -> tuple[Block, ...]:
    """Show what defeats which defence, and the worst attack that was found on each."""
    numbers = record_table(record)
    colored = Markup(
        multiples_table,
        (
            tuple(short_label(key) for key in numbers.columns[1:]),
            tuple((name, tuple(values)) for name, *values in numbers.rows),
        ),
        {"label": numbers.title, "room": ".16rem .3rem" if stage else ".3rem .4rem"},
    )
    caption = Words(numbers.caption, "caption")
    if stage:
        return (colored, caption)
    spec = record.config.search.spec
    made = (
        f"Made beforehand: {spec.n_contaminated} of {spec.n_clients} clients held, rank "
        f"{spec.rank}, noise {spec.noise:g}, {record.config.search.budget} runs of each defence in "
        "its search."
    )
    worst: dict[str, tuple[Block, ...]] = {}
    for key, found in record.found.items():
        config = record.config.config_of(key)
        worst[key] = (_sent(found.sentence, config, found), opener("redteam_table", config, found))
    names = {key: DEFENCES[key].label for key in worst}
    return (
        colored,
        caption,
        Words(made, "caption"),
        caught_table(record),
        Choice("redteam_against", "The worst attack found against", worst, names, menu=True),
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


def record_export(record: Record, screen: Screen | None = None) -> Export:
    """Build the downloads of the table of what defeats which defence."""
    spec = record.config.search.spec
    return handed_out(
        "table",
        "What defeats which defence",
        record_sentence(record),
        record_recipe(record),
        View("Attacks and defences", partial(record_view, record)),
        kind="record",
        tables={
            "Attacks": partial(record_table, record),
            "Caught": partial(caught_table, record),
        },
        numbers=partial(_record_numbers, record),
        screen=screen,
        method=(
            f"{spec.n_contaminated} of {spec.n_clients} clients are held by the attacker, updates "
            f"of {spec.d_out} × {spec.d_in} numbers, rank {spec.rank}, noise {spec.noise:g}. Every "
            f"attack is tried on {len(record.config.draws)} draws, and a search of "
            f"{record.config.search.budget} runs looks for the worst against each defence.",
        ),
    )


def _record_numbers(record: Record) -> dict[str, Any]:
    """Collect the record as JSON values, without the attempts."""
    return {
        "config": asdict(record.config),
        "alone": dict(record.alone),
        "cells": {
            attack: {d: asdict(record.cells[attack, d]) for d in record.alone} for attack in GALLERY
        },
        "found": {d: _found_numbers(one) for d, one in record.found.items()},
    }
