"""Repeated draws of a scenario: blocks, tables and a sentence, on the page and to take away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from clair.figures.repeats import repeated_comparison
from clair.methods import METHODS
from clair.report.blocks import Block, Pair, Plot, Printed, Words, plot
from clair.report.document import Report, Section
from clair.report.export import Export
from clair.report.tables import Table, table
from clair.simulation.sweeps.repeats import Repeats, difference
from clair.simulation.sweeps.summary import LEVEL, mean_interval

#: Sides of a comparison; a single scenario has no name.
Sides = Mapping[str, Repeats]


def repeat_blocks(sides: Sides, chosen: Mapping[str, str]) -> tuple[Block, ...]:
    """Show the methods' errors over the draws, of one scenario or of two beside each other.

    Parameters
    ----------
    sides : mapping of str to Repeats
        One entry, or two named "A" and "B".
    chosen : mapping of str to str
        The variant of CLAIR that each side asks for.
    """
    plots = [
        plot("repeats" + f"_{name.lower()}" * bool(name), repeated_comparison, one)
        for name, one in sides.items()
    ]
    drawn: Plot | Pair = plots[0] if len(plots) == 1 else Pair("repeats", plots[0], plots[1])
    return Words(repeat_sentence(sides, chosen)), drawn, Printed((repeat_table(sides),))


def repeat_sentence(sides: Sides, chosen: Mapping[str, str]) -> str:
    """Say what holds over the draws, and whether two sides can be told apart."""
    parts = [_one(name, one, chosen[name]) for name, one in sides.items()]
    if len(sides) == 2:
        a, b = (one.error_of(chosen[name]) for name, one in sides.items())
        seeds = [one.seeds for one in sides.values()]
        paired = seeds[0] == seeds[1]
        mean, low, high = difference(a, b, paired=paired)
        told = f"B's error is {abs(mean):.2g} {'higher' if mean > 0 else 'lower'} than A's"
        interval = f"{LEVEL:.0%} interval of the difference: {low:+.3g} to {high:+.3g}"
        how = "draw by draw, as the seeds are the same" if paired else "between unlike draws"
        clear = low > 0 or high < 0
        if mean == 0 == low == high:
            parts.append("Both have the same error in every draw")
        elif clear:
            parts.append(f"{told} ({interval}, {how})")
        else:
            parts.append(f"The two cannot be told apart ({interval}, {how})")
    return ". ".join(parts) + "."


def _one(name: str, repeats: Repeats, chosen: str) -> str:
    mean, low, high = mean_interval(repeats.error_of(chosen))
    alone = mean_interval(repeats.error_of("local"))[0]
    exact = int(sum(repeats.exact))
    side = f"{name}: over" if name else "Over"
    return (
        f"{side} {len(repeats.seeds)} draws {METHODS[chosen].label}'s error is {mean:.3g} "
        f"({LEVEL:.0%} interval {low:.3g} to {high:.3g}), that of training alone {alone:.3g}; "
        f"exactly the poisoned were flagged in {exact}"
    )


def repeat_table(sides: Sides) -> Table:
    """List the methods, a row each: mean over the draws, interval, spread of the draws."""
    rows = []
    for name, one in sides.items():
        for method, errors in one.errors:
            mean, low, high = mean_interval(one.error_of(method))
            spread = float(one.error_of(method).std(ddof=1)) if len(errors) > 1 else None
            side = (name,) if name else ()
            rows.append((*side, METHODS[method].label, len(errors), mean, low, high, spread))
    columns = [("side", "side")] if len(sides) == 2 else []
    columns += [("method", "method"), ("draws", "draws"), ("mean", "mean"), ("low", "from")]
    columns += [("high", "to"), ("sd", "± of a draw")]
    return table(
        "repeats",
        "Error of the honest clients over the draws, by method",
        columns,
        rows,
        f"Mean over the honest clients of each draw; from and to are the {LEVEL:.0%} interval of "
        "the mean over the draws.",
    )


def draw_table(sides: Sides) -> Table:
    """List every draw and method, a row each: the dots of the chart."""
    rows = [
        (*((name,) if name else ()), seed, METHODS[method].label, error)
        for name, one in sides.items()
        for method, errors in one.errors
        for seed, error in zip(one.seeds, errors, strict=True)
    ]
    columns = [("side", "side")] if len(sides) == 2 else []
    columns += [("seed", "seed"), ("method", "method"), ("error", "error")]
    return table("draws", "Every draw", columns, rows)


def with_repeats(export: Export, sides: Sides, chosen: Mapping[str, str]) -> Export:
    """Add repeated draws to the downloads of a page: a section, two tables, their numbers."""

    def report() -> Report:
        whole = export.report()
        title = f"Over {len(next(iter(sides.values())).seeds)} draws"
        section = Section(title, blocks=repeat_blocks(sides, chosen))
        return replace(whole, sections=(*whole.sections, section))

    def numbers() -> dict[str, Any]:
        drawn = {name or "repeats": asdict(one) for name, one in sides.items()}
        return export.numbers() | {"repeats": drawn if len(sides) == 2 else drawn["repeats"]}

    more = {"Repeats": partial(repeat_table, sides), "Draws": partial(draw_table, sides)}
    return replace(export, report=report, numbers=numbers, tables={**export.tables, **more})
