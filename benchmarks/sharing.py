"""Does sharing pay, and does the rule that the clients' own tests decide by keep its promise?

python benchmarks/sharing.py            # fresh seeds; writes results/sharing.md
python benchmarks/sharing.py --develop  # the seeds that settings were chosen on; prints only
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from _margins import Setting, write

from clair.federated.copytask import CopyTaskConfig
from clair.federated.copytask.data import make_federation as copying_clients
from clair.federated.copytask.federated import CopyTask
from clair.federated.copytask.model import load_base_model
from clair.federated.copytask.run import plan_of as copying_plan
from clair.federated.copytask.run import stage_costs as copying_costs
from clair.federated.device import limited_threads
from clair.federated.digits import DigitsConfig
from clair.federated.digits.data import make_federation as digits_clients
from clair.federated.digits.run import DigitsTask
from clair.federated.digits.run import plan_of as digits_plan
from clair.federated.digits.run import stage_costs as digits_costs
from clair.federated.evaluation import evaluate_methods
from clair.federated.progress import JobClock
from clair.federated.regression import RegressionConfig, run_regression
from clair.federated.regression.data import sample_regression
from clair.federated.regression.estimates import fit_clair, preliminary_estimates, share_if_it_pays
from clair.federated.regression.run import held_out
from clair.federated.round import federate
from clair.federated.sharing import LOCAL, choose

CPU = torch.device("cpu")
POINT = 0.01
LIARS = 0.2  # of the clients whose tests count
CLAIMS = (0.05, 0.1, 0.3, 1.0)  # by how much a liar says its error fell
FRESH, DEVELOPMENT = 9000, 100
SHOWN = {
    "local": "local",
    "local_longer": "local, same total of steps",
    "fedavg_finetuned": "FedAvg, fine-tuned",
    "kept_finetuned": "kept average, fine-tuned",
    "clair": "CLAIR",
    "clair_eb": "CLAIR + pooling",
    "clair_own": "CLAIR + own data",
    "clair_finetuned": "CLAIR, fine-tuned",
    "clair_safe": "CLAIR if it pays",
}


@dataclass(frozen=True)
class Trial:
    """One run: the honest clients' mean score by method and candidate; more is better."""

    methods: Mapping[str, float]
    candidates: Mapping[str, float]
    chosen: str
    tests: Mapping[str, np.ndarray]
    seed: int

    def gain(self, candidate: str) -> float:
        """Compute the score above training alone."""
        return self.candidates[candidate] - self.candidates[LOCAL]

    def with_liars(self) -> float:
        """Compute the least gain that a fifth of the trusted clients can bring about by lying.

        The liars praise one harmful candidate, by each of the claims in turn, and tell the truth
        about the others.
        """
        if not self.tests:
            return 0.0
        n = len(self.tests[LOCAL])
        rng = np.random.default_rng(self.seed)
        liars = rng.permutation(n)[: round(LIARS * n)]
        least = self.gain(choose(self.tests).chosen)
        for bad in (key for key in self.candidates if self.gain(key) < -POINT):
            for claim in CLAIMS:
                told = {key: values.copy() for key, values in self.tests.items()}
                told[bad][liars] = told[LOCAL][liars] - claim
                least = min(least, self.gain(choose(told).chosen))
        return least


def copying(seed: int, **options: Any) -> Trial:
    config = CopyTaskConfig(seed=seed, n_samples=0, device="cpu", **options)
    task = CopyTask(config, copying_clients(config), load_base_model(CPU))
    plan, clock = copying_plan(config), JobClock(copying_costs(config))
    return _trained(task, federate(task, plan, clock), "exact_match", seed)


def digits(seed: int, **options: Any) -> Trial:
    config = DigitsConfig(seed=seed, n_samples=0, **options)
    task = DigitsTask(config, digits_clients(config), CPU)
    done = federate(task, digits_plan(config), JobClock(digits_costs(config)))
    return _trained(task, done, "own_mix" if config.skew else "accuracy", seed)


def _trained(task: Any, done: Any, measure: str, seed: int) -> Trial:
    scored = evaluate_methods(task.model, done.candidates, ~task.contaminated, task.scores)
    methods, candidates = (
        {key: float(getattr(value, measure).mean()) for key, value in some.items()}
        for some in (done.accuracy, scored)
    )
    return Trial(methods, candidates, done.sharing.chosen, done.tests, seed)


def regression(seed: int, **options: Any) -> Trial:
    """Run the regression; scores are one minus the error relative to the common model's."""
    config = RegressionConfig(seed=seed, **options)
    keys = tuple(key for key in SHOWN if key != "clair_safe")
    result = run_regression(config, methods=keys, solver="irls")
    data = sample_regression(config)
    sent = preliminary_estimates(config, data)
    shared = share_if_it_pays(config, data, sent, fit_clair(config, sent, "irls"))
    candidates = {
        key: 1 - float(held_out(data, value).excess.mean())
        for key, value in shared.candidates.items()
    }
    methods = {key: 1 - result.mean(key, "excess") for key in result.accuracy}
    methods["clair_safe"] = candidates[shared.choice.chosen]
    return Trial(methods, candidates, shared.choice.chosen, shared.tests, seed)


@dataclass(frozen=True)
class Group:
    """Settings of a task, with the runs of each."""

    title: str
    run: Callable[..., Trial]
    settings: tuple[Setting, ...]
    runs: int


def _copying(n_local: int) -> tuple[Setting, ...]:
    poisoned = {"poisoned_fraction": 0.4, "n_local": n_local}
    return (
        Setting("a quarter poisoned", {"n_local": n_local}),
        Setting("colluders, .4", {"attack": "common_shift", **poisoned}),
        Setting("h 1/3, .4", {"heterogeneity": 1 / 3, **poisoned}),
        Setting("h 1, .25", {"heterogeneity": 1.0, "n_local": n_local}),
    )


GROUPS = (
    Group("Text copying, 6 sentences", copying, _copying(6), 15),
    Group("Text copying, 24 sentences", copying, _copying(24), 10),
    Group(
        "Digits",
        digits,
        (
            *(
                Setting(f"{d} in dispute, {n} images", {"disputed": d, "n_local": n})
                for d in (3, 5, 7)
                for n in (16, 40, 100)
            ),
            *(Setting(f"Dirichlet {skew:g}", {"skew": skew}) for skew in (1.0, 0.3)),
            Setting("Dirichlet .3, 5 in dispute", {"skew": 0.3, "disputed": 5}),
            Setting("no dispute, nobody poisoned", {"disputed": 0, "poisoned_fraction": 0.0}),
        ),
        16,
    ),
    Group(
        "Regression",
        regression,
        tuple(
            Setting(f"off {off:g}, n {n}", {"off_subspace": off, "samples": n})
            for off in (0.2, 0.3, 0.5, 1.0)
            for n in (40, 160, 250, 400, 640)
        ),
        12,
    ),
)


def trials(group: Group, first_seed: int) -> Iterator[tuple[Setting, list[Trial]]]:
    """Run a group, setting by setting; no seed serves two settings."""
    for i, setting in enumerate(group.settings):
        seeds = range(first_seed + 100 * i, first_seed + 100 * i + group.runs)
        yield setting, [group.run(seed, **setting.options) for seed in seeds]


HEAD = (
    "| setting | local | CLAIR | CLAIR + pooling | CLAIR if it pays | best of the setting "
    "| best of each run | worst run | a point worse | a fifth lie: worst | a point worse | chosen |"
)


def row(name: str, settings: list[list[Trial]]) -> str:
    """Write what the rule gained, the worst it did, and what liars can make of it."""
    runs = [one for some in settings for one in some]
    fixed = [
        max(np.mean([one.gain(key) for one in some]) for key in some[0].candidates)
        for some in settings
    ]
    gain = np.array([one.gain(one.chosen) for one in runs])
    best = np.array([max(map(one.gain, one.candidates)) for one in runs])
    plain = [np.mean([one.methods[key] for one in runs]) for key in ("local", "clair", "clair_eb")]
    lied = np.array([one.with_liars() for one in runs])
    picks = [one.chosen for one in runs]
    often = sorted(set(picks), key=picks.count, reverse=True)
    return (
        f"| {name} | {plain[0]:.3f} | {plain[1] - plain[0]:+.3f} | {plain[2] - plain[0]:+.3f} "
        f"| {gain.mean():+.4f} | {np.mean(fixed):+.4f} | {best.mean():+.4f} "
        f"| {gain.min():+.3f} | {_worse(gain)} "
        f"| {lied.min():+.3f} | {_worse(lied)} "
        f"| {', '.join(f'{key} {picks.count(key)}' for key in often)} |"
    )


def _worse(gains: np.ndarray) -> str:
    return f"{int((gains < -POINT).sum())} of {gains.size}"


def methods_row(name: str, runs: list[Trial]) -> str:
    """Write the mean score by method, the best usable one in bold."""
    means = {
        key: float(np.mean([one.methods[key] for one in runs]))
        for key in SHOWN
        if key in runs[0].methods
    }
    top = f"{max(means.values()):.3f}"
    cells = (f"{means[key]:.3f}" if key in means else "" for key in SHOWN)
    return f"| {name} | {' | '.join(f'**{c}**' if c == top else c for c in cells)} |"


def harm_row(name: str, runs: list[Trial], base: str) -> str:
    """Write in how many runs each method is a point below `base`; empty without `base`."""
    if base not in runs[0].methods:
        return ""
    cells = (
        _worse(np.array([one.methods[key] - one.methods[base] for one in runs]))
        if key in runs[0].methods
        else ""
        for key in SHOWN
    )
    return f"| {name}, a point below {SHOWN[base]} | {' | '.join(cells)} |"


def main() -> None:
    """Compute all tables and write them to ``results/sharing.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--develop", action="store_true", help="other seeds, nothing is written")
    parser.add_argument("--groups", type=int, nargs="+", default=list(range(len(GROUPS))))
    arguments = parser.parse_args()
    started = time.time()
    first = DEVELOPMENT if arguments.develop else FRESH
    rule, scores = [HEAD, "|---" * 12 + "|"], [f"| setting | {' | '.join(SHOWN.values())} |"]
    scores.append("|---" * (len(SHOWN) + 1) + "|")
    with limited_threads(1):
        for group in (GROUPS[i] for i in arguments.groups):
            everything: list[list[Trial]] = []
            for setting, runs in trials(group, first):
                name = f"{group.title}: {setting.name}"
                rule.append(row(name, [runs]))
                scores.append(methods_row(name, runs))
                print(rule[-1], scores[-1], sep="\n", flush=True)
                everything.append(runs)
            name, together = f"**{group.title}, all**", [one for runs in everything for one in runs]
            rule.append(row(name, everything))
            scores.append(methods_row(name, together))
            worse = [harm_row(name, together, base) for base in (LOCAL, "local_longer")]
            scores += filter(None, worse)
            print(rule[-1], *scores[-3:], sep="\n", flush=True)
    if not arguments.develop:
        write("sharing", [*TEXT, *rule, "", *METHODS_TEXT, *scores], started, REMARK)


REMARK = "No setting was chosen on these seeds; `--develop` runs those it was chosen on."
TEXT = (
    "# Does sharing pay?",
    "",
    "Clients test on one half of their data what was made from the other; `CLAIR if it pays` "
    "takes what is clearly better than training alone, else training alone. Columns after `local` "
    "are differences from it (share of exact copies; share of digits read right, under Dirichlet "
    "mixes by the client's own mix; one minus the error on new data relative to the common "
    "model's). Two kinds of hindsight: the candidate that is best on average in a setting, and "
    "the best of every single run, which profits from the luck of measuring as well. "
    "`a fifth lie`: the worst that a fifth of the trusted clients bring about by praising a "
    "candidate that does harm, by any of four claims.",
    "",
)
METHODS_TEXT = (
    "## What a practitioner would do",
    "",
    "Mean scores; the best in bold. Fine-tuned rows and `local, same total of steps` spend 1.25 "
    "times the local training of the others on copying and twice on digits.",
    "",
)

if __name__ == "__main__":
    main()
