"""The same scenario drawn again and again: a sweep along the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from clair.simulation.scenario import Scenario
from clair.simulation.sweeps.axes import FIT_DEFAULTS, Axis
from clair.simulation.sweeps.grid import ERRORS, SweepConfig, SweepResult
from clair.simulation.sweeps.summary import LEVEL


def repeats_of(scenario: Scenario, draws: int) -> SweepConfig:
    """Describe draws of a scenario: its own seed first, then those that follow it.

    Parameters
    ----------
    scenario : Scenario
    draws : int
        >= 1.
    """
    first = scenario.spec.seed
    seeds = Axis("seed", tuple(range(first, first + draws)))
    options = {("use_rank" if k == "rank" else k): v for k, v in scenario.fit_options.items()}
    halves = scenario.pooling == "halves"
    return SweepConfig(
        scenario.spec,
        (seeds,),
        1,
        {k: v for k, v in options.items() if v != FIT_DEFAULTS.get(k)},
        ("exact", "f1"),
        tuple(key for key in ERRORS if halves or key != "clair_halves"),
        scenario.plan,
    )


@dataclass(frozen=True)
class Repeats:
    """What the draws gave, hashable so that it can key a chart.

    Attributes
    ----------
    seeds : tuple of int
    exact, f1 : tuple of float
        By draw.
    errors : tuple of (method, tuple of float)
        Mean distance of the honest clients to their true updates, by draw.
    """

    seeds: tuple[int, ...]
    exact: tuple[float, ...]
    f1: tuple[float, ...]
    errors: tuple[tuple[str, tuple[float, ...]], ...]

    @classmethod
    def of(cls, result: SweepResult) -> Repeats:
        """Collect the draws of a sweep that `repeats_of` described."""
        drawn = {
            name: tuple(map(float, result.of_measure(name)[:, 0])) for name in result.config.columns
        }
        seeds = tuple(int(value) for value in result.config.along[0].values)
        errors = tuple((name, drawn[name]) for name in result.config.methods)
        return cls(seeds, drawn["exact"], drawn["f1"], errors)

    def error_of(self, method: str) -> np.ndarray:
        """Look up a method's errors, ndarray of shape (n_draws,)."""
        return np.array(dict(self.errors)[method])


def difference(
    first: np.ndarray, second: np.ndarray, *, paired: bool
) -> tuple[float, float, float]:
    """Compute the mean of ``second - first`` and its interval.

    Parameters
    ----------
    first, second : ndarray of shape (n,)
    paired : bool
        Whether entries of one position belong together, as draws of one seed do. Then the interval
        is Student's of the differences, else Welch's.
    """
    mean = float(second.mean() - first.mean())
    if np.array_equal(first, second):
        return mean, 0.0, 0.0
    found = (
        stats.ttest_rel(second, first)
        if paired
        else stats.ttest_ind(second, first, equal_var=False)
    )
    interval = found.confidence_interval(LEVEL)
    return mean, float(interval.low), float(interval.high)
