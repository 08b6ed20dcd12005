"""One trial of a sweep: draw a problem, let CLAIR and others work on it, measure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from clair._threads import single_blas_thread
from clair.baselines import compare
from clair.method.detection import detect_updates
from clair.method.fit import ClairFit, fit
from clair.method.linalg import block_grams
from clair.method.metrics import detection_scores, subspace_error
from clair.method.refinement import principal_subspace
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.matrix_model import Problem, sample_halves, sample_problem
from clair.simulation.own_code import OwnAttack, OwnDetector
from clair.simulation.sweeps.grid import SweepConfig, Trial, cell_options, cell_spec, obstacle


def run_cell(config: SweepConfig, cell: int) -> tuple[Trial, ...]:
    """Run all trials of a cell; none where the cell is impossible."""
    if obstacle(config, cell) is not None:
        return ()
    return tuple(run_trial(config, cell, trial) for trial in range(config.trials))


def run_trial(config: SweepConfig, cell: int, trial: int = 0) -> Trial:
    """Draw the problem of a trial and measure what the sweep asks for.

    Parameters
    ----------
    config : SweepConfig
    cell, trial : int

    Returns
    -------
    tuple of float
        In the order of `SweepConfig.columns`.

    Notes
    -----
    With the residual detector and polish neither the verdict nor the subspace depends on the convex
    program, so it is not solved where nothing else is asked for: the same outcome as from
    `clair.fit` in a fraction of the time.
    """
    spec, options = cell_spec(config, cell, trial), cell_options(config, cell)
    own = config.attack
    attack = own if own is None or isinstance(own, AttackPlan) else OwnAttack(own)
    problem = sample_problem(spec, attack)
    rank = options.pop("use_rank", spec.rank)
    rank = rank if rank == "auto" else int(rank)
    with single_blas_thread():
        if options or config.detector or config.methods or rank == "auto":
            return _fitted(config, problem, rank, options)
        verdict = detect_updates(problem.updates, rank)
        weighted = verdict.influence[:, None, None] * block_grams(problem.updates)
        basis = principal_subspace(weighted, rank)
    return _measured(config, problem, ~verdict.benign, basis)


def _fitted(
    config: SweepConfig, problem: Problem, rank: int | str, options: dict[str, Any]
) -> Trial:
    """Measure what the whole of CLAIR gives, and the other methods beside it."""
    halves = sample_halves(problem) if "clair_halves" in config.methods else None
    if options.get("pooling") == "halves":
        options["halves"] = sample_halves(problem)
    run: Callable[..., ClairFit] = partial(fit, problem.updates, **options)
    if config.detector is None:
        result = run(rank)
    else:
        if rank == "auto":
            rank = run(rank).rank
        own = OwnDetector(config.detector, problem.updates, int(rank))
        result = run(rank, detector=own)
    basis = result.subspace if result.side == "output" else None
    return _measured(config, problem, result.flagged, basis) + _errors(
        config, problem, result, halves
    )


def _errors(
    config: SweepConfig,
    problem: Problem,
    result: ClairFit,
    halves: tuple[np.ndarray, np.ndarray] | None,
) -> Trial:
    if not config.methods:
        return ()
    rows = compare(problem, config.methods, result=result, halves=halves)
    means = {row.method: row.mean for row in rows}
    return tuple(means[name] for name in config.methods)


def _measured(
    config: SweepConfig, problem: Problem, flagged: np.ndarray, basis: np.ndarray | None
) -> Trial:
    scores = detection_scores(flagged, problem.contaminated)
    error = np.nan if basis is None else subspace_error(basis, problem.subspace)
    found = {
        "exact": scores.exact,
        "f1": scores.f1,
        "precision": scores.precision,
        "recall": scores.recall,
        "false_alarms": scores.false_alarms,
        "subspace_error": error,
    }
    return tuple(float(found[name]) for name in config.measures)
