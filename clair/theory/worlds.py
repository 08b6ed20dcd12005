"""Worlds that one update per client cannot tell apart, and what two halves of the data show.

Outside the shared subspace a client's update is the sum of what is really its own and of estimation
error, both unknown. If both are Gaussian, the same sum comes from any share of either: the updates
drawn here are the same numbers in every world, and so are the verdict, the subspace and CLAIR's
answer. Only the truth moves, from "all error" to "all real".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from clair._threads import single_blas_thread
from clair.method.halves import direction_weights, refine_by_directions
from clair.method.linalg import block_norms
from clair.method.refinement import refine
from clair.simulation.matrix_model import STREAMS, Problem, ProblemSpec, sample_problem
from clair.theory.curves import Found, judged
from clair.theory.predictions import off_energy

#: Methods compared.
WORLD_METHODS: tuple[str, ...] = ("local", "clair", "clair_halves")
#: Shares of what lies outside the subspace that are real.
SHARES: tuple[float, ...] = tuple(np.linspace(0, 1, 11))


@dataclass(frozen=True)
class Worlds:
    """Error of the honest clients in worlds with the same updates.

    Attributes
    ----------
    shares : ndarray of shape (n,)
        Share of the energy outside the subspace that is real, in [0, 1].
    errors : dict of str to ndarray of shape (n, trials)
        Root mean squared error over honest clients, by method (`WORLD_METHODS`).
    halves_apart : ndarray of shape (n, trials)
        Half of what a client's two halves differ by, relative to the scatter between clients, both
        outside the subspace, in Frobenius norm: the only observable that differs between worlds.
    here : float
        The share in the problem as it is set.
    """

    shares: np.ndarray
    errors: dict[str, np.ndarray]
    halves_apart: np.ndarray
    here: float

    @property
    def break_even(self) -> float | None:
        """Share at which CLAIR and training alone err alike; None if one is ahead in all worlds."""
        ahead = (self.errors["local"] - self.errors["clair"]).mean(axis=1)
        crossed = np.flatnonzero((ahead[:-1] > 0) & (ahead[1:] <= 0))
        if not crossed.size:
            return None
        i = int(crossed[0])
        part = ahead[i] / (ahead[i] - ahead[i + 1])
        return float(self.shares[i] + part * (self.shares[i + 1] - self.shares[i]))


def worlds(spec: ProblemSpec, trials: int = 4) -> Worlds:
    """Draw updates once a trial, and measure every method in all worlds they can come from.

    Parameters
    ----------
    spec : ProblemSpec
        Noise and off-subspace heterogeneity set how much lies outside the subspace, together; there
        is no error inside.
    trials : int
        Draws, with consecutive seeds.

    Raises
    ------
    ValueError
        If nothing lies outside the subspace.
    """
    size = outside_scatter(spec)
    if size == 0:
        raise ValueError("noise or off_subspace must be above 0, got 0 for both")
    errors = {method: np.empty((len(SHARES), trials)) for method in WORLD_METHODS}
    apart = np.empty((len(SHARES), trials))
    for t in range(trials):
        drawn = sample_problem(replace(spec, noise=0.0, off_subspace=0.0, seed=spec.seed + t))
        base, error, other = _outside(drawn, size)
        found = judged(replace(drawn, updates=drawn.updates + base))
        with single_blas_thread():
            for i, share in enumerate(SHARES):
                mixed = np.sqrt(share * (1 - share)) * error
                real, half = share * base + mixed, np.sqrt(1 - share) * other
                truth = drawn.true_updates + real
                for method, value in _errors(found, truth, half).items():
                    errors[method][i, t] = value
                apart[i, t] = _relative(half, base)
    here = off_energy(spec) / (size**2 * (spec.d_out - spec.rank) * spec.d_in)
    return Worlds(np.array(SHARES), errors, apart, here)


def outside_scatter(spec: ProblemSpec) -> float:
    """Compute the standard deviation of honest entries outside the subspace, real or not."""
    free = (spec.d_out - spec.rank) * spec.d_in
    if free == 0:
        return 0.0
    return float(np.sqrt(spec.noise**2 + off_energy(spec) / free))


def _outside(problem: Problem, size: float) -> np.ndarray:
    """Draw three times independently outside the subspace, (3, n_clients, d_out, d_in)."""
    sequence = np.random.SeedSequence(problem.spec.seed, spawn_key=(STREAMS + 1,))
    draws = size * np.random.default_rng(sequence).standard_normal((3, *problem.updates.shape))
    outside: np.ndarray = draws - problem.subspace @ (problem.subspace.T @ draws)
    return outside


def _errors(found: Found, truth: np.ndarray, half: np.ndarray) -> dict[str, float]:
    problem, benign = found.problem, found.verdict.benign
    modules, bases, counted = [problem.updates], [found.basis], found.verdict.influence
    shares = direction_weights(modules, bases, benign, [half], counted)
    estimates = {
        "local": problem.updates,
        "clair": refine(modules, bases, benign, influence=counted)[0],
        "clair_halves": refine_by_directions(modules, benign, shares, counted)[0],
    }
    honest = ~problem.contaminated
    return {
        key: float(np.sqrt(np.mean(block_norms((value - truth)[honest]) ** 2)))
        for key, value in estimates.items()
    }


def _relative(half: np.ndarray, base: np.ndarray) -> float:
    return float(np.linalg.norm(half) / np.linalg.norm(base - base.mean(axis=0)))
