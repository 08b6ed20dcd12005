"""The verdict against attackers who know it, on seeds that no setting was chosen on.

    python benchmarks/verdict.py [--draws 20] [--against TREE]

With ``--against TREE``, a checkout of another version, the same updates are judged there too.
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

HERE = Path(__file__).resolve().parents[1]
FIRST_SEED = 64000
D, RANK, NOISE = 32, 3, 0.03
ATTACKED = ((8, 3), (20, 8), (50, 20))
#: Plans beside the attacks that ship: name, tactics.
PLANS: dict[str, list[dict[str, float]]] = {
    "colluding x 10": [{"own": 0, "size": 10, "directions": 3, "alike": 0.5}],
    "identical x 10": [{"size": 10, "directions": 3}],
    "one shared direction x 3": [{"size": 1.5, "alike": 0.5}],
    "rank 1 of honest size, no noise": [{"own": 0, "size": 1, "noise": 0}],
    "one x 100 hides a group x 3": [
        {"share": 0, "size": 40, "agree": 0, "alike": 0},
        {"size": 1.1, "directions": 3},
    ],
    "two x 100 hide a group x 8": [
        {"share": 0.25, "size": 40, "agree": 0, "alike": 0},
        {"share": 0.75, "size": 3, "directions": 3},
    ],
    "ladder in one direction": [{"size": 0.05, "ladder": 1.09}],
    "common matrix of the noise's size": [{"size": 0.373, "directions": 0, "noise": 0}],
    "common direction of the noise's size": [{"size": 0.373, "noise": 0}],
    "half of another's noise": [{"echo": 0.6, "noise": 0.8}],
    "tilt .3, no noise": [{"tilt": 0.3, "noise": 0}],
    "tilt .2, no noise": [{"tilt": 0.2, "noise": 0}],
    "near nothing, and colluders x 10": [
        {"share": 0.3, "own": 0.0001, "noise": 0},
        {"share": 0.7, "own": 0, "size": 10, "directions": 3, "alike": 0},
    ],
}

World = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def attacked(name: str, n_clients: int, n_bad: int, seed: int) -> World:
    """Draw updates, true updates, who is contaminated, and the shared subspace."""
    from clair.attack_plan import AttackPlan
    from clair.synthetic import ProblemSpec, sample_problem

    fraction = n_bad / n_clients
    spec = ProblemSpec(n_clients=n_clients, contaminated_fraction=fraction, noise=NOISE, seed=seed)
    if name in PLANS:
        problem = sample_problem(spec, AttackPlan.from_json(PLANS[name]))
    else:
        attack, _, scale = name.partition(" x ")
        options = {"attack": attack, "attack_scale": float(scale or 1)}
        problem = sample_problem(ProblemSpec(**{**spec.__dict__, **options}))
    return problem.updates, problem.true_updates, problem.contaminated, problem.subspace


def clean(name: str, n_clients: int, seed: int) -> World:
    """Draw honest clients alone; "uneven data" means data sizes of 1 to 20."""
    from clair.synthetic import ProblemSpec, sample_problem

    spec = ProblemSpec(n_clients=n_clients, contaminated_fraction=0, noise=NOISE, seed=seed)
    problem = sample_problem(spec)
    updates = problem.updates
    if name == "uneven data":
        rng = np.random.default_rng([seed, 1])
        sizes = np.geomspace(1, 20, n_clients)[rng.permutation(n_clients)]
        errors = updates - problem.true_updates
        updates = problem.true_updates + errors * (2.5 / np.sqrt(sizes))[:, None, None]
    return updates, problem.true_updates, problem.contaminated, problem.subspace


def judge(tree: Path, folder: Path) -> None:
    """Fit every set of updates in a folder, in the tree given, and write what was found."""
    sys.path.insert(0, str(tree))
    import clair

    for path in sorted(folder.glob("*.npy")):
        updates = np.load(path)
        for rank in (RANK, "auto"):
            result = clair.fit(updates, rank, solver="irls")
            degrees = getattr(result, "degrees", ("kept",) * len(updates))
            np.savez(
                path.with_name(f"{path.stem}-{rank}.npz"),
                flagged=result.flagged,
                suspect=np.array([degree == "suspect" for degree in degrees]),
                refined=np.asarray(result.refined),
            )


def _error(refined: np.ndarray, true: np.ndarray, good: np.ndarray) -> float:
    return float(np.sqrt(np.sum((refined - true)[good] ** 2, axis=(1, 2)).mean()))


def _row(worlds: list[World], folder: Path, rank: int | str) -> list[float]:
    """Average F1, flagged honest, honest and contaminated suspects, and error over the oracle's.

    The last number is the largest error over the oracle's.
    """
    rows = []
    for index, (updates, true, bad, basis) in enumerate(worlds):
        found = np.load(folder / f"{index:03d}-{rank}.npz")
        flagged, suspect, good = found["flagged"], found["suspect"], ~bad
        mean = updates[good].mean(axis=0)
        oracle = basis @ (basis.T @ updates) + mean - basis @ (basis.T @ mean)
        count = flagged.sum() + bad.sum()
        rows.append(
            [
                2 * (flagged & bad).sum() / count if count else 1.0,
                flagged[good].mean(),
                suspect[good].mean(),
                suspect[bad].mean() if bad.any() else 0.0,
                _error(found["refined"], true, good) / _error(oracle, true, good),
            ]
        )
    return [*np.mean(rows, axis=0), float(np.max(rows, axis=0)[-1])]


def cells() -> Iterator[tuple[str, str, Callable[[int], World]]]:
    """List the cells: name, clients, and how a world is drawn from a seed."""
    from clair.attacks import ATTACKS

    names = [*PLANS, *(key for key in ATTACKS if key != "alie"), "low_rank x 10", "scaled x 10"]
    for n_clients in (3, 4, 5, 8, 20, 50):
        for kind in ("nobody poisoned", "uneven data"):
            yield kind, str(n_clients), lambda s, k=kind, n=n_clients: clean(k, n, s)
    for name in names:
        for n, bad in ATTACKED:
            yield name, f"{n}, {bad} poisoned", lambda s, a=name, n=n, b=bad: attacked(a, n, b, s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--against", type=Path, metavar="TREE")
    parser.add_argument("--judge", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.judge:
        judge(*args.judge)
        return
    from _margins import RESULTS

    started, trees = time.time(), {"now": HERE}
    if args.against:
        trees["before"] = args.against.resolve()
    lines = [
        "| attack | clients | rank | F1 | honest flagged | honest suspect | poisoned suspect "
        "| error over the oracle's: mean | most"
        + (" | before: F1 | mean |" if args.against else " |"),
    ]
    lines.append("|---" * (9 + 2 * bool(args.against)) + "|")
    for name, clients, draw in cells():
        worlds = [draw(FIRST_SEED + i) for i in range(args.draws)]
        values: dict[str, dict[str, list[float]]] = {}
        for label, tree in trees.items():
            with TemporaryDirectory() as place:
                folder = Path(place)
                for index, world in enumerate(worlds):
                    np.save(folder / f"{index:03d}.npy", world[0])
                command = [sys.executable, __file__, "--judge", str(tree), str(folder)]
                subprocess.run(command, check=True)
                values[label] = {str(r): _row(worlds, folder, r) for r in (RANK, "auto")}
        for rank in ("3", "auto"):
            f1, alarms, doubts, caught, mean, most = values["now"][rank]
            cell = f"| {name} | {clients} | {rank} | {f1:.2f} | {alarms:.3f} | {doubts:.2f} "
            cell += f"| {caught:.2f} | {mean:.2f} | {most:.2f} |"
            if args.against:
                old = values["before"][rank]
                cell += f" {old[0]:.2f} | {old[4]:.2f} |"
            lines.append(cell)
            print(cell, flush=True)
    text = [
        "# The verdict against attackers who know it",
        "",
        f"Updates of {D} x {D}, rank {RANK}, noise {NOISE}, default options, {args.draws} draws a "
        f"row from seed {FIRST_SEED}. The oracle knows who is honest and the true subspace; the "
        "error is that of the honest clients after refinement. Sign flips, copies and echoes stay "
        "inside the subspace or send honest noise, so they are judged by the error alone.",
        "",
        *lines,
        "",
        f"Made by `python benchmarks/verdict.py --draws {args.draws}` in "
        f"{time.time() - started:.0f} s.",
        "",
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "verdict.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
