"""What poison costs where the Overview opens, on problems that no setting was chosen on.

    python benchmarks/opening.py [--draws 200] [--seed 1000]

The settings were chosen once, among eleven, on seeds 0 to 9: the verdict is right there, and poison
visibly harms both an average and a subspace fitted to everybody. ``benchmarks/results/opening.md``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

METHODS = ("local", "fedavg", "fedavg_benign", "median", "pca", "clair", "clair_oracle")


def table(draws: int, first: int) -> list[str]:
    """Measure the honest clients' error by method, and how often the verdict is right."""
    import clair
    from clair.app.pages import lab, overview
    from clair.methods import METHODS as NAMED

    rows, exact, accused = [], 0, 0
    for seed in range(first, first + draws):
        values = overview.lab_values({f"demo_{k}": v for k, v in overview.OPENING.items()})
        problem = clair.sample_problem(lab.spec_of(values | {"seed": seed}))
        fit = clair.fit(problem.updates)
        exact += bool((fit.flagged == problem.contaminated).all())
        accused += bool((fit.flagged & ~problem.contaminated).any())
        errors = clair.compare(problem, methods=METHODS, result=fit)
        rows.append([one.rmse for one in errors])
    ordered = [one.method for one in errors]
    means, spreads = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
    lines = ["| method | error of the honest clients |", "|---|---|"]
    lines += [
        f"| {NAMED[key].label} | {mean:.2f} ± {spread:.2f} |"
        for key, mean, spread in zip(ordered, means, spreads, strict=True)
    ]
    lines += [
        "",
        f"The verdict is exactly right in {exact} of {draws} problems and accuses an honest client "
        f"in {accused}.",
    ]
    return lines


def main() -> None:
    """Print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1000)
    args = parser.parse_args()
    made = f"Made by `python benchmarks/opening.py` on seeds from {args.seed} on."
    lines = ["# Where the Overview opens", "", *table(args.draws, args.seed), "", made, ""]
    text = "\n".join(lines)
    (HERE / "results" / "opening.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
