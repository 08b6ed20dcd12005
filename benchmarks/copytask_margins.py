"""Margins of the text-copying task over ten seeds that no setting was chosen on.

python benchmarks/copytask_margins.py
"""

from __future__ import annotations

import time

from _margins import Setting, table, write

from clair.federated.copytask import CopyTaskConfig, CopyTaskResult, run_copytask

SEEDS = range(3000, 3010)
METHODS = {
    "local": "local",
    "local_longer": "local, longer",
    "fedavg": "FedAvg",
    "fedavg_finetuned": "FedAvg, fine-tuned",
    "kept_finetuned": "kept average, fine-tuned",
    "geometric_median": "geometric median",
    "krum": "Krum",
    "pca": "PCA, nobody flagged",
    "clair": "CLAIR",
    "clair_eb": "CLAIR + pooling",
    "clair_finetuned": "CLAIR, fine-tuned",
    "clair_safe": "CLAIR if it pays",
    "fedavg_benign": "FedAvg of benign (oracle)",
}
HALF = {"poisoned_fraction": 0.4}
THIRD = {"heterogeneity": 1 / 3}
FLIP = {"attack": "sign_flip"}
SCREEN = {"screen_coefficients": True}
SETTINGS = (
    Setting("default: own shifts, .25, h 2/3"),
    Setting("nobody poisoned, screen", {"poisoned_fraction": 0.0, **SCREEN}),
    Setting("own shifts, .4", HALF),
    Setting("h 0, .25", {"heterogeneity": 0.0}),
    Setting("h 1/3, .25", THIRD),
    Setting("h 1/3, .4", {**THIRD, **HALF}),
    Setting("h 1, .25", {"heterogeneity": 1.0}),
    Setting("colluders, .25", {"attack": "common_shift"}),
    Setting("colluders, .4", {"attack": "common_shift", **HALF}),
    Setting("random characters, .25", {"attack": "random"}),
    Setting("reversed, .25", {"attack": "reversed"}),
    Setting("backdoor, .25", {"attack": "backdoor"}),
    Setting("scaled, .25", {"attack": "scaled"}),
    Setting("sign flip, .4", {**FLIP, **HALF}),
    Setting("sign flip, .4, screen", {**FLIP, **HALF, **SCREEN}),
    Setting("rank 3", {"rank": 3}),
    Setting("24 sentences a client", {"n_local": 24}),
    Setting("rate .0025", {"learning_rate": 2.5e-3}),
    Setting("rate .01", {"learning_rate": 1e-2}),
    Setting("4 clients", {"n_clients": 4}),
    Setting("6 clients", {"n_clients": 6}),
    Setting("8 clients", {"n_clients": 8}),
    Setting("24 clients", {"n_clients": 24}),
    Setting("64 clients", {"n_clients": 64}),
)


def run(seed: int, **options: object) -> CopyTaskResult:
    """Run the task once; `options` are settings of a `CopyTaskConfig`."""
    return run_copytask(CopyTaskConfig(seed=seed, n_samples=0, **options))  # type: ignore[arg-type]


def main() -> None:
    """Compute the table and write it to ``results/copytask_margins.md``."""
    started = time.time()
    parts = [
        "# Text copying: share of 32 held-out texts the honest clients copy without a mistake",
        "",
        "12 clients, 6 sentences each, unless a row says otherwise. The fine-tuned rows and "
        "`local, longer` spend 1.25 times the local computation of the others. The gain is that "
        "of the CLAIR row with the higher mean; `all others` are all methods shown that need no "
        "truth.",
        "",
        *table(run, SETTINGS, "exact_match", METHODS, SEEDS, better="more"),
    ]
    write("copytask_margins", parts, started)


if __name__ == "__main__":
    main()
