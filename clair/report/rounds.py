"""Views of several rounds of a federation, whichever way they were computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clair.federated.results import RoundOutcome
from clair.figures.comparison import Measure
from clair.figures.rounds import accuracy_by_round, means_by_round, verdict_by_round
from clair.method.detection import KEPT
from clair.methods import METHODS
from clair.report.blocks import Block, Choice, OnScreen, View, Words, plot
from clair.report.tables import Table, table


def accuracy_view(
    kind: str,
    rounds: Sequence[RoundOutcome],
    measures: Mapping[str, Measure],
    labels: Mapping[str, str] | None = None,
    title: str = "Accuracy, round by round",
) -> View:
    """Show how the honest clients fare under every method, round by round."""

    def blocks(stage: bool = False) -> tuple[Block, ...]:
        drawn: dict[str, tuple[Block, ...]] = {
            name: (plot(f"{kind}_rounds", accuracy_by_round, rounds, name, measure, labels=labels),)
            for name, measure in measures.items()
        }
        names = {name: measure.title for name, measure in measures.items()}
        shown: tuple[Block, ...] = next(iter(drawn.values()))
        if len(drawn) > 1:
            shown = (Choice(f"{kind}_rounds_measure", "Measured by", drawn, names),)
        listed = accuracy_table(rounds, measures, labels)
        return shown if stage else (*shown, listed)

    return View(title, blocks)


def verdict_rounds_view(
    kind: str,
    rounds: Sequence[RoundOutcome],
    names: Sequence[str] | None = None,
    *,
    reveal: bool = True,
    title: str = "Verdict, round by round",
) -> View:
    """Show who was flagged in which round, and why."""

    def blocks(stage: bool = False) -> tuple[Block, ...]:
        strip = plot(f"{kind}_rounds_verdict", verdict_by_round, rounds, reveal=reveal, names=names)
        if stage:
            return (strip,)
        listed = verdict_table(rounds, names, reveal=reveal)
        return strip, OnScreen((reasons_words(rounds, names),)), listed

    return View(title, blocks)


def reasons_words(rounds: Sequence[RoundOutcome], names: Sequence[str] | None = None) -> Words:
    """List by round who is not simply kept, and why."""
    lines = []
    for one in rounds:
        told = [
            f"  * client {_name(names, k)}, {degree}: {one.reasons[k]}"
            for k, degree in enumerate(one.degrees)
            if degree != KEPT
        ]
        lines += [f"* **Round {one.number}**" + ("" if told else ": everybody is kept."), *told]
    return Words("\n".join(lines))


def accuracy_table(
    rounds: Sequence[RoundOutcome],
    measures: Mapping[str, Measure],
    labels: Mapping[str, str] | None = None,
) -> Table:
    """List the methods, a row each, with a column for each round and measure."""
    columns = [("method", "method"), ("oracle", "oracle")]
    for name, measure in measures.items():
        columns += [
            (f"{name}_round_{one.number}", f"{measure.title}, round {one.number}") for one in rounds
        ]
    means = [means_by_round(rounds, name) for name in measures]
    rows = [
        (
            (labels or {}).get(key, METHODS[key].label),
            METHODS[key].oracle,
            *(float(value) for by_method in means for value in by_method[key]),
        )
        for key in means[0]
    ]
    return table(
        "accuracy_by_round",
        "Every method, round by round",
        columns,
        rows,
        "Mean over the clients that are honest in all rounds.",
    )


def verdict_table(
    rounds: Sequence[RoundOutcome], names: Sequence[str] | None = None, *, reveal: bool = True
) -> Table:
    """List rounds and clients, a row each: truth, verdict and reason."""
    truth = [("truth", "truth")] if reveal else []
    return table(
        "verdict_by_round",
        "Every client, round by round",
        [("round", "round"), ("client", "client"), *truth, ("verdict", "verdict"), ("why", "why")],
        [
            (
                one.number,
                _name(names, k),
                *(["poisoned" if one.poisoned[k] else "honest"] if reveal else []),
                degree,
                one.reasons[k],
            )
            for one in rounds
            for k, degree in enumerate(one.degrees)
        ],
        "The truth is that of the round: before their poison, poisoned clients are honest."
        if reveal
        else "",
    )


def _name(names: Sequence[str] | None, k: int) -> str:
    return names[k] if names else str(k + 1)
