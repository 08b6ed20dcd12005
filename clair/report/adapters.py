"""An audit of LoRA adapters in views and a report; names come from outside and are not trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.adapters.report import side_lines
from clair.adapters.result import (
    FLAGGED,
    KEPT,
    NOT_COMPARABLE,
    NOT_JUDGED,
    SUSPECT,
    Audit,
    ClientReport,
    ModuleReport,
)
from clair.adapters.writer import WrittenAdapter
from clair.figures.adapters import (
    client_scores,
    deviation_map,
    layer_map,
    shared_energy,
    sides_compared,
)
from clair.figures.adapters_evidence import evidence_compared, times_typical
from clair.method.evidence import Evidence
from clair.method.words import KINDS
from clair.report.adapters_method import audit_recipe, limits, method_words
from clair.report.blocks import Block, Choice, Listing, OnScreen, Printed, View, plot
from clair.report.document import Fact, Report, Screen, Section
from clair.report.method import SOURCE
from clair.report.provenance import made_with
from clair.report.tables import Table, table
from clair.sentences import count, times

_MAX_LAYER_MAPS = 6


def audit_report(
    audit: Audit,
    written: Sequence[WrittenAdapter] = (),
    *,
    folder: str | None = "DIR",
    screen: Screen | None = None,
) -> Report:
    """Report the verdict by client, where it comes from, and both sides compared.

    Parameters
    ----------
    audit : Audit
    written : sequence of WrittenAdapter
        Refined adapters, if some were written.
    folder : str or None
        Where the adapters lie, for the code that repeats the audit; None for the example.
    screen : Screen, optional
    """
    shown = VIEWS.values() if not audit.reason else ()
    sections = [Section.of(view, audit) for view in shown]
    sections = sections or [Section("Verdict by client", tables=(clients(audit),))]
    if written:
        sections.append(Section("Refined adapters", tables=(_written(written),)))
    return Report(
        page="Your adapters",
        title="Which of these LoRA adapters to trust",
        sentence=audit.sentence(),
        recipe=audit_recipe(audit.options, folder),
        screen=screen or Screen(),
        facts=(*headline(audit), Fact(str(len(audit.modules)), "Modules", audit.base_model)),
        sections=tuple(sections),
        method=(*method_words(audit), SOURCE),
        limits=limits(audit),
        made_with=made_with("safetensors"),
    )


#: What each degree of the verdict means.
DEGREE_WORDS = {
    FLAGGED: "On evidence of poison: not refined, and nobody learns from them.",
    SUSPECT: "A little apart, too little to convict, perhaps with few data, or repeating each "
    "other: refined, but the others learn little or nothing from them.",
    KEPT: "Refined, and the others learn from them.",
    NOT_JUDGED: "Could not be read, or changed only modules that too few others changed.",
}


def headline(audit: Audit) -> tuple[Fact, ...]:
    """Collect the degrees of the verdict, and two numbers that every view is about."""
    counts = {degree: len(audit.named(degree)) for degree in DEGREE_WORDS}
    counts[NOT_JUDGED] += len(audit.named(NOT_COMPARABLE))
    facts = []
    for degree, words in DEGREE_WORDS.items():
        beside = f" of {len(audit.judged_clients)}" * (degree == FLAGGED)
        facts.append(Fact(f"{counts[degree]}{beside}", degree.capitalize(), help=words))
    if audit.reason:
        return tuple(facts)
    margin = audit.sides[audit.side].margin
    clear = times(min(margin, 999.0)) if margin == margin else "–"
    about = "Lowest score above the line over the highest below it: how clear the verdict is."
    rank = f"Directions in each module, {audit.side} side."
    return (
        *facts,
        Fact(clear, "Margin", help=about),
        Fact(str(audit.rank), "Shared rank", help=rank),
    )


# -- views: what the page draws, and the report prints -----------------------------------------


def verdict(audit: Audit) -> tuple[Block, ...]:
    """Show the scores, why the flagged and the suspects are, and all in a table."""
    why = reasons("Why", audit.named(FLAGGED) + audit.named(SUSPECT), mark=True)
    return (plot("adapters_scores", client_scores, audit), OnScreen(why), clients(audit))


def reasons(
    title: str, named: Sequence[ClientReport], *, mark: bool = False
) -> tuple[Listing, ...]:
    """List clients with their reasons in full; with `mark`, also their degree."""
    lines = []
    for client in named:
        why = "; ".join(client.reasons).removeprefix(f"{client.name}: ")
        degree = f", {client.verdict}" * (mark or client.verdict == NOT_COMPARABLE)
        lines.append((client.name, f"{degree}: {why}"))
    return (Listing(tuple(lines), title),) * bool(lines)


def not_judged(audit: Audit) -> tuple[Listing, ...]:
    """List every adapter that could not be judged, with the full reason."""
    return reasons("Not judged", audit.named(NOT_COMPARABLE) + audit.named(NOT_JUDGED))


def kinds(audit: Audit) -> tuple[Block, ...]:
    """Compare the kinds of evidence in a chart and a table."""
    return (plot("adapters_kinds", evidence_compared, audit), evidence(audit))


def where(audit: Audit) -> tuple[Block, ...]:
    """Show all clients by module, and one of them by layer and kind of module."""
    judged = audit.judged_clients
    maps = [plot("adapters_layers", layer_map, audit, k) for k in range(len(judged))]
    worst = max(range(len(judged)), key=lambda k: judged[k].score)
    choice = Choice(
        "adapters_client",
        "Client",
        {str(k): (one,) for k, one in enumerate(maps)},
        {str(k): f"{client.name} ({client.verdict})" for k, client in enumerate(judged)},
        first=str(worst),
        menu=True,
    )
    flagged = [maps[k] for k, client in enumerate(judged) if client.verdict == FLAGGED]
    return (
        plot("adapters_map", deviation_map, audit),
        OnScreen((choice,)),
        Printed(tuple(flagged[:_MAX_LAYER_MAPS])),
    )


def by_module(audit: Audit) -> tuple[Block, ...]:
    """Show what each module shares, and the rank it suggests."""
    return (plot("adapters_energy", shared_energy, audit), modules(audit))


def sides(audit: Audit) -> tuple[Block, ...]:
    """Compare the verdicts of the output side and the input side."""
    lines = Listing(tuple(("", line) for line in side_lines(audit)))
    return (plot("adapters_sides", sides_compared, audit), lines)


VIEWS: dict[str, View] = {
    "verdict": View("Verdict by client", verdict),
    "evidence": View("Kinds of evidence", kinds),
    "where": View("Where they deviate", where),
    "modules": View("Modules", by_module),
    "sides": View("Both sides compared", sides),
}


def clients(audit: Audit) -> Table:
    """List the clients, a row each: flagged first, then suspects, most suspicious first."""
    rows = []
    for client in audit.ranked:
        off = "; ".join(f"{name} ({min(t, 9999):.1f}×)" for name, t in client.where[:2])
        rows.append(
            (
                client.name,
                client.verdict,
                client.score,
                client.margin,
                client.norm,
                client.rank or None,
                "; ".join(client.reasons) or off,
            )
        )
    silent = sum(client.score != client.score for client in audit.ranked) > len(
        audit.named(NOT_COMPARABLE) + audit.named(NOT_JUDGED)
    )
    return table(
        "clients",
        "Every client",
        (
            ("client", "client"),
            ("verdict", "verdict"),
            ("score", "score"),
            ("margin", "score / line"),
            ("contamination_norm", "‖S‖"),
            ("rank", "rank"),
            ("why", "why, or where it deviates most"),
        ),
        rows,
        f"{count(len(rows), 'adapter')}. × is how many times more than usual it deviates there."
        + " Without numbers: judged in the place of the client whose vote they share, one site or "
        "one update, one vote." * silent,
        folded=False,
    )


def evidence(audit: Audit) -> Table:
    """List the kinds of evidence, with a row for each client and a column for each kind."""
    judged = {id(client): k for k, client in enumerate(audit.judged_clients)}
    degrees = np.array([client.verdict for client in audit.judged_clients])
    relative = [times_typical(kind, degrees)[0] for kind in audit.evidence]
    rows = []
    for client in audit.ranked:
        k = judged.get(id(client))
        if k is not None:
            cells = [
                _cell(kind, float(ratio[k]), bool(kind.flagged[k]))
                for kind, ratio in zip(audit.evidence, relative, strict=True)
            ]
            rows.append((client.name, client.verdict, *cells))
    return table(
        "evidence",
        "Every kind of evidence",
        (
            ("client", "client"),
            ("verdict", "verdict"),
            *((kind.kind, KINDS[kind.kind].name) for kind in audit.evidence),
        ),
        rows,
        "× is how many times a typical kept client's score; ▲ stands above the line of that kind. "
        + " ".join(
            f"{KINDS[k.kind].name.capitalize()}: {KINDS[k.kind].about}." for k in audit.evidence
        ),
        folded=False,
    )


def _cell(kind: Evidence, ratio: float, above: bool) -> str:
    if kind.kind == "inside":
        return "against ▲" if above else "with"
    return f"{min(ratio, 9999):.2f}×{' ▲' * above}"


def modules(audit: Audit) -> Table:
    """List the modules, a row each."""
    names = [client.name for client in audit.judged_clients]
    flagged = [k for k, c in enumerate(audit.judged_clients) if c.verdict == FLAGGED]
    return table(
        "modules",
        "Every module",
        (
            ("module", "module"),
            ("shape", "shape"),
            ("n_clients", "clients"),
            ("shared_output", "shared, output"),
            ("shared_input", "shared, input"),
            ("rank_output", "rank, output"),
            ("rank_input", "rank, input"),
            ("furthest", "flagged client furthest off"),
        ),
        [
            (
                module.name,
                f"{module.shape[0]} × {module.shape[1]}",
                module.n_clients,
                module.shared_energy["output"],
                module.shared_energy["input"],
                module.suggested_rank["output"],
                module.suggested_rank["input"],
                _furthest(module, names, flagged),
            )
            for module in audit.modules
        ],
        "Shared: share of a kept client's update in the others' directions, 0 to 1. Rank: how many "
        "directions the updates of this module suggest.",
        folded=False,
    )


def _furthest(module: ModuleReport, names: Sequence[str], flagged: Sequence[int]) -> str:
    here = [(float(module.deviation[k]), names[k]) for k in flagged]
    worst = max((pair for pair in here if pair[0] == pair[0]), default=None)
    return "" if worst is None else f"{worst[1]} ({min(worst[0], 9999):.1f}×)"


def deviations(audit: Audit) -> Table:
    """List how far each client is off what the others share, a row for each client and module."""
    return table(
        "deviations",
        "Every client and module",
        [(name, name) for name in ("client", "verdict", "module", "times_typical")],
        [
            (client.name, client.verdict, module.name, module.deviation[k])
            for k, client in enumerate(audit.judged_clients)
            for module in audit.modules
        ],
    )


def _written(written: Sequence[WrittenAdapter]) -> Table:
    return table(
        "refined",
        "What was written back",
        (("client", "client"), ("rank", "rank"), ("truncation_error", "truncation error")),
        [(w.name, w.rank, w.truncation_error) for w in written],
        "Truncation error: what cutting to the rank lost, relative to the refined update.",
    )
