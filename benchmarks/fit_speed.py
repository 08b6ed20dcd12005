"""What one `clair.fit` costs against a plain implementation of the same convex program.

    python benchmarks/fit_speed.py

The reference is the textbook ADMM: a full SVD of the wide matrix every iteration, no
over-relaxation, no residual balancing. Both run in one process, alternately, to the same tolerance
and on one BLAS thread; what counts is the ratio.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import clair
from clair._threads import single_blas_thread
from clair.linalg import block_norms, hstack_blocks, split_blocks
from clair.solvers import decompose

SIZES = ((20, 32, 3), (50, 32, 3), (20, 64, 4), (20, 128, 4))
ROUNDS = 9


def textbook(blocks: np.ndarray, lam: float, tol: float = 1e-7, max_iter: int = 1000) -> float:
    """Objective of the program, by ADMM as written on a blackboard."""
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
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


def main() -> None:
    print("| clients | update | rank | textbook | solver alone | whole fit | textbook / fit |")
    print("|---|---|---|---|---|---|---|")
    for n_clients, size, rank in SIZES:
        spec = clair.ProblemSpec(n_clients=n_clients, d_out=size, d_in=size, rank=rank)
        updates = clair.sample_problem(spec).updates
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


if __name__ == "__main__":
    main()
