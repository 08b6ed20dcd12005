"""The report of an audit of LoRA adapters; their names come from outside and are never trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.adapters.options import AuditOptions
from clair.adapters.report import side_lines
from clair.adapters.result import FLAGGED, KEPT, SUSPECT, Audit, ModuleReport
from clair.adapters.writer import WrittenAdapter
from clair.figures.adapters import (
    client_scores,
    deviation_map,
    layer_map,
    shared_energy,
    sides_compared,
)
from clair.figures.adapters_evidence import evidence_compared, times_typical
from clair.figures.base import Chart
from clair.method.evidence import AGAIN, GAP, WEAK_GAP, Evidence
from clair.method.words import KINDS
from clair.report.document import Fact, Report, Screen, Section, Verbatim
from clair.report.method import SOURCE
from clair.report.provenance import made_with
from clair.report.recipe import Recipe, call, command, differing, literal
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
    sections = [Section("Verdict by client", charts=_scores(audit), tables=(clients(audit),))]
    if not audit.reason:
        flagged = [k for k, c in enumerate(audit.judged_clients) if c.verdict == FLAGGED]
        maps = [layer_map(audit, k, "light") for k in flagged[:_MAX_LAYER_MAPS]]
        sections += [
            Section(
                "Kinds of evidence",
                charts=(evidence_compared(audit, "light"),),
                tables=(evidence(audit),),
            ),
            Section("Where they deviate", charts=(deviation_map(audit, "light"), *maps)),
            Section(
                "Modules, and both sides compared",
                tuple(f"{line[0].upper()}{line[1:]}." for line in side_lines(audit)),
                charts=(shared_energy(audit, "light"), sides_compared(audit, "light")),
                tables=(modules(audit),),
            ),
        ]
    if written:
        sections.append(Section("Refined adapters", tables=(_written(written),)))
    return Report(
        page="Your adapters",
        title="Which of these LoRA adapters to trust",
        sentence=audit.sentence(),
        recipe=audit_recipe(audit.options, folder),
        screen=screen or Screen(),
        facts=_facts(audit),
        sections=tuple(sections),
        method=(*_method(audit), SOURCE),
        limits=_limits(audit),
        made_with=made_with("safetensors"),
    )


def _scores(audit: Audit) -> tuple[Chart, ...]:
    return () if audit.reason else (client_scores(audit, "light"),)


def _facts(audit: Audit) -> tuple[Fact, ...]:
    n = len(audit.judged_clients)
    missing = len(audit.clients) - n
    facts = [
        Fact(f"{len(audit.named(FLAGGED))} of {n}", "flagged", "of those that could be judged"),
        Fact(str(len(audit.named(SUSPECT))), "suspect", "refined, with little or no weight"),
        Fact(str(len(audit.named(KEPT))), "kept", f"{missing} not comparable or not judged"),
        Fact(str(len(audit.modules)), "modules", audit.base_model),
    ]
    if not audit.reason:
        side = audit.sides[audit.side]
        clear = times(min(side.margin, 999.0)) if side.margin == side.margin else "–"
        facts.append(Fact(clear, "margin of the verdict", "lowest flagged over highest kept score"))
        facts.append(Fact(str(audit.rank), "shared rank", f"{audit.side} side"))
    return tuple(facts)


def _method(audit: Audit) -> tuple[str, ...]:
    asked = audit.options
    rank = "chosen from the updates" if asked.rank == "auto" else f"set to {asked.rank}"
    side = f"the {asked.side} side" + ("" if asked.side == "output" else ", as asked")
    kinds = "outside, directions, modules" + ", shape" * asked.compare_shape
    kinds += ", inside (the coefficient screen)" * asked.screen_coefficients
    return (
        "**The verdict.** Each adapter's effect on a module is a low-rank matrix. All modules are "
        "judged together: the score of a client is what the directions that the *other* clients "
        "share leave unexplained of its updates, relative to a typical update (ours). Clients "
        "above the widest gap between scores are flagged, and those above the widest gap among "
        "the scores below it, until no gap has a far side that is at least "
        f"{GAP[0]:g} times its near side and {GAP[1]:g} times the typical score ({AGAIN[0]:g} "
        f"and {AGAIN[1]:g} times when repeated), and is wide for how much the scores below it "
        "differ; with fewer than 8 clients it must be wider, "
        "and with fewer than 4 nobody is judged. The same is done for every kind of evidence "
        f"({kinds}). The rank in each module is {rank}; what decides is {side}.",
        "**Suspects.** Above a smaller gap "
        f"({WEAK_GAP[0]:g} and {WEAK_GAP[1]:g} times), or where what lies outside is like noise, "
        "loud or repeats others', a client is suspect: it is refined, but the others learn little "
        "or nothing from it. Clients who repeat each other share one vote.",
        f"**The split.** The contamination norm ‖S‖ is the size of a client's part of S when all "
        f"updates are split into low rank plus block sparse ({asked.solver} solver).",
    )


def _limits(audit: Audit) -> tuple[str, ...]:
    notes = [*audit.notes, *(f"{c.name}: {note}" for c in audit.clients for note in c.notes)]
    return (
        *map(Verbatim, notes),
        *[audit.caveat] * bool(audit.caveat),
        "A flag says that an adapter does not share what the others have in common. That may be "
        "poison, or honest work on something else: look at it before you judge a person by it.",
        "From one half of the clients on no method can tell poisoned from honest: whoever is in "
        "the majority looks honest.",
        "Poison that stays inside the directions all share, such as a flipped sign, is seen by "
        "the coefficient screen only, and a weak one by nothing. The shape of an update convicts "
        "nobody who takes care to look ordinary.",
    )


def clients(audit: Audit) -> Table:
    """List the clients, a row each: flagged first, then suspects, most suspicious first."""
    rows = []
    for client in audit.ranked:
        where = "; ".join(f"{name} ({min(t, 9999):.1f}×)" for name, t in client.where[:2])
        why = "; ".join(client.reasons) or where
        rows.append(
            (
                client.name,
                client.verdict,
                client.score,
                client.margin,
                client.norm,
                client.rank or None,
                why,
            )
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
        f"{count(len(rows), 'adapter')}. × is how many times more than usual it deviates there.",
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


def audit_recipe(options: AuditOptions, folder: str | None) -> Recipe:
    """Write Python and shell for an audit of the adapters below `folder`, or of the example."""
    changed = differing(options, AuditOptions())
    shell = {f"--{name}": changed[name] for name in ("rank", "side", "solver") if name in changed}
    if options.screen_coefficients:
        shell["--screen"] = True
    if not options.compare_shape:
        shell["--no-shape"] = True
    halved = options.pooling == "halves"
    if halved:
        shell["--halves"] = ("DIR_A", "DIR_B")
    elif "pooling" in changed:
        shell["--pooling"] = changed["pooling"]
    names = ["AuditOptions", "audit", "read_folder", *["read_halves"] * halved]
    where = "EXAMPLE" if folder is None else f"Path({literal(folder)})"
    lines = [
        *["from pathlib import Path", ""] * (folder is not None or halved),
        f"from clair.adapters import {', '.join(['EXAMPLE'] * (folder is None) + names)}",
        "",
        f"adapters = read_folder({where})",
        *['halves = read_halves(Path("DIR_A"), Path("DIR_B"))'] * halved,
        call("options = AuditOptions", **changed),
        f"result = audit(adapters, options{', halves=halves' * halved})",
        "",
        "print(result.sentence())",
        "for client in result.clients:",
        '    print(f"{client.name:<24} {client.verdict:<14} {client.score:.6g}")',
    ]
    return Recipe(
        "\n".join(lines),
        command("python", "-m", "clair", "audit", folder or "--example", options=shell),
        "`DIR` is a folder that holds the adapters, one folder each. " * (folder == "DIR")
        + "`DIR_A` and `DIR_B` hold the clients' half adapters under the same names. " * halved
        + "`--out FILE` writes all numbers.",
    )
