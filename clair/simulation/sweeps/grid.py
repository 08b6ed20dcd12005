"""Grids of problems: several trials a cell, who was found and what it was worth.

A sweep is described by a small frozen value. Every trial's seed is spawned from the sweep's seed by
its problem and number, so a cell is the same whoever computes it, in whatever order, and each trial
is one plain `ProblemSpec` that can be opened anywhere else. Cells that differ in CLAIR's options
alone have the same problems. Finished cells are kept on disk under the digest of the description: a
sweep that was stopped goes on where it was.

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

from clair._validation import check_choice, check_integer
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.own_code import OwnCode
from clair.simulation.sweeps.axes import AXIS_TITLES as AXIS_TITLES
from clair.simulation.sweeps.axes import Axis as Axis
from clair.simulation.sweeps.axes import plain_options

#: CLAIR as `clair.fit` runs it by default, and the convex program alone: flags by contamination
#: norms, subspace of L. Both are told the true rank.
METHODS: dict[str, dict[str, Any]] = {
    "residual": {},
    "norms": {"detector": "norms", "polish": False},
}
#: What a trial measures of the verdict and the subspace, with its name for people.
MEASURES: dict[str, str] = {
    "exact": "exact set",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "false_alarms": "honest clients flagged",
    "subspace_error": "subspace error",
}
#: Methods whose error a trial can measure: those that need no training.
ERRORS: tuple[str, ...] = (
    "local", "fedavg", "median", "trimmed_mean", "geometric_median", "krum", "multi_krum", "pca",
    "clair", "clair_eb", "clair_halves", "clair_published", "fedavg_benign", "clair_oracle",
)  # fmt: skip
DEFAULT_MEASURES = ("exact", "f1", "subspace_error")
MIN_HONEST = 3
#: Seeds stay below this, so that a trial's seed can be typed on any page.
SEEDS = 1_000_000
#: Cells of the largest grid.
MOST_CELLS = 100_000
#: Raised whenever the same description would give other numbers.
VERSION = 3

#: What one problem gave, in the order of `SweepConfig.columns`; NaN where there is nothing.
Trial = tuple[float, ...]


@dataclass(frozen=True)
class SweepConfig:
    """Everything that determines a grid.

    Attributes
    ----------
    base : ProblemSpec
        The settings that are no axis; its seed is the root of all seeds.
    along : tuple of Axis
        The sides, all different; cells are counted along the first of them first. With the seed as
        an axis and one trial a cell, its values are the seeds themselves.
    trials : int
        Problems a cell, >= 1.
    options : mapping, or tuple of pairs
        Options of `clair.fit` that differ from its defaults; ``use_rank`` is the rank it uses, by
        default the true one.
    measures : tuple of str
        Keys of `MEASURES`.
    methods : tuple of str
        Keys of `ERRORS`; of each, the mean distance of the honest clients to their true updates.
    attack : AttackPlan or OwnCode, optional
        What the contaminated clients do instead of the attacks of the problem.
    detector : OwnCode, optional
        Judges instead of the detector of the options.

    Raises
    ------
    ValueError
        If a field is out of its range.
    """

    base: ProblemSpec = field(default_factory=ProblemSpec)
    along: tuple[Axis, ...] = ()
    trials: int = 10
    options: Any = ()
    measures: tuple[str, ...] = DEFAULT_MEASURES
    methods: tuple[str, ...] = ()
    attack: AttackPlan | OwnCode | None = None
    detector: OwnCode | None = None

    def __post_init__(self) -> None:
        check_integer("trials", self.trials, minimum=1)
        for name, known, one in (("measures", MEASURES, "measure"), ("methods", ERRORS, "method")):
            chosen = tuple(getattr(self, name))
            for key in chosen:
                check_choice(one, key, tuple(known))
            object.__setattr__(self, name, tuple(key for key in known if key in chosen))
        if not self.columns:
            raise ValueError("measures must have at least one entry where methods have none")
        names = [axis.name for axis in self.along]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the axes must differ, got {twice} twice")
        self._check_own(names)
        if self.n_cells > MOST_CELLS:
            raise ValueError(f"cells must be at most {MOST_CELLS}, got {self.n_cells}")
        object.__setattr__(self, "along", tuple(self.along))
        # Fields that the axes replace must not make equal sweeps look different.
        unused: dict[str, Any] = {f.name: f.default for f in fields(ProblemSpec) if f.name in names}
        if names.count("seed") and self.trials > 1:
            raise ValueError(f"trials must be 1 where the seed is an axis, got {self.trials}")
        object.__setattr__(self, "base", replace(self.base, **unused))
        options = {k: v for k, v in dict(self.options).items() if k not in names}
        object.__setattr__(self, "options", plain_options(options))

    def _check_own(self, names: list[str]) -> None:
        """Check that no axis changes what code of the reader's own replaces."""
        replaced = {
            "attack": self.attack is not None,
            "second_attack": self.attack is not None,
            "second_share": self.attack is not None,
            "detector": self.detector is not None,
        }
        for name in names:
            if replaced.get(name):
                raise ValueError(f"axis {name} must not be given: code of your own replaces it")

    @property
    def columns(self) -> tuple[str, ...]:
        """What a trial holds: measures, then methods."""
        return (*self.measures, *self.methods)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, in order."""
        return tuple(axis.name for axis in self.along)

    @property
    def x(self) -> Axis:
        """The first axis, which is drawn across."""
        return self.along[0]

    @property
    def y(self) -> Axis:
        """The second axis, which is drawn upwards."""
        return self.along[1]

    @property
    def method(self) -> str | None:
        """The key of `METHODS` with these options; None where there is none."""
        if self.detector is not None or any(not axis.of_problem for axis in self.along):
            return None
        known = (key for key, options in METHODS.items() if plain_options(options) == self.options)
        return next(known, None)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, the last one first: rows (y) and columns (x)."""
        return tuple(len(axis.values) for axis in reversed(self.along))

    @property
    def n_cells(self) -> int:
        """Number of cells, impossible ones included."""
        return int(np.prod(self.shape, dtype=int))

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values, with the version of the engine."""
        plain = {"version": VERSION, **asdict(self), "options": dict(self.options)}
        if isinstance(self.attack, AttackPlan):
            plain["attack"] = self.attack.to_json()
        return plain

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
        along = tuple(Axis(one["name"], _tuples(one["values"])) for one in data["along"])
        attack, detector = data["attack"], data["detector"]
        if attack is not None:
            own = isinstance(attack, Mapping)
            attack = OwnCode(**attack) if own else AttackPlan.from_json(attack)
        return cls(
            ProblemSpec(**data["base"]),
            along,
            data["trials"],
            {name: _tuples(value) for name, value in data["options"].items()},
            tuple(data["measures"]),
            tuple(data["methods"]),
            attack,
            None if detector is None else OwnCode(**detector),
        )

    @property
    def digest(self) -> str:
        """Name under which results are kept: equal descriptions, equal digests."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def _tuples(value: Any) -> Any:
    """Give lists of JSON back as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _indices(config: SweepConfig, cell: int) -> list[int]:
    """Convert the number of a cell to its position along each axis."""
    if not config.along:
        return []
    return [int(i) for i in np.unravel_index(cell, config.shape)][::-1]


def cell_values(config: SweepConfig, cell: int) -> dict[str, Any]:
    """Look up the value of each axis at a cell."""
    found = zip(config.along, _indices(config, cell), strict=True)
    return {axis.name: axis.plain(index) for axis, index in found}


def trial_seed(config: SweepConfig, cell: int, trial: int) -> int:
    """Spawn the seed of one problem from the sweep's seed; below `SEEDS`.

    It depends on the cell's place among the different problems, and not on CLAIR's options.
    """
    number, step = 0, 1
    for axis, index in zip(config.along, _indices(config, cell), strict=True):
        if axis.of_problem:
            number += step * index
            step *= len(axis.values)
    sequence = np.random.SeedSequence(config.base.seed, spawn_key=(number, trial))
    return int(sequence.generate_state(1, np.uint64)[0] % SEEDS)


def cell_spec(config: SweepConfig, cell: int, trial: int = 0) -> ProblemSpec:
    """Build the problem of a trial.

    Raises
    ------
    ValueError
        If there is no such cell or trial, or the values make no valid problem (see `obstacle`).
    """
    check_integer("cell", cell, minimum=0, maximum=config.n_cells - 1)
    check_integer("trial", trial, minimum=0, maximum=config.trials - 1)
    known = {f.name for f in fields(ProblemSpec)}
    chosen: dict[str, Any] = {"seed": trial_seed(config, cell, trial)}
    chosen |= {k: v for k, v in cell_values(config, cell).items() if k in known}
    return replace(config.base, **chosen)


def cell_options(config: SweepConfig, cell: int) -> dict[str, Any]:
    """Collect the keywords of `clair.fit` for a cell, without those that are as by default."""
    known = {f.name for f in fields(ProblemSpec)}
    along = {k: v for k, v in cell_values(config, cell).items() if k not in known}
    return dict(plain_options(dict(config.options) | along))


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
    used, smaller = cell_options(config, cell).get("use_rank", 1), min(spec.d_out, spec.d_in)
    if used != "auto" and used > smaller:
        return f"CLAIR cannot use rank {used:.0f} of updates with {smaller} rows or columns"
    honest = spec.n_clients - spec.n_contaminated
    if honest < MIN_HONEST:
        left = f"{honest} honest client{' is' if honest == 1 else 's are'} left"
        return f"only {left}; at least {MIN_HONEST} must agree"
    return None


@dataclass(frozen=True)
class SweepResult:
    """A grid, complete or not.

    Attributes
    ----------
    config : SweepConfig
    values : ndarray of shape (rows, columns, ..., trials, measures and methods)
        See `SweepConfig.shape` and `SweepConfig.columns`; NaN where not computed or impossible.
    done : ndarray of bool, shape (rows, columns, ...)
        Impossible cells count as done.
    seconds : float
        Time spent on the cells that were not already on disk.
    """

    config: SweepConfig
    values: np.ndarray
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
        values = np.full((config.n_cells, config.trials, len(config.columns)), np.nan)
        done = np.zeros(config.n_cells, dtype=bool)
        for cell, trials in cells.items():
            done[cell] = True
            if trials:
                values[cell] = trials
        whole = values.reshape(*config.shape, *values.shape[1:])
        return cls(config, whole, done.reshape(config.shape), seconds)

    def of_measure(self, name: str) -> np.ndarray:
        """Look up a measure, or the error of a method, ndarray of shape (rows, ..., trials).

        Raises
        ------
        ValueError
            If it was not measured.
        """
        check_choice("measure", name, self.config.columns)
        found: np.ndarray = self.values[..., self.config.columns.index(name)]
        return found

    @property
    def exact(self) -> np.ndarray:
        """Whether exactly the contaminated clients were flagged, by cell and trial."""
        return self.of_measure("exact")

    @property
    def f1(self) -> np.ndarray:
        """F1 of the flagged set, by cell and trial."""
        return self.of_measure("f1")

    @property
    def error(self) -> np.ndarray:
        """Sine of the largest angle between recovered and true subspace, by cell and trial."""
        return self.of_measure("subspace_error")

    def success(self, measure: str, level: float) -> np.ndarray:
        """Compute each cell's share of successful trials, ndarray of shape (rows, columns, ...).

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
        mean: np.ndarray = share.mean(axis=-1)
        return mean
