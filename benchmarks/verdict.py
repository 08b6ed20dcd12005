"""The verdict against attackers who know it, on seeds that no setting was chosen on.

    python benchmarks/verdict.py [--draws 20] [--only TABLE] [--against TREE]

With ``--against TREE``, a checkout of another version, the same updates are judged there too. With
``--only`` one table is made again, and the others of the result's file stay as they are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _verdict_worlds import (
    COMMON,
    FOREIGN,
    FURTHER,
    NOISE,
    OFF_SUBSPACE,
    OWN_DIRECTION,
    OWN_SPREAD,
    PLANS,
    RANK,
    TIMES_NOISE,
    D,
    World,
    attacked,
    clean,
    own_direction,
    ragged,
    spread,
)

HERE = Path(__file__).resolve().parents[1]
FIRST_SEED = 64000
ATTACKED = ((8, 3), (20, 8), (50, 20))
NEARLY_HALF = ((20, 9), (50, 22))
#: Clients, how many of them change all modules, and how many are poisoned.
RAGGED = ((8, 3, 3), (20, 8, 8))

Cell = tuple[str, str, Callable[[int], World]]


def judge(tree: Path, folder: Path) -> None:
    """Fit every set of updates in a folder, in the tree given, and write what was found."""
    sys.path.insert(0, str(tree))
    import clair

    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            updates = dict(file)
        for rank in (RANK, "auto"):
            result = clair.fit(updates, rank, solver="irls")
            degrees = getattr(result, "degrees", ("kept",) * len(result.flagged))
            np.savez(
                path.with_name(f"{path.stem}-{rank}.npz"),
                flagged=result.flagged,
                suspect=np.array([degree == "suspect" for degree in degrees]),
                **{name: np.asarray(result.refined[name]) for name in updates},
            )


def _error(refined: np.ndarray, true: np.ndarray, good: np.ndarray) -> float:
    return float(np.sqrt(np.sum((refined - true)[good] ** 2, axis=(1, 2)).mean()))


def _row(worlds: list[World], folder: Path, rank: int | str) -> list[float]:
    """Average F1, flagged honest, honest and contaminated suspects, and error over the oracle's.

    The last number is the largest error over the oracle's. Errors are NaN where the truth that they
    need is unknown.
    """
    rows = []
    for index, world in enumerate(worlds):
        found, bad = np.load(folder / f"{index:03d}-{rank}.npz"), world.contaminated
        flagged, suspect, good = found["flagged"], found["suspect"], ~bad
        count = flagged.sum() + bad.sum()
        rows.append(
            [
                2 * (flagged & bad).sum() / count if count else 1.0,
                flagged[good].mean(),
                suspect[good].mean(),
                suspect[bad].mean() if bad.any() else 0.0,
                _error_over_oracle(world, found),
            ]
        )
    return [*np.mean(rows, axis=0), float(np.max(rows, axis=0)[-1])]


def _error_over_oracle(world: World, found: dict[str, np.ndarray]) -> float:
    if world.true_updates is None or world.subspace is None:
        return float("nan")
    updates, basis, good = world.modules["all"], world.subspace, ~world.contaminated
    mean = updates[good].mean(axis=0)
    oracle = basis @ (basis.T @ updates) + mean - basis @ (basis.T @ mean)
    true = world.true_updates
    return _error(found["all"], true, good) / _error(oracle, true, good)


def attacks() -> Iterator[Cell]:
    """List the cells of the main table: name, clients, and how a world is drawn from a seed."""
    from clair.simulation.attacks import ATTACKS

    names = [*PLANS, *(key for key in ATTACKS if key != "alie"), "low_rank x 10", "scaled x 10"]
    for n_clients in (3, 4, 5, 8, 20, 50):
        for kind in ("nobody poisoned", "uneven data"):
            yield kind, str(n_clients), lambda s, k=kind, n=n_clients: clean(k, n, s)
    for name in names:
        for n, bad in ATTACKED:
            yield name, f"{n}, {bad} poisoned", lambda s, a=name, n=n, b=bad: attacked(a, n, b, s)


def nearly_half() -> Iterator[Cell]:
    """List the cells with as many poisoned clients as 45 % allows."""
    for name in (
        "colluding x 10",
        "identical x 10",
        "one x 100 hides a group x 3",
        "ladder",
        "ladder in one direction",
        "colluding",
        "copies",
    ):
        for n, bad in NEARLY_HALF:
            yield name, f"{n}, {bad} poisoned", lambda s, a=name, n=n, b=bad: attacked(a, n, b, s)


def by_size() -> Iterator[Cell]:
    """List the cells of foreign parts around the size of the noise."""
    for kind in FOREIGN:
        for times in TIMES_NOISE:
            for n, bad in ATTACKED:
                name, clients = f"{kind}: {times:g}", f"{n}, {bad} poisoned"
                yield name, clients, lambda s, a=name, n=n, b=bad: attacked(a, n, b, s)


def ragged_modules() -> Iterator[Cell]:
    """List the cells in which clients change different modules."""
    for n, more, _ in RAGGED:
        clients = f"{n}, {more} with more modules"
        yield "nobody poisoned", clients, lambda s, n=n, m=more: ragged("low_rank", n, m, 0, s)
    for name in ("low_rank", "colluding", "colluding x 10", "one x 100 hides a group x 3"):
        for n, more, bad in RAGGED:
            clients = f"{n}, {more} with more modules, {bad} poisoned"
            yield name, clients, lambda s, a=name, c=(n, more, bad): ragged(a, *c, s)


def spread_out() -> Iterator[Cell]:
    """List the cells of honest clients that differ in size and outside the shared subspace."""
    for unevenness in (0.0, 0.5, 1.0):
        for n in (5, 8, 20, 50):
            yield f"unevenness {unevenness:g}", str(n), lambda s, n=n, u=unevenness: spread(n, u, s)
    for times in OWN_DIRECTION:
        for unevenness in (0.0, 0.5, 1.0):
            for n in (8, 20, 50):
                name = f"own direction {times:g}, unevenness {unevenness:g}"
                yield name, str(n), lambda s, c=(n, times, unevenness): own_direction(*c, s)


#: Tables of the result: key, title, what is in it, and its cells.
TABLES: dict[str, tuple[str, str, Callable[[], Iterator[Cell]]]] = {
    "attacks": (
        "Up to 40 % poisoned",
        "The oracle knows who is honest and the true subspace; the error is that of the honest "
        "clients after refinement. Sign flips, copies and echoes stay inside the subspace or send "
        "honest noise, so they are judged by the error alone.",
        attacks,
    ),
    "nearly-half": (
        "45 % poisoned",
        "As above, rounded down to whole clients, for some of the attacks.",
        nearly_half,
    ),
    "sizes": (
        "How large a foreign part must be to be found",
        "Honest updates plus a part outside the shared subspace, so many times as large as the "
        "noise of an update.",
        by_size,
    ),
    "ragged": (
        "Clients that change different modules",
        f"All clients change {COMMON} modules, some {FURTHER} further ones; each module has a "
        "subspace of its own. Poisoned clients attack every module they change. Who they are and "
        "who changes more is drawn independently.",
        ragged_modules,
    ),
    "spread": (
        "Honest clients that differ much",
        "Nobody is poisoned. Each client has a part of its own outside the shared subspace, of "
        f"norm {OFF_SUBSPACE} sqrt(rank); unevenness is the standard deviation of the logarithm of "
        "the sizes of what lies inside. Or it has a direction of its own there, so many times as "
        f"large as the noise on average (logarithm with deviation {OWN_SPREAD}), which grows with "
        "its size. F1 is the share of draws in which nobody is flagged.",
        spread_out,
    ),
}


def measured(
    cells: Iterator[Cell], draws: int, trees: dict[str, Path]
) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Judge the worlds of each cell in each tree, and yield a row's start with its numbers."""
    for name, clients, draw in cells:
        worlds = [draw(FIRST_SEED + i) for i in range(draws)]
        rows: dict[str, dict[str, list[float]]] = {str(rank): {} for rank in (RANK, "auto")}
        for label, tree in trees.items():
            with TemporaryDirectory() as place:
                folder = Path(place)
                for index, world in enumerate(worlds):
                    np.savez(folder / f"{index:03d}.npz", **world.modules)
                command = [sys.executable, __file__, "--judge", str(tree), str(folder)]
                subprocess.run(command, check=True)
                for rank, row in rows.items():
                    row[label] = _row(worlds, folder, rank)
        for rank, row in rows.items():
            yield f"| {name} | {clients} | {rank} |", row


def table(cells: Iterator[Cell], draws: int, trees: dict[str, Path]) -> list[str]:
    """Write the rows of a table, and print them as they come."""
    before = "before" in trees
    lines = [
        "| attack | clients | rank | F1 | honest flagged | honest suspect | poisoned suspect "
        "| error over the oracle's: mean | most |" + (" before: F1 | mean |" if before else ""),
        "|---" * (9 + 2 * before) + "|",
    ]
    for start, row in measured(cells, draws, trees):
        f1, alarms, doubts, caught, mean, most = row["now"]
        line = f"{start} {f1:.2f} | {alarms:.3f} | {doubts:.2f} | {caught:.2f} "
        line += f"| {_ratio(mean)} | {_ratio(most)} |"
        if before:
            line += f" {row['before'][0]:.2f} | {_ratio(row['before'][4])} |"
        lines.append(line)
        print(line, flush=True)
    return lines


def _ratio(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--only", choices=TABLES, help="make one table again")
    parser.add_argument("--against", type=Path, metavar="TREE")
    parser.add_argument("--judge", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.judge:
        judge(*args.judge)
        return
    from _margins import RESULTS

    trees = {"now": HERE}
    if args.against:
        trees["before"] = args.against.resolve()
    place = RESULTS / "verdict.md"
    old = place.read_text(encoding="utf-8").split("\n## ")[1:] if args.only else []
    sections = {part.partition("\n")[0]: part for part in old}
    for key in [args.only] if args.only else TABLES:
        started, (title, about, cells) = time.time(), TABLES[key]
        lines = table(cells(), args.draws, trees)
        made = f"Made by `python benchmarks/verdict.py --draws {args.draws} --only {key}` in "
        made += f"{time.time() - started:.0f} s."
        sections[title] = "\n".join([title, "", about, "", *lines, "", made, ""])
    head = (
        "# The verdict against attackers who know it\n\n"
        f"Updates of {D} x {D}, rank {RANK}, noise {NOISE}, median-subspace solver, otherwise "
        f"default options; draws from seed {FIRST_SEED} on, which no setting was chosen on.\n"
    )
    parts = [sections[title] for title, _, _ in TABLES.values() if title in sections]
    RESULTS.mkdir(exist_ok=True)
    place.write_text("\n## ".join([head, *parts]), encoding="utf-8")


if __name__ == "__main__":
    main()
