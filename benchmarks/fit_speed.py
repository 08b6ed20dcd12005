"""What one `clair.fit` costs, always as a ratio: machines differ, and this one may be shared.

    python benchmarks/fit_speed.py                    # against the textbook, and detection's share
    python benchmarks/fit_speed.py --against TREE     # against another checkout of this project

The textbook's is a plain ADMM for the same convex program: a full SVD of the wide matrix every
iteration, no over-relaxation, no residual balancing. At the scale of a language model the unit is
one eigendecomposition of a 400 x 400 matrix. What is compared runs alternately, to the same
tolerance and on one BLAS thread; times are those of the processor.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from adapters_scale import lora

import clair
from clair._threads import single_blas_thread
from clair.method.detection import detect_cores
from clair.method.linalg import block_norms, hstack_blocks, split_blocks
from clair.method.solvers import decompose
from clair.method.updates import Updates, to_cores

SIZES = ((20, 32, 3), (50, 32, 3), (20, 64, 4), (20, 128, 4))
TREE_SIZES = ((20, 32, 3), (20, 64, 4), (50, 128, 4))
ROUNDS = 9


def textbook(blocks: np.ndarray, lam: float, tol: float = 1e-7, max_iter: int = 1000) -> float:
    """Minimise the program by textbook ADMM, and return the objective."""
    n_clients = len(blocks)
    M = hstack_blocks(blocks)
    penalty = 10 / np.linalg.norm(M, 2)
    S, Y = np.zeros_like(M), np.zeros_like(M)
    for _ in range(max_iter):
        U, s, Vt = np.linalg.svd(M - S + Y / penalty, full_matrices=False)
        s = np.maximum(s - 1 / penalty, 0)
        L = (U * s) @ Vt
        target = split_blocks(M - L + Y / penalty, n_clients)
        norms = block_norms(target)
        keep = np.maximum(0, 1 - lam / penalty / np.maximum(norms, 1e-300))
        before, S = S, hstack_blocks(target * keep[:, None, None])
        Y = Y + penalty * (M - L - S)
        primal = np.linalg.norm(M - L - S) / np.linalg.norm(M)
        dual = penalty * np.linalg.norm(S - before) / np.linalg.norm(Y)
        if max(primal, dual) < tol:
            break
    return float(s.sum() + lam * (keep * norms).sum())


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    start = time.process_time()
    result = work(*arguments)
    return time.process_time() - start, result


def sample(n_clients: int, size: int, rank: int, noise: float = 0.03) -> np.ndarray:
    """Sample updates of the matrix model, a quarter of the clients poisoned."""
    spec = clair.ProblemSpec(
        n_clients=n_clients, d_out=size, d_in=size, rank=rank, noise=noise, seed=1
    )
    return clair.sample_problem(spec).updates


def against_textbook() -> None:
    print("| clients | update | rank | textbook | solver alone | whole fit | textbook / fit |")
    print("|---|---|---|---|---|---|---|")
    for n_clients, size, rank in SIZES:
        updates = sample(n_clients, size, rank)
        lam = clair.fit(updates, rank).lam
        rows: dict[str, list[float]] = {"textbook": [], "solver": [], "fit": []}
        for _ in range(ROUNDS):
            with single_blas_thread():
                seconds, reference = timed(textbook, updates, lam)
                rows["textbook"].append(seconds)
                seconds, split = timed(decompose, [updates], lam)
                rows["solver"].append(seconds)
            seconds, _ = timed(clair.fit, updates, rank)
            rows["fit"].append(seconds)
        if abs(split.objective / reference - 1) > 1e-5:
            raise SystemExit(f"objectives differ: {split.objective} and {reference}")
        t, s, f = (1e3 * statistics.median(rows[key]) for key in ("textbook", "solver", "fit"))
        shape = f"{size} x {size}"
        print(
            f"| {n_clients} | {shape} | {rank} | {t:.0f} ms | {s:.0f} ms | {f:.0f} ms "
            f"| {t / f:.1f} |"
        )


def detection_share(updates: Updates, rank: int | str, rounds: int) -> float:
    """Measure the verdict's share of the time of a whole fit, median over rounds."""
    shares = []
    for _ in range(rounds):
        with single_blas_thread():
            cores = list(to_cores(updates, "output").values())
            detecting, _ = timed(detect_cores, cores, rank)
        whole, _ = timed(clair.fit, updates, rank)
        shares.append(detecting / whole)
    return statistics.median(shares)


def shares() -> None:
    print("\n| clients | update | noise | detection / fit, rank given | rank automatic |")
    print("|---|---|---|---|---|")
    for n_clients, size, rank in TREE_SIZES:
        for noise in (0.03, 0.15):
            updates = sample(n_clients, size, rank, noise)
            given, auto = (detection_share(updates, r, ROUNDS) for r in (rank, "auto"))
            print(f"| {n_clients} | {size} x {size} | {noise} | {given:.2f} | {auto:.2f} |")


def language_model() -> None:
    """Time one module of 50 clients, 4096 x 4096, rank 8, in eigendecompositions of 400 x 400."""
    factors = lora(50, 8, 4096, 4096, 8)
    square = np.random.default_rng(0).standard_normal((400, 400))
    square = square @ square.T
    print("\n50 clients, 4096 x 4096 of rank 8, in eigendecompositions of 400 x 400:\n")
    print("| rank | fit | detection / fit |")
    print("|---|---|---|")
    for rank in (3, "auto"):
        fits, units = [], []
        for _ in range(5):
            fits.append(timed(clair.fit, factors, rank)[0])
            with single_blas_thread():
                units += [timed(np.linalg.eigh, square)[0] for _ in range(3)]
        ratio = statistics.median(fits) / statistics.median(units)
        print(f"| {rank} | {ratio:.1f} | {detection_share(factors, rank, 3):.2f} |")


# Runs in a process of its own with a checkout as argument; reads "file rank" and times one fit.
SERVE = """
import sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np, clair
known = {}
for line in sys.stdin:
    name, rank = line.split()
    if name not in known:
        with np.load(name) as f:
            dense = "updates" in f
            known[name] = f["updates"] if dense else clair.LoraFactors(f["B"], f["A"])
    start = time.process_time()
    clair.fit(known[name], rank if rank == "auto" else int(rank))
    print(time.process_time() - start, flush=True)
"""


class Checkout:
    """A process that imports the package from one checkout."""

    def __init__(self, tree: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(tree)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tree,
        )

    def fit(self, file: Path, rank: int | str) -> float:
        """Fit once, and return the seconds of processor time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file, rank, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("the checkout's process ended; see its message above")
        return float(answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def against_tree(tree: Path) -> None:
    """Compare the time of a fit here with that in another checkout, run alternately."""
    factors = lora(50, 8, 4096, 4096, 8)
    cases: list[tuple[str, dict[str, Any], int | str]] = []
    for n_clients, size, rank in TREE_SIZES:
        updates = sample(n_clients, size, rank)
        loud = sample(n_clients, size, rank, noise=0.15)
        name = f"{n_clients} clients, {size} x {size}"
        cases += [
            (name, {"updates": updates}, rank),
            (name, {"updates": updates}, "auto"),
            (f"{name}, noise .15", {"updates": loud}, rank),
            (f"{name}, noise .15", {"updates": loud}, "auto"),
        ]
    for given in (3, "auto"):
        cases.append(("50 clients, 4096 x 4096, LoRA", {"B": factors.B, "A": factors.A}, given))
    here, other = Checkout(Path(__file__).resolve().parents[1]), Checkout(tree)
    print("| problem | rank | other tree | this tree | this / other |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for index, (name, arrays, given) in enumerate(cases):
            file = Path(folder) / f"{index}.npz"
            np.savez(file, **arrays)
            pairs = [(other.fit(file, given), here.fit(file, given)) for _ in range(ROUNDS + 1)][1:]
            before, now = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
            ratio = statistics.median(b / a for a, b in pairs)
            print(
                f"| {name} | {given} | {before:.1f} ms | {now:.1f} ms | {ratio:.2f} |", flush=True
            )
    here.close()
    other.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--against", type=Path, metavar="TREE", help="another checkout to compare with"
    )
    args = parser.parse_args()
    print(f"    python benchmarks/fit_speed.py {' '.join(sys.argv[1:])}".rstrip() + "\n")
    if args.against is not None:
        against_tree(args.against.resolve())
        return
    against_textbook()
    shares()
    language_model()


if __name__ == "__main__":
    main()
