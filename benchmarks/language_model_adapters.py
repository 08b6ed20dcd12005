"""The verdict on adapters that were trained on a real language model.

    python benchmarks/language_model_adapters.py FOLDER [--about TEXT] [--only NAME]

FOLDER holds one .npz file a federation, all clients of which fine-tuned one model by LoRA:

- ``B/<module>`` (n, d_out, rank) and ``A/<module>`` (n, rank, d_in): the factors of n updates;
- ``who`` (n,): "honest", or the poison that a client trained on;
- ``client`` (n,): whose update it is, counted from 0.

Every client has one honest update; those who can be poisoned have one more for each poison. An
attacked federation is made of the honest updates of the others and the poisoned ones of these. A
boost multiplies what they send by 3, a sign flip their honest updates by -1.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _margins import write

import clair
from clair.method.kinds import all_evidence
from clair.method.words import KINDS

BOOST = 3.0
HONEST, FLIP = "honest", "sign flip"
REMARK = (
    'Development sets: settings of the detector, above all those of the kind "shape", were chosen '
    "with these federations in view, so the figures flatter it. `clair.fit` with the automatic "
    "rank, the median-subspace solver and otherwise default options. Counts are sums over the "
    "federations, AUCs (how often a poisoned client scores above an honest one; 1/2 is chance) are "
    "means. The best kind is chosen by its AUC, so with hindsight."
)


class Row(NamedTuple):
    """What was found in one federation."""

    poisoned: int
    found: int
    suspect: int
    without_shape: int
    honest: int
    honest_flagged: int
    honest_suspect: int
    auc: dict[str, float]


def attacked(
    file: dict[str, np.ndarray], attack: str
) -> tuple[dict[str, clair.LoraFactors], np.ndarray]:
    """Put an attacked federation together: its updates, and who is poisoned."""
    who, client = file["who"], file["client"]
    poison, _, boost = attack.partition(" x ")
    n_clients = int((who == HONEST).sum())
    rows = np.array([np.flatnonzero((who == HONEST) & (client == k))[0] for k in range(n_clients)])
    poisoned, factor = np.zeros(n_clients, dtype=bool), np.ones(n_clients)
    if poison == FLIP:
        poisoned[np.unique(client[who != HONEST])] = True
        factor[poisoned] = -1
    elif poison != "none":
        for row in np.flatnonzero(who == poison):
            poisoned[client[row]], rows[client[row]] = True, row
        factor[poisoned] = float(boost or 1)
    names = [key[2:] for key in file if key.startswith("B/")]
    updates = {
        name: clair.LoraFactors(
            factor[:, None, None] * file[f"B/{name}"][rows].astype(float),
            file[f"A/{name}"][rows].astype(float),
        )
        for name in names
    }
    return updates, poisoned


def auc(scores: np.ndarray, poisoned: np.ndarray) -> float:
    """Compute how often a poisoned client scores above an honest one; a tie counts half."""
    apart = scores[poisoned][:, None] - scores[~poisoned]
    return float(np.mean((apart > 0) + 0.5 * (apart == 0))) if apart.size else float("nan")


def judged(file: dict[str, np.ndarray], attack: str) -> Row:
    """Judge one attacked federation."""
    updates, bad = attacked(file, attack)
    options: dict[str, Any] = {"rank": "auto", "solver": "irls"}
    fit = clair.fit(updates, **options)
    plain = clair.fit(updates, **options, compare_shape=False)
    return Row(
        int(bad.sum()),
        int(fit.flagged[bad].sum()),
        int(fit.suspect[bad].sum()),
        int(plain.flagged[bad].sum()),
        int((~bad).sum()),
        int(fit.flagged[~bad].sum()),
        int(fit.suspect[~bad].sum()),
        {kind.kind: auc(kind.scores, bad) for kind in all_evidence(fit)},
    )


def cells(attack: str, rows: list[Row]) -> str:
    """Write the row of an attack: sums over the federations, and mean AUCs."""
    total = {name: sum(getattr(row, name) for row in rows) for name in Row._fields[:-1]}
    honest = f"{total['honest_flagged']} / {total['honest_suspect']} of {total['honest']}"
    start = f"| {attack.replace('_', ' ')} | {len(rows)} |"
    if not total["poisoned"]:
        return f"{start} – | – | – | {honest} | – | – |"
    aucs = {kind: float(np.mean([row.auc[kind] for row in rows])) for kind in rows[0].auc}
    best = max(aucs, key=lambda kind: aucs[kind])
    return (
        f"{start} {total['found']} of {total['poisoned']} | {total['suspect']} "
        f"| {total['without_shape']} | {honest} | {next(iter(aucs.values())):.2f} "
        f"| {aucs[best]:.2f} ({KINDS[best].name}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--about", default="", metavar="TEXT", help="what the federations are")
    parser.add_argument("--only", metavar="NAME", help="one attack; prints and writes no result")
    args = parser.parse_args()
    started, files = time.time(), []
    for path in sorted(args.folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as opened:
            files.append(dict(opened))
    if not files:
        raise SystemExit(f"no .npz file in {args.folder}")
    poisons = sorted({str(who) for file in files for who in file["who"]} - {HONEST})
    names = ["none", *(n for p in poisons for n in (p, f"{p} x {BOOST:g}")), FLIP]
    lines = [
        "| attack | federations | found | suspect | found without shape | honest flagged / suspect "
        "| AUC: deciding score | best kind |",
        "|---" * 8 + "|",
    ]
    for name in [args.only] if args.only else names:
        having = [
            f for f in files if name in ("none", FLIP) or name.partition(" x ")[0] in f["who"]
        ]
        lines.append(cells(name, [judged(file, name) for file in having]))
        print(lines[-1], flush=True)
    if not args.only:
        parts = ["# The verdict on adapters of a language model", "", args.about, "", *lines]
        write("language_model_adapters", parts, started, REMARK)


if __name__ == "__main__":
    main()
