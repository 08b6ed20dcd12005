"""What attacks teach: the Red team page's lessons, each with what both rules said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from clair.redteam.strike import CAUGHT, Strike
from clair.redteam.words import effect_words
from clair.report.blocks import Block, Frame, OnScreen, Parts, Printed, View, Words
from clair.report.document import Screen
from clair.report.export import Export
from clair.report.recipe import Recipe, call, differing, literal
from clair.report.redteam import handed_out, strike_json
from clair.report.scenario import IMPORT_PLAN, plan_source, scenario_recipe
from clair.report.tables import Table, table
from clair.sentences import count
from clair.simulation.matrix_model import ProblemSpec

_RULES = (("Today's rule", "today", "clair"), ("the former rule", "former", "clair_former"))


class Lesson(NamedTuple):
    """One thing that an attack teaches.

    Attributes
    ----------
    title, words : str
    source : str
        The literature it belongs to, and what is ours.
    strike : Strike
        What the attack does.
    """

    title: str
    words: str
    source: str
    strike: Strike


Lessons = Mapping[str, Lesson]


def lessons_sentence(lessons: Lessons) -> str:
    """Write the plain sentence of the lessons."""
    few = [
        one.strike for one in lessons.values() if 2 * one.strike.held.sum() < one.strike.held.size
    ]
    held = sum(int(one.held.sum()) for one in few)
    today, former = (sum(len(one.fates(r)[CAUGHT]) for one in few) for r in ("today", "former"))
    return (
        f"In {count(len(few), 'attack')} by a minority you hold {held} clients in all: today's "
        f"rule catches {today} of them, the former rule {former}."
    )


def lessons_view(
    lessons: Lessons,
    *,
    stage: bool = False,
    opener: Callable[[str], Block] = lambda key: OnScreen(()),
) -> tuple[Block, ...]:
    """Show what each kind of attack teaches; `opener` makes the block that opens it by its key."""
    frames = {
        one.title: Frame(
            (
                Words(f"**{one.title}.** {one.words}"),
                Words(_both_rules(one.strike)),
                Words(f"Source: {one.source}", "caption"),
                opener(key),
            )
        )
        for key, one in lessons.items()
    }
    if stage:
        return (Parts("redteam_lesson", {title: (frame,) for title, frame in frames.items()}),)
    return (*frames.values(), Printed((lessons_table(lessons),)))


def _both_rules(found: Strike) -> str:
    told = []
    for name, rule, key in _RULES:
        caught = f"{len(found.fates(rule)[CAUGHT])} of {int(found.held.sum())}"
        effect = effect_words(found.prices[key].cost).replace("them", "the honest")
        told.append(f"{name} catches {caught}, and the attack {effect}")
    return f"*{'; '.join(told)}.*"


def lessons_table(lessons: Lessons) -> Table:
    """List the attacks, a row each, with what both rules said and what the honest paid."""
    heads = [("attack", "attack"), ("held", "clients you hold")]
    for name, rule, _ in _RULES:
        who = name.removeprefix("the ").capitalize()
        heads += [(f"caught_{rule}", f"{who}: caught"), (f"added_{rule}", f"{who}: added")]
    rows = []
    for one in lessons.values():
        row: list[object] = [one.title, int(one.strike.held.sum())]
        for _, rule, key in _RULES:
            row += [len(one.strike.fates(rule)[CAUGHT]), one.strike.prices[key].cost]
        rows.append(row)
    return table(
        "lessons",
        "What both rules said",
        heads,
        rows,
        "Added: growth of the honest clients' error over that where your clients stay away.",
    )


def lessons_recipe(lessons: Lessons) -> Recipe:
    """Write Python for all the attacks, and shell for the first."""
    first = next(iter(lessons.values())).strike.result.scenario
    lines = [
        "from clair.redteam.strike import strike",
        IMPORT_PLAN,
        "from clair.simulation.matrix_model import ProblemSpec",
        "from clair.simulation.scenario import Scenario",
        "",
        "attacks = {",
    ]
    for one in lessons.values():
        scenario = one.strike.result.scenario
        spec = call("ProblemSpec", **differing(scenario.spec, ProblemSpec()))
        how = (spec, *plan_source(scenario))
        lines.append(call(f"    {literal(one.title)}: Scenario", *how) + ",")
    lines += [
        "}",
        "for name, scenario in attacks.items():",
        "    found = strike(scenario)",
        '    for rule, key in (("today", "clair"), ("former", "clair_former")):',
        '        caught = len(found.fates(rule)["caught"])',
        '        print(f"{name}, {rule}: {caught} caught, {found.prices[key].cost:+.1%}")',
    ]
    return Recipe(
        "\n".join(lines),
        scenario_recipe(first).command,
        "The command judges the first of these attacks by today's rule.",
    )


def lessons_export(lessons: Lessons, screen: Screen | None = None) -> Export:
    """Build the downloads of the lessons."""
    return handed_out(
        "lessons",
        "What attacks teach",
        lessons_sentence(lessons),
        lessons_recipe(lessons),
        View("What each attack teaches", partial(lessons_view, lessons)),
        kind="lessons",
        tables={"Attacks": partial(lessons_table, lessons)},
        numbers=lambda: {key: strike_json(one.strike) for key, one in lessons.items()},
        screen=screen,
    )
