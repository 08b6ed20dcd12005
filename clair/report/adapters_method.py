"""How an audit was made: its method and limits in words, and the code that repeats it."""

from __future__ import annotations

from clair.adapters.options import AuditOptions
from clair.adapters.result import Audit
from clair.method.detectors import NORMS_GAP
from clair.method.evidence import AGAIN, GAP, WEAK_GAP
from clair.report.document import Verbatim
from clair.report.recipe import Recipe, call, command, differing, literal


def method_words(audit: Audit) -> tuple[str, ...]:
    """Say in words how an audit judged."""
    asked = audit.options
    rank = "chosen from the updates" if asked.rank == "auto" else f"set to {asked.rank}"
    side = f"the {asked.side} side" + ("" if asked.side == "output" else ", as asked")
    kinds = "outside, directions, modules, structure (where others send noise)"
    kinds += ", shape" * asked.compare_shape
    kinds += ", inside (the coefficient screen)" * asked.screen_coefficients
    split = (
        "**The split.** The contamination norm ‖S‖ is the size of a client's part of S when all "
        f"updates are split into low rank plus block sparse ({asked.solver} solver)."
    )
    if asked.detector == "norms":
        return (
            "**The verdict** is the published one: of the contamination norms, joint over all "
            "modules, those above the widest gap are flagged (the first of them at least "
            f"{NORMS_GAP[0]:g} times the last below it and {NORMS_GAP[1]:g} times their median). "
            f"The rank in each module is {rank}; what decides is {side}. Our own detector only "
            "served to choose the rank and λ.",
            split,
        )
    return (
        "**The verdict.** Each adapter's effect on a module is a low-rank matrix. All modules are "
        "judged together: the score of a client is what the directions that the *other* clients "
        "share leave unexplained of its updates, relative to a typical update (ours). Clients "
        "above a gap between scores are flagged, and those above a gap among the scores below it, "
        "until no gap has a far side that is at least "
        f"{GAP[0]:g} times its near side and {GAP[1]:g} times the typical score ({AGAIN[0]:g} "
        f"and {AGAIN[1]:g} times when repeated), and is wide for how much the scores below it "
        "differ. Of several gaps the one counts that chance explains least (below the m highest "
        "scores a gap is about an m-th as wide by chance as below the highest), or if it is not "
        "wide enough the widest. With fewer than 8 clients it must "
        "be wider, and with fewer than 4 nobody is judged. The same is done for every kind of "
        f"evidence ({kinds}). The rank in each module is {rank}; what decides is {side}.",
        "**Suspects.** Above a smaller gap "
        f"({WEAK_GAP[0]:g} and {WEAK_GAP[1]:g} times), or where what lies outside is like noise, "
        "loud or repeats others', a client is suspect: it is refined, but the others learn little "
        "or nothing from it. Clients who repeat each other share one vote.",
        split,
    )


def limits(audit: Audit) -> tuple[str, ...]:
    """Say what an audit does not see, and what its reader should note."""
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


def audit_recipe(options: AuditOptions, folder: str | None) -> Recipe:
    """Write Python and shell for an audit of the adapters below `folder`, or of the example."""
    changed = differing(options, AuditOptions())
    shell = {
        f"--{name}": changed[name]
        for name in ("rank", "side", "solver", "detector")
        if name in changed
    }
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
