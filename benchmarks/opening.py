"""What poison costs where the pages open, on problems that no setting was chosen on.

    python benchmarks/opening.py [lab copying digits board]

Every opening was chosen once, on development seeds (0 to 9, 0 to 5, 0 to 5 and 1000 to 1029), so
that the verdict is right there and poison visibly harms both an average and a subspace fitted to
everybody. Writes ``benchmarks/results/opening.md``, and the figures the pages show.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from _margins import RESULTS

from clair._files import ASSETS
from clair.board.story import SETTING
from clair.federated.copytask import OPENING as COPYING
from clair.federated.copytask import run_copytask
from clair.federated.digits import OPENING as DIGITS
from clair.federated.digits import run_digits
from clair.federated.regression import run_regression
from clair.method.metrics import detection_scores
from clair.methods import METHODS

FILE = ASSETS / "opening.json"
MATRIX = ("local", "fedavg", "fedavg_benign", "median", "pca", "clair", "clair_oracle")
TRAINED = (*MATRIX, "fedavg_finetuned", "kept_finetuned")
#: By page: the heading, the measure in words and the fresh seeds.
OPENINGS: dict[str, tuple[str, str, range]] = {
    "lab": ("Overview and Subspace lab", "error", range(1000, 1200)),
    "copying": ("Text copying", "texts copied exactly, %", range(4000, 4020)),
    "digits": ("Digits", "images read right, %", range(6000, 6020)),
    "board": ("Board story", "error, % of training alone", range(5000, 5050)),
}


def lab(seed: int) -> tuple[dict[str, float], Any]:
    """Run the matrix model once."""
    import clair
    from clair.app.pages import lab

    values = {c.key: c.default for c in lab.CONTROLS}
    problem = clair.sample_problem(lab.spec_of(values | {"seed": seed}))
    fit = clair.fit(problem.updates)
    errors = clair.compare(problem, methods=MATRIX, result=fit)
    return {e.method: e.mean for e in errors}, detection_scores(fit.flagged, problem.contaminated)


def trained(
    run: Callable[..., Any], config: Any, measure: str, seed: int
) -> tuple[dict[str, float], Any]:
    """Run a task once."""
    result = run(replace(config, seed=seed, n_samples=0))
    return {key: 100 * result.mean(key, measure) for key in TRAINED}, result.detection


def board(seed: int) -> tuple[dict[str, float], Any]:
    """Run the board story's federation once."""
    result = run_regression(replace(SETTING, seed=seed))
    alone = result.mean("local", "excess")
    return {key: 100 * result.mean(key, "excess") / alone for key in TRAINED}, result.detection


RUNS: Mapping[str, Callable[[int], tuple[dict[str, float], Any]]] = {
    "lab": lab,
    "copying": lambda seed: trained(run_copytask, COPYING, "exact_match", seed),
    "digits": lambda seed: trained(run_digits, DIGITS, "accuracy", seed),
    "board": board,
}


def measured(page: str) -> dict[str, Any]:
    """Measure one opening on its fresh seeds."""
    from clair.app.kit.opening import settings_of

    seeds = OPENINGS[page][2]
    rows, verdicts = zip(*(RUNS[page](seed) for seed in seeds), strict=True)
    values = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return {
        "settings": settings_of(page),
        "seeds": [seeds[0], seeds[-1]],
        "exact": sum(v.exact for v in verdicts),
        "accused": sum(v.false_alarms > 0 for v in verdicts),
        "mean": {key: round(float(value.mean()), 4) for key, value in values.items()},
        "deviation": {key: round(float(value.std(ddof=1)), 4) for key, value in values.items()},
    }


def table(page: str, kept: Mapping[str, Any]) -> list[str]:
    """Write one opening as markdown."""
    title, measure, seeds = OPENINGS[page]
    digits = 2 if page == "lab" else 1
    said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in kept["settings"].items())
    lines = [f"## {title}", "", f"{said}.", "", f"| method | {measure} |", "|---|---|"]
    lines += [
        f"| {METHODS[key].label} | {mean:.{digits}f} ± {kept['deviation'][key]:.{digits}f} |"
        for key, mean in kept["mean"].items()
    ]
    lines += [
        "",
        f"The verdict is exactly right in {kept['exact']} of {len(seeds)} and accuses somebody "
        f"honest in {kept['accused']}. Seeds {seeds[0]} to {seeds[-1]}.",
        "",
    ]
    return lines


def main() -> None:
    """Measure the pages named, or all; keep the figures of the others."""
    figures = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for page in sys.argv[1:] or OPENINGS:
        figures[page] = measured(page)
    FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    lines = [
        "# Where the pages open",
        "",
        "Honest clients' results, mean ± standard deviation, under the settings that the pages "
        "open with. *FedAvg of the honest* beside *FedAvg* parts what poison costs an average "
        "from what clients cost it that truly differ; *PCA, nobody flagged* is CLAIR without a "
        "verdict.",
        "",
        *(line for page in OPENINGS for line in table(page, figures[page])),
        "Made by `python benchmarks/opening.py`; each opening was chosen once, on other seeds.",
        "",
    ]
    (RESULTS / "opening.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
