"""Worlds that `verdict.py` judges; the package is imported late, from the tree that judges."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

D, RANK, NOISE = 32, 3, 0.03
#: Modules that everybody changes, and those that few change.
COMMON, FURTHER = 4, 3
OFF_SUBSPACE = 0.5
#: Norms of a direction of one's own over that of the noise; standard deviation of their logarithm.
OWN_DIRECTION = (0.2, 0.4)
OWN_SPREAD = 0.4
#: The noise of an update over its norm; foreign parts of so many times it, and what they are.
NOISE_SIZE = 0.373
TIMES_NOISE = (0.75, 1.0, 1.25, 1.5, 2.0)
FOREIGN: dict[str, dict[str, float]] = {
    "common direction": {},
    "three common directions": {"directions": 3},
    "directions of their own": {"agree": 0, "alike": 0},
    "common direction, no noise": {"noise": 0},
}
#: Plans beside the attacks that ship: name, tactics.
PLANS: dict[str, list[dict[str, float]]] = {
    "colluding x 10": [{"own": 0, "size": 10, "directions": 3, "alike": 0.5}],
    "identical x 10": [{"size": 10, "directions": 3}],
    "one shared direction x 3": [{"size": 1.5, "alike": 0.5}],
    "rank 1 of honest size, no noise": [{"own": 0, "size": 1, "noise": 0}],
    "one x 100 hides a group x 3": [
        {"share": 0, "size": 40, "agree": 0, "alike": 0},
        {"size": 1.1, "directions": 3},
    ],
    "two x 100 hide a group x 8": [
        {"share": 0.25, "size": 40, "agree": 0, "alike": 0},
        {"share": 0.75, "size": 3, "directions": 3},
    ],
    "ladder in one direction": [{"size": 0.05, "ladder": 1.09}],
    "ladder in one matrix": [{"own": 0, "copy": -1, "directions": 0, "ladder": 1.12, "noise": 0}],
    "common matrix of the noise's size": [{"size": NOISE_SIZE, "directions": 0, "noise": 0}],
    "common direction of the noise's size": [{"size": NOISE_SIZE, "noise": 0}],
    "half of another's noise": [{"echo": 0.6, "noise": 0.8}],
    "tilt .3, no noise": [{"tilt": 0.3, "noise": 0}],
    "tilt .2, no noise": [{"tilt": 0.2, "noise": 0}],
    "near nothing, and colluders x 10": [
        {"share": 0.3, "own": 0.0001, "noise": 0},
        {"share": 0.7, "own": 0, "size": 10, "directions": 3, "alike": 0},
    ],
}


class World(NamedTuple):
    """Updates by module, and the truth; the last two are known where errors are measured."""

    modules: dict[str, np.ndarray]
    contaminated: np.ndarray
    true_updates: np.ndarray | None = None
    subspace: np.ndarray | None = None


def attacked(name: str, n_clients: int, n_bad: int, seed: int) -> World:
    """Draw a world in which some clients follow a plan, an attack, or one of `FOREIGN` by size."""
    from clair.simulation.attack_plan import AttackPlan
    from clair.simulation.matrix_model import ProblemSpec, sample_problem

    fraction = n_bad / n_clients
    spec = ProblemSpec(n_clients=n_clients, poisoned_fraction=fraction, noise=NOISE, seed=seed)
    kind, _, times = name.partition(": ")
    if name in PLANS:
        problem = sample_problem(spec, AttackPlan.from_json(PLANS[name]))
    elif kind in FOREIGN:
        tactic = {**FOREIGN[kind], "size": float(times) * NOISE_SIZE}
        problem = sample_problem(spec, AttackPlan.from_json([tactic]))
    else:
        attack, _, scale = name.partition(" x ")
        options = {"attack": attack, "attack_scale": float(scale or 1)}
        problem = sample_problem(ProblemSpec(**{**spec.__dict__, **options}))
    return World(
        {"all": problem.updates}, problem.contaminated, problem.true_updates, problem.subspace
    )


def clean(name: str, n_clients: int, seed: int) -> World:
    """Draw honest clients alone; "uneven data" means data sizes of 1 to 20."""
    from clair.simulation.matrix_model import ProblemSpec, sample_problem

    spec = ProblemSpec(n_clients=n_clients, poisoned_fraction=0, noise=NOISE, seed=seed)
    problem = sample_problem(spec)
    updates = problem.updates
    if name == "uneven data":
        rng = np.random.default_rng([seed, 1])
        sizes = np.geomspace(1, 20, n_clients)[rng.permutation(n_clients)]
        errors = updates - problem.true_updates
        updates = problem.true_updates + errors * (2.5 / np.sqrt(sizes))[:, None, None]
    return World({"all": updates}, problem.contaminated, problem.true_updates, problem.subspace)


def spread(n_clients: int, unevenness: float, seed: int) -> World:
    """Draw honest clients of uneven sizes, each with a part outside the shared subspace."""
    from clair.simulation.matrix_model import ProblemSpec, sample_problem

    spec = ProblemSpec(
        n_clients=n_clients,
        poisoned_fraction=0,
        noise=NOISE,
        unevenness=unevenness,
        off_subspace=OFF_SUBSPACE,
        seed=seed,
    )
    problem = sample_problem(spec)
    return World({"all": problem.updates}, problem.contaminated)


def own_direction(n_clients: int, times: float, unevenness: float, seed: int) -> World:
    """Draw honest clients of uneven sizes, each with a weak direction of its own outside."""
    from clair.simulation.matrix_model import ProblemSpec, sample_problem

    spec = ProblemSpec(n_clients=n_clients, poisoned_fraction=0, noise=NOISE, seed=seed)
    problem = sample_problem(spec)
    rng, basis = np.random.default_rng([seed, 3]), problem.subspace
    parts = rng.standard_normal((n_clients, D, 1)) * rng.standard_normal((n_clients, 1, D))
    parts -= basis @ (basis.T @ parts)
    noise = NOISE * np.sqrt((D - RANK) * D)
    norms = times * noise * np.exp(OWN_SPREAD * rng.standard_normal(n_clients))
    parts *= (norms / np.linalg.norm(parts, axis=(1, 2)))[:, None, None]
    sizes = np.exp(unevenness * rng.standard_normal(n_clients))[:, None, None]
    errors = problem.updates - problem.true_updates
    updates = sizes * (problem.true_updates + parts) + errors
    return World({"all": updates}, problem.contaminated)


def ragged(name: str, n_clients: int, n_more: int, n_bad: int, seed: int) -> World:
    """Draw clients that all change some modules, and few of whom change further ones.

    Each module has a subspace of its own; who is poisoned and who changes more modules is drawn
    independently, and is the same in every module.
    """
    rng = np.random.default_rng([seed, 2])
    bad, more = (
        np.isin(np.arange(n_clients), rng.permutation(n_clients)[:n]) for n in (n_bad, n_more)
    )
    modules = {}
    for m in range(COMMON + FURTHER):
        drawn = attacked(name, n_clients, n_bad, seed + 100 * m)
        updates = np.empty_like(drawn.modules["all"])
        for given, wanted in ((drawn.contaminated, bad), (~drawn.contaminated, ~bad)):
            updates[wanted] = drawn.modules["all"][given]
        if m >= COMMON:
            updates[~more] = 0
        modules[f"module {m + 1}"] = updates
    return World(modules, bad)
