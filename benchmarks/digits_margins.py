"""Margins of the digits task over twelve seeds that no setting was chosen on.

python benchmarks/digits_margins.py
"""

from __future__ import annotations

import time

from _margins import Setting, table, write

from clair.federated.digits import DigitsConfig, run_digits

SEEDS = range(5000, 5012)
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
SETTINGS = (
    Setting("default: flipped labels x 3, .3, automatic rank"),
    Setting("the same, rank 3", {"rank": 3}),
    Setting("flipped labels x 3, .4", {"poisoned_fraction": 0.4}),
    Setting("colluders x 3, .4", {"attack": "colluders", "poisoned_fraction": 0.4}),
    Setting("random labels x 3, .3", {"attack": "random_labels"}),
    Setting("backdoor x 5, .4", {"attack": "backdoor", "boost": 5.0, "poisoned_fraction": 0.4}),
    Setting("sign flip x 3, .3", {"attack": "sign_flip"}),
    Setting("sign flip x 3, .3, screen", {"attack": "sign_flip", "screen_coefficients": True}),
    Setting("flipped labels not boosted, .3", {"boost": 1.0}),
    Setting("backdoor not boosted, .3", {"attack": "backdoor", "boost": 1.0}),
    Setting("nobody poisoned", {"poisoned_fraction": 0.0}),
    Setting("no dispute, .3", {"disputed": 0}),
    Setting("two in dispute", {"disputed": 2}),
    Setting("five in dispute", {"disputed": 5}),
    Setting("seven in dispute", {"disputed": 7}),
    Setting("40 images a client", {"n_local": 40}),
    Setting("100 images a client", {"n_local": 100}),
    Setting("Dirichlet 1", {"skew": 1.0}),
    Setting("Dirichlet .3", {"skew": 0.3}),
    Setting("rate .0025", {"learning_rate": 2.5e-3}),
    Setting("rate .0075", {"learning_rate": 7.5e-3}),
    Setting("rate .01", {"learning_rate": 1e-2}),
    Setting("two layers, rate .005", {"layers": "upper"}),
    Setting("two layers, rate .0025", {"layers": "upper", "learning_rate": 2.5e-3}),
)


def run(seed: int, **options: object) -> object:
    """Run the task once; `options` are settings of a `DigitsConfig`."""
    return run_digits(DigitsConfig(seed=seed, n_samples=0, **options))  # type: ignore[arg-type]


def main() -> None:
    started = time.time()
    parts = ["# Digits: accuracy of the honest clients on 350 held-out images", ""]
    parts += table(run, SETTINGS, "accuracy", METHODS, SEEDS, better="more")
    parts += ["", "## The same on each client's own mix of digits", ""]
    skewed = tuple(s for s in SETTINGS if s.name.startswith("Dirichlet"))
    parts += table(run, skewed, "own_mix", METHODS, SEEDS, better="more")
    parts += ["", "## Success of the backdoor (less is better)", ""]
    doors = tuple(s for s in SETTINGS if s.name.startswith("backdoor"))
    parts += table(run, doors, "backdoor", METHODS, SEEDS, better="less")
    write("digits_margins", parts, started)


if __name__ == "__main__":
    main()
