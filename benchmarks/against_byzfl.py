"""ByzFL's aggregators and CLAIR under ByzFL's attacks, the optimal ones included.

python benchmarks/against_byzfl.py            # fresh seeds; writes results/against_byzfl.md
python benchmarks/against_byzfl.py --develop  # the seeds that settings were chosen on; prints only
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from _margins import write

import clair
from clair._threads import single_blas_thread
from clair.federated.device import limited_threads
from clair.federated.digits import DigitsConfig
from clair.federated.digits.data import make_federation
from clair.federated.digits.run import DigitsTask, plan_of, stage_costs
from clair.federated.evaluation import evaluate_methods
from clair.federated.progress import JobClock
from clair.federated.round import train_adapters
from clair.federated.shares import whole
from clair.simulation.matrix_model import ProblemSpec, sample_problem

SEEDS, FRESH, DEVELOPMENT = 10, 9000, 100
#: Seconds after which a rule is said not to end.
PATIENCE = 2.0
#: Honest clients and attackers, one line a table.
CROWDS = ((16, 4), (12, 8))

#: Takes vectors of shape (n_clients, d), returns one of shape (d,).
Rule = Callable[[np.ndarray], np.ndarray]


def load_byzfl() -> tuple[Any, Any, Any]:
    """Import ByzFL's attacks and rules without its package, which imports torchvision."""
    spec = importlib.util.find_spec("byzfl")
    if spec is None:
        sys.exit("needs ByzFL: pip install --no-deps -r tests/requirements-nodeps.txt")
    package = types.ModuleType("byzfl")
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["byzfl"] = package
    names = ("aggregators.aggregators", "aggregators.preaggregators", "attacks.attacks")
    return tuple(importlib.import_module(f"byzfl.{name}") for name in names)  # type: ignore[return-value]


RULES, MIXING, ATTACKS = load_byzfl()


def rules(f: int) -> dict[str, Rule]:
    """Collect ByzFL's aggregators, told the number of attackers; NNM mixes neighbours before."""
    mix = MIXING.NNM(f=f)
    plain = {
        "Average": RULES.Average(),
        "Median": RULES.Median(),
        "Trimmed mean": RULES.TrMean(f=f),
        "Geometric median": RULES.GeometricMedian(),
        "Meamed": RULES.Meamed(f=f),
        "MultiKrum": RULES.MultiKrum(f=f),
        "CAF": in_bounds(RULES.CAF(f=f)),
    }
    mixed = {
        f"NNM, {name}": (lambda vectors, rule=plain[key]: rule(mix(vectors)))
        for name, key in (
            ("trimmed mean", "Trimmed mean"),
            ("geometric median", "Geometric median"),
        )
    }
    return {**plain, **mixed}


def attacks(f: int) -> dict[str, Callable[[Rule], Callable[[np.ndarray], np.ndarray]]]:
    """Collect ByzFL's attacks; the optimal ones search their size against the rule at hand."""
    optimal = {"pre_agg_list": [], "f": f, "evals": 8}
    return {
        "Sign flip": lambda rule: ATTACKS.SignFlipping(),
        "IPM": lambda rule: ATTACKS.InnerProductManipulation(tau=2.0),
        "Optimal IPM": lambda rule: ATTACKS.Optimal_InnerProductManipulation(agg=rule, **optimal),
        "ALIE": lambda rule: ATTACKS.ALittleIsEnough(tau=1.5),
        "Optimal ALIE": lambda rule: ATTACKS.Optimal_ALittleIsEnough(agg=rule, **optimal),
        "Mimic": lambda rule: ATTACKS.Mimic(epsilon=0),
        "Gaussian": lambda rule: ATTACKS.Gaussian(sigma=1.0),
    }


class World:
    """Honest updates as vectors, and what a set of updates for them is worth.

    Attributes
    ----------
    honest : ndarray of shape (n_honest, d)
    shapes : dict of str to tuple of int
        Of the modules a vector is made of.
    rank : int or "auto"
    """

    honest: np.ndarray
    shapes: dict[str, tuple[int, int]]
    rank: int | str

    def modules(self, vectors: np.ndarray) -> dict[str, np.ndarray]:
        """Cut vectors into modules of shape (n, d_out, d_in)."""
        found, start = {}, 0
        for name, shape in self.shapes.items():
            size = shape[0] * shape[1]
            found[name] = vectors[:, start : start + size].reshape(-1, *shape)
            start += size
        return found

    def worth(self, updates: np.ndarray) -> float:
        """Score one update for each honest client, (n_honest, d)."""
        raise NotImplementedError

    def fit(self, vectors: np.ndarray) -> clair.ClairFit:
        """Run CLAIR on what the server receives."""
        return clair.fit(self.modules(vectors), self.rank)

    def kept_mean(self, vectors: np.ndarray) -> np.ndarray:
        """Average by the weights of CLAIR's verdict, as an aggregator among the others."""
        influence = self.fit(vectors).influence
        return np.average(vectors, axis=0, weights=influence if influence.any() else None)

    def refined(self, found: clair.ClairFit) -> np.ndarray:
        """Collect the honest clients' refined updates as vectors."""
        n = len(self.honest)
        return np.hstack([found.refined[name][:n].reshape(n, -1) for name in self.shapes])


class Matrices(World):
    """The matrix model; the worth is the honest clients' error relative to training alone."""

    def __init__(self, seed: int, n_honest: int) -> None:
        spec = ProblemSpec(n_clients=n_honest, poisoned_fraction=0.0, seed=seed)
        problem = sample_problem(spec)
        self.honest = problem.updates.reshape(n_honest, -1)
        self._true = problem.true_updates.reshape(n_honest, -1)
        self.shapes = {"": problem.updates.shape[1:]}
        self.rank = "auto"

    def worth(self, updates: np.ndarray) -> float:
        """Compute the root mean squared error, relative to that of the clients' own updates."""
        error, own = (
            np.sqrt(np.mean(np.sum((some - self._true) ** 2, axis=1)))
            for some in (updates, self.honest)
        )
        return float(error / own)


class Digits(World):
    """Digits; the worth is the share of images that honest clients read right."""

    def __init__(self, seed: int, n_honest: int) -> None:
        config = DigitsConfig(n_clients=n_honest, poisoned_fraction=0.0, seed=seed, device="cpu")
        task = DigitsTask(config, make_federation(config), _cpu())
        plan = plan_of(config)
        shares = [whole(np.arange(n_honest), task.n_local)]
        clock = JobClock(stage_costs(config))
        sent, _ = train_adapters(task, plan, plan.schedule, clock, "train", shares)
        dense = {name: part.dense() for name, part in sent.items()}
        self.task, self.rank = task, plan.rank
        self.shapes = {name: part.shape[1:] for name, part in dense.items()}
        self.honest = np.hstack([part.reshape(n_honest, -1) for part in dense.values()])

    def worth(self, updates: np.ndarray) -> float:
        """Compute the mean share of held-out images read right."""
        everybody = np.ones(len(self.honest), dtype=bool)
        estimates = {"": self.modules(updates)}
        scored = evaluate_methods(self.task.model, estimates, everybody, self.task.scores)
        return float(scored[""].accuracy.mean())


def _cpu() -> Any:
    import torch

    return torch.device("cpu")


@dataclass(frozen=True)
class Outcome:
    """Of one rule, attack and seed.

    Attributes
    ----------
    distance : float
        Of the aggregate from the honest mean, relative to the honest clients' spread about it.
    worth : float
        Of the aggregate for every honest client.
    found, falsely : int
        Attackers and honest clients that CLAIR flags or, for attackers, also suspects.
    refined : float
        Worth of the refined updates.
    """

    distance: float
    worth: float
    found: int = 0
    falsely: int = 0
    refined: float = np.nan


class Endless(Exception):  # noqa: N818 - an outcome of its own
    """A rule goes on for longer than `PATIENCE`."""


@contextmanager
def bounded() -> Iterator[None]:
    """Raise `Endless` in the block when it takes too long."""

    def stop(number: int, frame: object) -> None:
        raise Endless

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_bounds(rule: Rule) -> Rule:
    """Let every call of a rule end."""

    def call(vectors: np.ndarray) -> np.ndarray:
        with bounded():
            return rule(vectors)

    return call


def play(world: World, rule: Rule, attack: Callable[[np.ndarray], np.ndarray], f: int) -> Outcome:
    """Attack, aggregate, and score; for CLAIR with the verdict and the refinement."""
    honest, n = world.honest, len(world.honest)
    sent = np.vstack([honest, np.repeat(np.asarray(attack(honest))[None], f, axis=0)])
    aggregate = np.asarray(rule(sent))
    mean = honest.mean(axis=0)
    spread = np.sqrt(np.mean(np.sum((honest - mean) ** 2, axis=1)))
    distance = float(np.linalg.norm(aggregate - mean) / spread)
    worth = world.worth(np.repeat(aggregate[None], n, axis=0))
    if rule != world.kept_mean:
        return Outcome(distance, worth)
    found = world.fit(sent)
    caught = found.flagged | found.suspect
    refined = world.worth(world.refined(found))
    return Outcome(distance, worth, int(caught[n:].sum()), int(found.flagged[:n].sum()), refined)


def table(make: Callable[[int, int], World], n_honest: int, f: int, seeds: range) -> list[str]:
    """Write a row an attack: the distance of every rule, then what the clients get."""
    names = [*rules(f), "CLAIR's kept"]
    lines = [
        f"| attack | {' | '.join(names)} | best aggregate for a client | training alone "
        "| CLAIR, refined | attackers caught | honest flagged |",
        "|---" * (len(names) + 6) + "|",
    ]
    worlds = [make(seed, n_honest) for seed in seeds]
    better: Callable[..., Any] = min if make is Matrices else max
    alone = np.mean([world.worth(world.honest) for world in worlds])
    for name, prepare in attacks(f).items():
        outcomes = {key: outcomes_of(key, prepare, f, seeds, worlds) for key in names}
        ours = outcomes[names[-1]]
        cells = [
            f"{np.mean([o.distance for o in outcomes[key]]):.3f}" if outcomes[key] else "no end"
            for key in names
        ]
        means = {k: float(np.mean([o.worth for o in some])) for k, some in outcomes.items() if some}
        best = better(means, key=lambda key: means[key])
        lines.append(
            f"| {name} | {' | '.join(cells)} | {means[best]:.3f} ({best}) | {alone:.3f} "
            f"| {np.mean([o.refined for o in ours]):.3f} "
            f"| {sum(o.found for o in ours)} of {f * len(ours)} "
            f"| {sum(o.falsely for o in ours)} of {n_honest * len(ours)} |"
        )
        print(lines[-1], flush=True)
    return [*lines, ""]


def outcomes_of(
    name: str,
    prepare: Callable[[Rule], Callable[[np.ndarray], np.ndarray]],
    f: int,
    seeds: range,
    worlds: list[World],
) -> list[Outcome]:
    """Play all seeds against one rule; none if it does not end on one of them."""
    found = []
    for seed, world in zip(seeds, worlds, strict=True):
        rule = rules(f).get(name, world.kept_mean)
        np.random.seed(seed)  # noqa: NPY002 - ByzFL draws from it
        try:
            found.append(play(world, rule, prepare(rule), f))
        except Endless:
            return []
    return found


HEAD = f"""# ByzFL's aggregators and CLAIR under ByzFL's attacks

ByzFL's rules are told the number of attackers, CLAIR is not. All attackers send one vector; the
optimal attacks search its size against the very rule in their column (8 evaluations, CLAIR's
included). "No end": a call took more than {PATIENCE:g} s on one of the seeds. CAF weighs clients
down until few are left, by their distance relative to the farthest client's, and those it has given
weight 0 still count: where one of them is the farthest, the others' weights may hardly fall.

First the distance of each aggregate from the honest clients' mean, relative to their spread about
it: what these rules are made for, less is better; CLAIR's is the average by the weights of its
verdict. Then what an honest client has of it: of the aggregate that serves the clients best (the
same for all), of its own training, of CLAIR's refined update under the attack on CLAIR. In the
matrix model that is the error relative to training alone (less is better), for digits the share of
images read right (more is better). Caught: flagged or suspect. Means over {SEEDS} seeds.
"""


def main() -> None:
    """Print all tables, and write them for fresh seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--develop", action="store_true")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    first, started = DEVELOPMENT if options.develop else FRESH, time.time()
    seeds, lines = range(first, first + options.seeds), [HEAD]
    worlds: Mapping[str, Callable[[int, int], World]] = {"Matrices": Matrices, "Digits": Digits}
    with limited_threads(1), single_blas_thread():
        for title, make in worlds.items():
            for n_honest, f in CROWDS:
                lines += [f"## {title}: {n_honest} honest clients, {f} attackers", ""]
                print(lines[-2], flush=True)
                lines += table(make, n_honest, f, seeds)
    if not options.develop:
        write("against_byzfl", lines, started, remark="")


if __name__ == "__main__":
    main()
