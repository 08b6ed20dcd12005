"""Margins of the regression task over twenty seeds that no setting was chosen on.

python benchmarks/regression_margins.py
"""

from __future__ import annotations

import time

from _margins import Setting, table, write

from clair.federated.regression import RegressionConfig, run_regression
from clair.federated.regression.curves import sample_curves

SEEDS = range(5000, 5020)
METHODS = {
    "local": "local",
    "fedavg": "FedAvg",
    "fedavg_finetuned": "FedAvg, fine-tuned",
    "kept_finetuned": "kept average, fine-tuned",
    "krum": "Krum",
    "pca": "PCA, nobody flagged",
    "clair": "CLAIR",
    "clair_eb": "CLAIR + pooling",
    "clair_own": "CLAIR + own data",
    "clair_finetuned": "CLAIR, fine-tuned",
    "clair_safe": "CLAIR if it pays",
    "fedavg_benign": "FedAvg of benign (oracle)",
    "pooled_benign": "pooled data of benign (oracle)",
    "clair_oracle": "CLAIR, truth given",
}
COLLUDERS = {"poisoned_fraction": 0.4}
SETTINGS = (
    Setting("default: colluders, .3, n 40, off .2"),
    *(
        Setting(
            f"colluders .4, off {off:g}, n {n}", {**COLLUDERS, "off_subspace": off, "samples": n}
        )
        for off in (0.0, 0.3)
        for n in (16, 40, 160, 320)
    ),
    *(
        Setting(f"{attack}, .3", {"attack": attack})
        for attack in ("response_shift", "label_swap", "leverage", "random_responses", "negated")
    ),
    Setting("sign flip, .3", {"attack": "sign_flip"}),
    Setting("sign flip, .3, screen", {"attack": "sign_flip", "screen_coefficients": True}),
    *(Setting(f"colluders x {s:g}, .3", {"strength": s}) for s in (0.25, 0.5, 0.75, 1.0)),
    Setting("nobody poisoned", {"poisoned_fraction": 0.0}),
    Setting("heterogeneity 0", {"heterogeneity": 0.0}),
    Setting(
        "heterogeneity 0, off 0, clean",
        {"heterogeneity": 0.0, "off_subspace": 0.0, "poisoned_fraction": 0.0},
    ),
    Setting("off 1", {"off_subspace": 1.0}),
    Setting("correlation .9", {"correlation": 0.9}),
    Setting("sizes 30 : 1", {"size_ratio": 30.0}),
    Setting("sizes 30 : 1, by precision", {"size_ratio": 30.0, "precision_weights": True}),
    Setting("noise 2", {"noise": 2.0}),
)


def run(seed: int, **options: object) -> object:
    """Run the task once; `options` are settings of a `RegressionConfig`."""
    return run_regression(RegressionConfig(seed=seed, **options))  # type: ignore[arg-type]


def crossings() -> list[str]:
    """Find where CLAIR starts to identify the set and where it stops paying.

    Each point has eight draws.
    """
    lines = ["| off-subspace part | identified from | plain CLAIR stops paying | with own data |"]
    lines.append("|---|---|---|---|")
    for off in (0.0, 0.1, 0.2, 0.3, 0.5):
        found = sample_curves(RegressionConfig(seed=2000, off_subspace=off), draws=8)
        stops = [found.crossing(key) for key in ("clair", "clair_own")]
        cells = ["never up to 640" if at is None else f"{at:.0f}" for at in stops]
        lines.append(f"| {off:g} | {found.identified_from} | {cells[0]} | {cells[1]} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    started = time.time()
    parts = [
        "# Regression: error on new data of the honest clients, 1 being the common model's",
        "",
        *table(run, SETTINGS, "excess", METHODS, SEEDS, better="less"),
        "",
        "## Samples a client",
        "",
        *crossings(),
    ]
    write("regression_margins", parts, started)


if __name__ == "__main__":
    main()
