"""CLAIR on compressed updates: options, split, subspace and verdict, short of refinement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from clair._validation import check_automatic, check_choice, check_integer, check_real
from clair.certificate import Certificate, certify
from clair.detection import (
    SCORE_FLOOR,
    Verdict,
    automatic_rank,
    coefficient_screen,
    detect,
    gap_rule,
    threshold_rule,
)
from clair.eigen import leading_eigenpairs
from clair.linalg import hstack_blocks
from clair.scatter import normalised
from clair.solvers import (
    Decomposition,
    Progress,
    decompose,
    joint_norms,
    median_subspace,
)
from clair.theory.window import choose_lam, lam_window
from clair.updates import Core

SIDES = ("output", "input")
SOLVERS = ("convex", "irls")
POOLINGS = ("none", "eb")
DETECTORS = ("residual", "norms")
LAM_FACTOR = 1.2
LAM_RAISES = 8
ROUGH_TOL = 1e-3


@dataclass(frozen=True)
class FitOptions:
    """Checked keywords of `fit`, which documents them."""

    side: str
    lam: float | str
    solver: str
    pooling: str
    detector: str
    threshold: float | str
    gap: tuple[float, float]
    polish: bool
    screen_coefficients: bool
    tol: float
    max_iter: int

    def __post_init__(self) -> None:
        check_choice("side", self.side, SIDES)
        check_choice("solver", self.solver, SOLVERS)
        check_choice("pooling", self.pooling, POOLINGS)
        check_choice("detector", self.detector, DETECTORS)
        check_automatic("lam", self.lam)
        check_automatic("threshold", self.threshold)
        if self.lam != "auto":
            check_real("lam", self.lam, minimum=0, open_minimum=True)
        if self.threshold != "auto":
            check_real("threshold", self.threshold, minimum=0)
        if not isinstance(self.gap, tuple | list) or len(self.gap) != 2:
            raise ValueError(f"gap must be a pair of ratios, got {self.gap!r}")
        for index, ratio in enumerate(self.gap):
            check_real(f"gap[{index}]", ratio, minimum=1)
        check_real("tol", self.tol, minimum=0, open_minimum=True)
        check_integer("max_iter", self.max_iter, minimum=1)


def check_rank(cores: Mapping[str, Core], rank: int | str) -> None:
    for name, core in cores.items():
        limit = min(*core.shape, core.rows)
        if rank != "auto" and cast(int, rank) > limit:
            where = f" of module {name!r}" if name else ""
            raise ValueError(
                f"rank must be at most {limit} for updates{where} of shape {core.shape} "
                f"from {len(core.thin)} clients, got {rank}"
            )


@dataclass(frozen=True)
class CoreFit:
    """What `fit_cores` found, in the coordinates of the cores; `ClairFit` documents the fields.

    Attributes
    ----------
    subspaces : tuple of ndarray, each of shape (a, rank)
        One entry a module.
    verdict : Verdict
        Scores, threshold and kept clients.
    split : Decomposition
        Of the thin blocks.
    """

    subspaces: tuple[np.ndarray, ...]
    rank: int
    verdict: Verdict
    screened: np.ndarray
    split: Decomposition
    norms: np.ndarray
    lam_window: tuple[float, float]
    certificate: Certificate | None
    notes: tuple[str, ...]


def detect_cores(
    modules: Sequence[Core], rank: int | str, options: FitOptions
) -> tuple[int, Verdict]:
    """Rank, chosen if "auto", and verdict of the residual detector."""
    scatters = normalised([core.scatter for core in modules])
    limit = min(min(*core.shape, core.rows) for core in modules)
    n_directions = automatic_rank(scatters, options.gap, limit) if rank == "auto" else int(rank)
    return n_directions, detect(scatters, n_directions, options.gap)


def fit_cores(
    modules: Sequence[Core],
    rank: int | str,
    options: FitOptions,
    progress: Progress | None = None,
    *,
    pilot: tuple[int, Verdict] | None = None,
) -> CoreFit:
    """Everything `fit` does short of refinement, on compressed updates.

    Parameters
    ----------
    modules : sequence of Core
        With the same clients in the same order.
    rank : int or "auto"
        At most the smallest dimension of every core.
    options : FitOptions
    progress : callable, optional
    pilot : (int, Verdict), optional
        Rank and verdict of the residual detector, if known already (`detect_cores`).

    Returns
    -------
    CoreFit
    """
    notes: list[str] = []
    n_directions, verdict = pilot or detect_cores(modules, rank, options)
    kept = _kept_subspaces(modules, verdict.benign, n_directions)
    window = lam_window([core.thin for core in modules], kept, ~verdict.benign)
    automatic = options.lam == "auto"
    weight = (
        choose_lam(window, len(verdict.scores), n_directions, len(modules))
        if automatic
        else float(options.lam)
    )
    split = _decompose(modules, n_directions, weight, options, progress)
    subspaces, collapsed = _leading_subspaces(modules, split, kept)
    if collapsed and automatic and options.solver == "convex":
        # Noise takes a window away that the noiseless theory promises: below some weight L loses
        # its subspace and the norms only rank clients by size. Raise it until L has one.
        rough = replace(options, tol=max(options.tol, ROUGH_TOL))
        for _ in range(LAM_RAISES):
            weight *= LAM_FACTOR
            probe = _decompose(modules, n_directions, weight, rough, None)
            if not _leading_subspaces(modules, probe, kept)[1]:
                break
        split = _decompose(modules, n_directions, weight, options, progress)
        subspaces, collapsed = _leading_subspaces(modules, split, kept)
    if split.status != "converged":
        notes.append(
            f"The solver stopped after {split.n_iter} iterations before reaching its tolerance."
        )
    norms = joint_norms(split.contamination)
    if not any(core.thin.any() for core in modules):
        notes.append("Every update is zero: nothing was learned, so there is nothing to judge.")
    elif collapsed:
        notes.append(
            f"lambda = {weight:.3g} is too small here: the low-rank part lost its subspace and "
            "contamination norms say nothing; the subspace is that of the kept clients."
        )

    typical = float(np.median(joint_norms([core.thin for core in modules])))
    verdict = _judge(verdict, norms, typical, options)
    before_screen = verdict.benign
    if options.screen_coefficients:
        coefficients = [
            core.from_thin(basis.T @ core.thin)
            for core, basis in zip(
                modules, _kept_subspaces(modules, verdict.benign, n_directions), strict=True
            )
        ]
        verdict = replace(verdict, benign=coefficient_screen(coefficients, verdict.benign))
    if int(verdict.benign.sum()) == 0:
        notes.append("Every client is flagged, so there is nobody to refine or to learn from.")
    elif 2 * int(verdict.benign.sum()) <= len(verdict.benign):
        notes.append("Half of the clients or more are flagged: the majority cannot be identified.")

    if options.polish and verdict.benign.any():
        subspaces = _kept_subspaces(modules, verdict.benign, n_directions)
    return CoreFit(
        subspaces=subspaces,
        rank=n_directions,
        verdict=verdict,
        screened=before_screen & ~verdict.benign,
        split=split,
        norms=norms,
        lam_window=window,
        certificate=certify(split, ~before_screen),
        notes=tuple(notes),
    )


def _kept_subspaces(
    modules: Sequence[Core], benign: np.ndarray, rank: int
) -> tuple[np.ndarray, ...]:
    """Principal subspace of the kept clients in each module."""
    return tuple(
        leading_eigenpairs(core.scatter.weighted(benign.astype(float)), rank)[1] for core in modules
    )


def _decompose(
    modules: Sequence[Core],
    rank: int,
    lam: float,
    options: FitOptions,
    progress: Progress | None,
) -> Decomposition:
    if options.solver == "convex":
        return decompose(
            [core.thin for core in modules],
            lam,
            tol=options.tol,
            max_iter=options.max_iter,
            progress=progress,
        )
    subspaces, history, status = median_subspace(
        [core.scatter for core in modules],
        rank,
        tol=options.tol,
        max_iter=options.max_iter,
        progress=progress,
    )
    low = tuple(u @ (u.T @ core.thin) for core, u in zip(modules, subspaces, strict=True))
    rest = tuple(core.thin - part for core, part in zip(modules, low, strict=True))
    return Decomposition(low, rest, None, lam, history[-1].objective, status, len(history), history)


def _leading_subspaces(
    modules: Sequence[Core], split: Decomposition, fallback: Sequence[np.ndarray]
) -> tuple[tuple[np.ndarray, ...], bool]:
    """Leading directions of L, or the fallback in modules where L has fewer than asked for."""
    subspaces, collapsed = [], False
    for core, low, other in zip(modules, split.low_rank, fallback, strict=True):
        wide = hstack_blocks(low)
        values, vectors = leading_eigenpairs(wide @ wide.T, other.shape[1], other)
        enough = values[-1] > 1e-12 * core.scatter.energy.sum()
        subspaces.append(vectors if enough else other)
        collapsed |= not enough
    return tuple(subspaces), collapsed


def _judge(pilot: Verdict, norms: np.ndarray, typical: float, options: FitOptions) -> Verdict:
    """Verdict of the chosen detector: the pilot's, or the paper's norms, or a given threshold."""
    scores = pilot.scores if options.detector == "residual" else norms
    if options.threshold != "auto":
        return threshold_rule(scores, float(options.threshold))
    if options.detector == "residual":
        return pilot
    return gap_rule(norms, options.gap, SCORE_FLOOR * typical)
