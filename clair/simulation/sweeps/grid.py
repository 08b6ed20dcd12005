"""Phase diagrams: on a grid of problems, several trials a cell, who was found and how well.

A sweep is described by a small frozen value. Every trial's seed is spawned from the sweep's seed by
its cell and number, so a cell is the same whoever computes it, in whatever order, and each trial is
one plain `ProblemSpec` that can be opened anywhere else. Finished cells are kept on disk under the
digest of the description: a sweep that was stopped goes on where it was.

Cells are spread over worker processes (`clair.executors`): threads would hold the
interpreter lock that the app's pages need. ``benchmarks/sweep_rate.py`` times both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from clair._threads import single_blas_thread
from clair._validation import check_choice, check_integer
from clair.method.detection import detect_updates
from clair.method.fit import fit
from clair.method.linalg import block_grams
from clair.method.metrics import detection_scores, subspace_error
from clair.method.refinement import principal_subspace
from clair.simulation.matrix_model import ProblemSpec, sample_problem

#: Fields of `ProblemSpec` that may be an axis: title, and how a value is written.
AXIS_TITLES: dict[str, tuple[str, str]] = {
    "poisoned_fraction": ("poisoned fraction γ", ".2f"),
    "rank": ("rank r of the shared subspace", ".0f"),
    "n_clients": ("clients K", ".0f"),
    "noise": ("noise σ", ".2f"),
    "off_subspace": ("off-subspace heterogeneity", ".1f"),
    "attack_scale": ("attack strength", ".1f"),
}
AXES: tuple[str, ...] = tuple(AXIS_TITLES)
METHODS: tuple[str, ...] = ("residual", "norms")
MIN_HONEST = 3
#: Seeds stay below this, so that a trial's seed can be typed on any page.
SEEDS = 1_000_000
#: Raised whenever the same description would give other numbers.
VERSION = 2


@dataclass(frozen=True)
class Axis:
    """One side of the diagram.

    Attributes
    ----------
    name : str
        One of `AXES`.
    values : tuple of float
        Strictly increasing.
    """

    name: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        check_choice("axis", self.name, AXES)
        object.__setattr__(self, "values", tuple(float(v) for v in self.values))
        if not self.values or any(np.diff(self.values) <= 0):
            raise ValueError(f"values of axis {self.name} must increase, got {self.values}")

    def plain(self, index: int) -> float | int:
        """Look up the value at an index, an integer where the field is one."""
        value = self.values[index]
        return int(value) if self.name in ("rank", "n_clients") else value


@dataclass(frozen=True)
class SweepConfig:
    """Everything that determines a phase diagram.

    Attributes
    ----------
    base : ProblemSpec
        The fields that are no axis; its seed is the root of all seeds.
    x, y : Axis
        Two different axes.
    trials : int
        Problems a cell, >= 1.
    method : {"residual", "norms"}
        "residual" is CLAIR as `clair.fit` runs it by default: leave-one-out detector and polished
        subspace. "norms" is the convex program alone: flags by contamination norms, subspace of L.
        Both are told the true rank.

    Raises
    ------
    ValueError
        If a field is out of its range.
    """

    base: ProblemSpec = field(default_factory=ProblemSpec)
    x: Axis = field(default_factory=lambda: Axis("noise", (0.0, 0.05, 0.1)))
    y: Axis = field(default_factory=lambda: Axis("poisoned_fraction", (0.1, 0.25, 0.4)))
    trials: int = 10
    method: str = "residual"

    def __post_init__(self) -> None:
        check_integer("trials", self.trials, minimum=1)
        check_choice("method", self.method, METHODS)
        if self.x.name == self.y.name:
            raise ValueError(f"the axes must differ, got {self.x.name} twice")
        # Fields that the axes replace must not make equal sweeps look different.
        unused: dict[str, Any] = {
            f.name: f.default for f in fields(ProblemSpec) if f.name in self.axes
        }
        object.__setattr__(self, "base", replace(self.base, **unused))

    @property
    def axes(self) -> tuple[str, str]:
        """Names of the two axes, x first."""
        return self.x.name, self.y.name

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (y) and columns (x)."""
        return len(self.y.values), len(self.x.values)

    @property
    def n_cells(self) -> int:
        """Number of cells, impossible ones included."""
        return self.shape[0] * self.shape[1]

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values, with the version of the engine."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SweepConfig:
        """Rebuild a config from what `to_json` wrote.

        Raises
        ------
        ValueError
            If `data` was written by another version, or a field is out of its range.
        """
        if data.get("version") != VERSION:
            raise ValueError(f"version must be {VERSION}, got {data.get('version')!r}")
        axes = {k: Axis(data[k]["name"], tuple(data[k]["values"])) for k in ("x", "y")}
        base = ProblemSpec(**data["base"])
        return cls(base, axes["x"], axes["y"], data["trials"], data["method"])

    @property
    def digest(self) -> str:
        """Name under which results are kept: equal descriptions, equal digests."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def trial_seed(config: SweepConfig, cell: int, trial: int) -> int:
    """Spawn the seed of one problem from the sweep's seed; below `SEEDS`."""
    sequence = np.random.SeedSequence(config.base.seed, spawn_key=(cell, trial))
    return int(sequence.generate_state(1, np.uint64)[0] % SEEDS)


def cell_spec(config: SweepConfig, cell: int, trial: int = 0) -> ProblemSpec:
    """Build the problem of a trial; cells are counted along x first.

    Raises
    ------
    ValueError
        If there is no such cell or trial, or the values make no valid problem (see `obstacle`).
    """
    check_integer("cell", cell, minimum=0, maximum=config.n_cells - 1)
    check_integer("trial", trial, minimum=0, maximum=config.trials - 1)
    row, column = divmod(cell, config.shape[1])
    chosen: dict[str, Any] = {
        config.x.name: config.x.plain(column),
        config.y.name: config.y.plain(row),
        "seed": trial_seed(config, cell, trial),
    }
    return replace(config.base, **chosen)


def obstacle(config: SweepConfig, cell: int) -> str | None:
    """Say in plain words why a cell has no result; None if it has one."""
    try:
        spec = cell_spec(config, cell)
    except ValueError as error:
        return str(error)
    if spec.rank >= spec.d_out:
        return (
            f"rank {spec.rank} fills all {spec.d_out} rows of an update, so nothing lies outside "
            "the subspace and nobody can be told apart"
        )
    honest = spec.n_clients - spec.n_contaminated
    if honest < MIN_HONEST:
        return f"only {honest} honest clients are left; at least {MIN_HONEST} must agree"
    return None


@dataclass(frozen=True)
class Trial:
    """Outcome of one problem.

    Attributes
    ----------
    exact : bool
        Whether exactly the contaminated clients were flagged.
    f1 : float
        Of the flagged set, in [0, 1].
    error : float
        Sine of the largest angle between recovered and true subspace, in [0, 1].
    """

    exact: bool
    f1: float
    error: float


def run_trial(spec: ProblemSpec, method: str) -> Trial:
    """Draw a problem and look whom the method finds.

    Parameters
    ----------
    spec : ProblemSpec
    method : {"residual", "norms"}
        See `SweepConfig`.

    Notes
    -----
    With the residual detector and polish neither the verdict nor the subspace depends on the convex
    program, so it is not solved: the same outcome as from `clair.fit` in a fraction of the time.
    """
    problem = sample_problem(spec)
    with single_blas_thread():
        if method == "norms":
            result = fit(problem.updates, spec.rank, detector="norms", polish=False)
            benign, basis = result.benign, result.subspace
        else:
            verdict = detect_updates(problem.updates, spec.rank)
            benign, weights = verdict.benign, verdict.influence
            grams = block_grams(problem.updates)
            basis = principal_subspace(weights[:, None, None] * grams, spec.rank)
    scores = detection_scores(~benign, problem.contaminated)
    return Trial(scores.exact, scores.f1, subspace_error(basis, problem.subspace))


def run_cell(config: SweepConfig, cell: int) -> tuple[Trial, ...]:
    """Run all trials of a cell; none where the cell is impossible."""
    if obstacle(config, cell) is not None:
        return ()
    return tuple(run_trial(cell_spec(config, cell, t), config.method) for t in range(config.trials))


@dataclass(frozen=True)
class SweepResult:
    """A diagram, complete or not.

    Attributes
    ----------
    config : SweepConfig
    exact, f1, error : ndarray of shape (rows, columns, trials)
        As in `Trial`, NaN where not computed or impossible.
    done : ndarray of bool, shape (rows, columns)
        Impossible cells count as done.
    seconds : float
        Time spent on the cells that were not already on disk.
    """

    config: SweepConfig
    exact: np.ndarray
    f1: np.ndarray
    error: np.ndarray
    done: np.ndarray
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every cell is done."""
        return bool(self.done.all())

    @classmethod
    def of(
        cls, config: SweepConfig, cells: Mapping[int, tuple[Trial, ...]], seconds: float = 0.0
    ) -> SweepResult:
        """Collect finished cells."""
        arrays = np.full((3, config.n_cells, config.trials), np.nan)
        done = np.zeros(config.n_cells, dtype=bool)
        for cell, trials in cells.items():
            done[cell] = True
            for index, trial in enumerate(trials):
                arrays[:, cell, index] = trial.exact, trial.f1, trial.error
        exact, f1, error = arrays.reshape(3, *config.shape, config.trials)
        return cls(config, exact, f1, error, done.reshape(config.shape), seconds)

    def success(self, measure: str, level: float) -> np.ndarray:
        """Compute each cell's share of successful trials, ndarray of shape (rows, columns).

        Parameters
        ----------
        measure : {"exact", "error", "f1"}
        level : float
            Largest subspace error, or least F1, that counts; ignored for "exact".
        """
        check_choice("measure", measure, ("exact", "error", "f1"))
        if measure == "exact":
            share = self.exact
        elif measure == "error":
            share = np.where(np.isnan(self.error), np.nan, self.error <= level)
        else:
            share = np.where(np.isnan(self.f1), np.nan, self.f1 >= level)
        mean: np.ndarray = share.mean(axis=2)
        return mean
