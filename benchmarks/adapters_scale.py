"""How large a set of adapters can be audited: time, peak memory, agreement with dense runs.

    python benchmarks/adapters_scale.py module            # 50 clients, rank 8, one 4096 x 4096
    python benchmarks/adapters_scale.py set [--layers 32] # 7B-shaped: 4 modules a layer, 20 clients
    python benchmarks/adapters_scale.py sites            # 50 to 400 sites x 4 modules
    python benchmarks/adapters_scale.py against ../before # the set in two processes, two checkouts
    python benchmarks/adapters_scale.py dense            # the same problem as factors and dense
    python benchmarks/adapters_scale.py cvxpy            # objective against cvxpy (needs cvxpy)

Each runs in this process alone, so the peak printed is that of the whole program; "against" runs
the other checkout as it audits by default, this one in two processes, in turns. BLAS is limited to
one thread by the package.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import clair
from clair._threads import single_blas_thread
from clair.adapters import AuditOptions, audit, read_folder
from clair.adapters.compress import compress
from clair.adapters.simulate import SimulatedSet, write_simulated
from clair.method.compressed_fit import fit_cores
from clair.method.detection import detect_cores


def peak() -> str:
    """Write the peak memory of this process so far."""
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB"


def timed(label: str, start: float, cpu: float) -> None:
    """Print wall and processor time since `start` and `cpu`."""
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    print(f"{label:<44} {wall:7.2f} s  (processor {used:6.2f} s)  {peak()}")


def lora(n_clients: int, n_poisoned: int, d_out: int, d_in: int, rank: int) -> clair.LoraFactors:
    """Draw factors that share three directions of the output side, some clients poisoned."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((d_out, 3))
    B = shared @ rng.standard_normal((n_clients, 3, rank))
    B += 0.3 * rng.standard_normal(B.shape)
    B[:n_poisoned] = 2 * rng.standard_normal((n_poisoned, d_out, rank))
    A = rng.standard_normal((n_clients, rank, d_in))
    return clair.LoraFactors(B / np.sqrt(d_out), A / np.sqrt(d_in))


def module(rank: int | str) -> None:
    """Time one LLM-sized module in `clair.fit` and in the audit's streaming path."""
    factors = lora(50, 8, 4096, 4096, 8)
    print(f"factors in memory: {peak()}")
    clair.fit(lora(6, 1, 20, 20, 2), 2)  # the first call also loads libraries
    start, cpu = time.perf_counter(), time.process_time()
    fitted = clair.fit(factors, rank)
    timed(f"clair.fit, rank {rank}, 50 x 4096 x 4096", start, cpu)
    print(
        f"  flagged {np.flatnonzero(fitted.flagged).tolist()}, rank {fitted.rank}, {fitted.status}"
    )
    options = AuditOptions().fit_options("output")
    with single_blas_thread():
        start, cpu = time.perf_counter(), time.process_time()
        cores = [
            compress(list(zip(factors.B, factors.A, strict=True)), (4096, 4096)).core("output")
        ]
        timed("  compress to Gram roots", start, cpu)
        pilot = detect_cores(cores, rank)
        timed("  + detect", start, cpu)
        fit_cores(cores, rank, options, pilot=pilot)
        timed("  + split", start, cpu)


def seven_billion(n_clients: int, layers: int) -> SimulatedSet:
    """Describe a 7B-shaped set: four 4096 x 4096 modules a layer, rank 8, float16."""
    return SimulatedSet(
        n_clients=n_clients,
        n_poisoned=n_clients // 4,
        layers=layers,
        modules=4,
        d_out=4096,
        d_in=4096,
        rank=8,
        dtype="F16",
    )


def whole_set(layers: int, n_clients: int, folder: Path | None) -> None:
    """Time the audit of a 7B-shaped set."""
    spec = seven_billion(n_clients, layers)
    with tempfile.TemporaryDirectory() as made:
        root = folder or Path(made)
        if not any(root.iterdir()):
            start, cpu = time.perf_counter(), time.process_time()
            write_simulated(root, spec)
            timed(f"generate {n_clients} x {layers} x 4 modules", start, cpu)
        start, cpu = time.perf_counter(), time.process_time()
        found = read_folder(root)
        result = audit(found)
        timed("audit", start, cpu)
    print(" ", {key: round(value, 1) for key, value in result.seconds.items()})
    print(" ", result.sentence())
    right = [c.name for c in result.named("flagged")] == spec.poisoned
    print(f"  exactly the poisoned flagged: {right}; rank {result.rank}, {result.status}")


def sites() -> None:
    """Time audits of 50 to 400 sites with four 96 x 96 modules each."""
    for n_clients in (50, 100, 200, 400):
        spec = SimulatedSet(
            n_clients=n_clients,
            n_poisoned=n_clients // 5,
            layers=2,
            modules=2,
            d_out=96,
            d_in=96,
            rank=8,
        )
        with tempfile.TemporaryDirectory() as made:
            write_simulated(Path(made), spec)
            start, cpu = time.perf_counter(), time.process_time()
            result = audit(read_folder(Path(made)))
            timed(f"{n_clients} sites x 4 modules", start, cpu)
        right = {c.name for c in result.named("flagged")} == set(spec.poisoned)
        print(f"  exactly the poisoned flagged: {right}")


AUDIT = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from clair.adapters import audit, read_folder
found = read_folder(Path(sys.argv[2]))
start = time.perf_counter()
result = audit(found, **json.loads(sys.argv[3]))
print(json.dumps([time.perf_counter() - start, [c.score for c in result.judged_clients]]))
"""


def against(tree: Path, layers: int, n_clients: int) -> None:
    """Time the 7B-shaped set in another checkout and, in two processes, in this one."""
    this = Path(__file__).resolve().parents[1]
    runs = ((tree.resolve(), {}), (this, {"workers": 2}))
    with tempfile.TemporaryDirectory() as made:
        write_simulated(Path(made), seven_billion(n_clients, layers))
        ratios = []
        for _ in range(3):
            answers = []
            for checkout, options in runs:
                command = [sys.executable, "-c", AUDIT, str(checkout), made, json.dumps(options)]
                done = subprocess.run(
                    command, cwd=checkout, capture_output=True, text=True, check=True
                )
                answers.append(json.loads(done.stdout))
            (before, old), (now, new) = answers
            apart = max(abs(a - b) / abs(b) for a, b in zip(new, old, strict=True))
            ratios.append(before / now)
            print(f"{before:.1f} s, two processes {now:.1f} s: {before / now:.2f} times faster")
            print(f"  largest relative difference of a score {apart:.1e}")
    print(f"median ratio {statistics.median(ratios):.2f}")


def dense() -> None:
    """Compare answers and times from factors with those from dense updates."""
    for n_clients, d_out, d_in, rank in ((12, 96, 80, 4), (16, 320, 256, 8)):
        factors = lora(n_clients, 3, d_out, d_in, rank)
        fits = []
        for label, updates in (("factors", factors), ("dense", factors.dense())):
            start, cpu = time.perf_counter(), time.process_time()
            fits.append(clair.fit(updates, "auto", tol=1e-10, max_iter=2000))
            timed(f"{n_clients} x {d_out} x {d_in}, rank {rank}: {label}", start, cpu)
        ours, full = fits
        print(f"  same verdict {np.array_equal(ours.benign, full.benign)}, rank {ours.rank}")
        pairs = {
            "scores": (ours.scores, full.scores),
            "refined": (ours.refined.dense(), full.refined),
            "contamination": (ours.contamination.dense(), full.contamination),
            "objective": (np.array(ours.objective), np.array(full.objective)),
        }
        for name, (a, b) in pairs.items():
            print(f"  {name}: relative difference {np.linalg.norm(a - b) / np.linalg.norm(b):.1e}")


def against_cvxpy() -> None:
    """Compare objective and time with cvxpy and SCS, on the reduced convex program."""
    import cvxpy as cp

    from clair.method.linalg import hstack_blocks
    from clair.method.solvers import decompose

    factors = lora(10, 2, 64, 64, 4)
    core = compress(list(zip(factors.B, factors.A, strict=True)), (64, 64)).core("output")
    M, width, lam = hstack_blocks(core.thin), core.thin.shape[2], 0.6
    start, cpu = time.perf_counter(), time.process_time()
    ours = decompose([core.thin], lam, tol=1e-9, max_iter=2000)
    timed("ours", start, cpu)
    L = cp.Variable(M.shape)
    blocks = [cp.norm((M - L)[:, k * width : (k + 1) * width], "fro") for k in range(10)]
    program = cp.Problem(cp.Minimize(cp.normNuc(L) + lam * sum(blocks)))
    start, cpu = time.perf_counter(), time.process_time()
    program.solve(solver=cp.SCS, eps=1e-7, max_iters=20_000)
    timed("cvxpy, SCS", start, cpu)
    print(f"  objective {ours.objective:.9f} against {program.value:.9f}")


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("module", "set", "sites", "against", "dense", "cvxpy"))
    parser.add_argument("tree", nargs="?", type=Path, help='for "against": the other checkout')
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--rank", default="3", help='for "module": a number or "auto"')
    parser.add_argument("--folder", type=Path, help='for "set": keep, and reuse, the files here')
    args = parser.parse_args()
    if args.what == "module":
        module(args.rank if args.rank == "auto" else int(args.rank))
    elif args.what == "set":
        if args.folder is not None:
            args.folder.mkdir(parents=True, exist_ok=True)
        whole_set(args.layers, args.clients, args.folder)
    elif args.what == "sites":
        sites()
    elif args.what == "against":
        if args.tree is None:
            parser.error('"against" needs the folder of another checkout')
        against(args.tree, args.layers, args.clients)
    elif args.what == "dense":
        dense()
    else:
        against_cvxpy()


if __name__ == "__main__":
    main()
