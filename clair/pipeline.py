"""`fit`: decompose, find the subspace, detect, polish, refine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, cast

import numpy as np

from clair._threads import single_blas_thread
from clair._validation import check_choice, check_integer, check_real
from clair.detection import (
    GAP,
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
from clair.refinement import refine
from clair.scatter import normalised
from clair.solvers import (
    Certificate,
    Decomposition,
    IterationRecord,
    Progress,
    certify,
    decompose,
    joint_norms,
    median_subspace,
)
from clair.theory.window import choose_lam, lam_window
from clair.updates import SINGLE, Core, Estimates, FactoredUpdates, Updates, to_cores

SIDES = ("output", "input")
SOLVERS = ("convex", "irls")
POOLINGS = ("none", "eb")
DETECTORS = ("residual", "norms")
LAM_FACTOR = 1.2
LAM_RAISES = 8
ROUGH_TOL = 1e-3


@dataclass(frozen=True)
class ClairFit:
    """Result of `fit`.

    For a mapping of modules, `subspace`, `low_rank`, `contamination` and `refined` are dicts with
    the same keys; the others stay single. From `LoraFactors` the matrices are `FactoredUpdates`.

    Attributes
    ----------
    subspace : ndarray of shape (d_out, rank)
        Orthonormal basis of the recovered subspace; (d_in, rank) with ``side="input"``.
    rank : int
    low_rank, contamination : ndarray of shape (n_clients, d_out, d_in)
        The split L + S of the updates.
    contamination_norms : ndarray of shape (n_clients,)
        ``||S_k||_F``, joint over modules; the paper's score.
    scores : ndarray of shape (n_clients,)
        The score the verdict rests on (off-subspace residuals, or the norms).
    threshold : float
        On `scores`; infinite where nobody is flagged.
    margin : float
        Lowest flagged over highest kept score, >= 1: how clear the verdict is.
    benign : ndarray of bool, shape (n_clients,)
        The kept clients.
    screened : ndarray of bool, shape (n_clients,)
        Clients flagged by the coefficient screen alone.
    refined : ndarray of shape (n_clients, d_out, d_in)
        Refined updates; flagged clients keep their own.
    lam : float
    lam_window : tuple of float
        Estimated (lam_min, lam_max) of exact recovery for the flagged set.
    objective : float
    status : {"converged", "max_iter"}
    n_iter : int
    history : tuple of IterationRecord
    certificate : Certificate or None
        None from IRLS.
    side : {"output", "input"}
    notes : tuple of str
        What a reader should know about this result, in plain language.
    """

    subspace: Any
    rank: int
    low_rank: Any
    contamination: Any
    contamination_norms: np.ndarray
    scores: np.ndarray
    threshold: float
    margin: float
    benign: np.ndarray
    screened: np.ndarray
    refined: Any
    lam: float
    lam_window: tuple[float, float]
    objective: float
    status: str
    n_iter: int
    history: tuple[IterationRecord, ...]
    certificate: Certificate | None
    side: str
    notes: tuple[str, ...]

    @property
    def flagged(self) -> np.ndarray:
        """The clients judged contaminated, ndarray of bool, shape (n_clients,)."""
        return ~self.benign


def fit(
    updates: Updates,
    rank: int | str,
    *,
    side: str = "output",
    lam: float | str = "auto",
    solver: str = "convex",
    pooling: str = "none",
    detector: str = "residual",
    threshold: float | str = "auto",
    gap: tuple[float, float] = GAP,
    polish: bool = True,
    screen_coefficients: bool = False,
    tol: float = 1e-7,
    max_iter: int = 500,
    progress: Progress | None = None,
) -> ClairFit:
    """Recover the shared subspace, flag contaminated clients and refine the benign ones.

    Parameters
    ----------
    updates : ndarray of shape (n_clients, d_out, d_in), LoraFactors, or mapping to either
        The clients' local updates of one module, or of several under their names (then a client is
        judged on all of them jointly).
    rank : int or "auto"
        Dimension of the shared subspace, 1 <= rank <= min(d_out, d_in) of every module.
    side : {"output", "input"}
        Whether benign clients share the column space or the row space of their updates.
    lam : float or "auto"
        Weight of the contamination, > 0; "auto" takes the middle of the window estimated from the
        detector's verdict and raises it where the low-rank part would lose its subspace.
    solver : {"convex", "irls"}
        The convex program, or the fast median subspace (its split is the projection on and off the
        subspace, without certificate).
    pooling : {"none", "eb"}
        Plain CLAIR as in the paper, or with empirical-Bayes pooling (ours).
    detector : {"residual", "norms"}
        Leave-one-out residuals (ours) or the paper's contamination norms.
    threshold : float or "auto"
        Scores above are flagged; "auto" uses the gap rule.
    gap : tuple of float
        The gap rule's ratios, both >= 1; see `clair.detection.gap_rule`.
    polish : bool
        Refit the subspace by PCA on the kept clients.
    screen_coefficients : bool
        Also flag clients whose coefficients point against the majority's (ours; finds sign flips).
    tol : float
        Relative primal and dual tolerance of the solver, > 0.
    max_iter : int
        Bound on the solver's iterations, >= 1.
    progress : callable, optional
        Receives an `IterationRecord` after each iteration of the solver.

    Returns
    -------
    ClairFit

    Raises
    ------
    ValueError
        For non-finite entries, ragged shapes, fewer than 3 clients, a rank that does not fit, or a
        keyword out of its range; the message names the argument, the rule and the value.

    References
    ----------
    He, Chen, Feng, Federated LoRA Fine-Tuning for LLMs via Collaborative Alignment,
    arXiv 2605.21217; the program is that of Xu, Caramanis, Sanghavi 2012 with client blocks.

    Examples
    --------
    >>> import clair
    >>> problem = clair.sample_problem(clair.ProblemSpec())
    >>> result = clair.fit(problem.updates, rank=3)
    >>> bool((result.flagged == problem.contaminated).all())
    True
    """
    options = FitOptions(
        side=side,
        lam=lam,
        solver=solver,
        pooling=pooling,
        detector=detector,
        threshold=threshold,
        gap=gap,
        polish=polish,
        screen_coefficients=screen_coefficients,
        tol=tol,
        max_iter=max_iter,
    )
    if rank != "auto":
        rank = check_integer("rank", rank, minimum=1)
    with single_blas_thread():
        cores = to_cores(updates, side)
        _check_rank(cores, rank)
        return _fit(cores, rank, options, isinstance(updates, Mapping), progress)


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
        if self.lam != "auto":
            check_real("lam", self.lam, minimum=0, open_minimum=True)
        if self.threshold != "auto":
            check_real("threshold", self.threshold, minimum=0)
        if len(self.gap) != 2:
            raise ValueError(f"gap must be a pair of ratios, got {self.gap!r}")
        for index, ratio in enumerate(self.gap):
            check_real(f"gap[{index}]", ratio, minimum=1)
        check_real("tol", self.tol, minimum=0, open_minimum=True)
        check_integer("max_iter", self.max_iter, minimum=1)


def _check_rank(cores: Mapping[str, Core], rank: int | str) -> None:
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
    if collapsed:
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


def _fit(
    cores: dict[str, Core],
    rank: int | str,
    options: FitOptions,
    many: bool,
    progress: Progress | None,
) -> ClairFit:
    modules = list(cores.values())
    found = fit_cores(modules, rank, options, progress)
    split, verdict = found.split, found.verdict

    @cache
    def refined() -> tuple[np.ndarray, ...]:
        return refine(
            [core.blocks for core in modules],
            found.subspaces,
            verdict.benign,
            pooling=options.pooling,
            noise_shapes=[core.noise_shape for core in modules],
        )

    def gather(make: Callable[[int, Core], np.ndarray]) -> Any:
        restored = {
            name: _oriented(core.restore_later(partial(make, i, core)), options.side)
            for i, (name, core) in enumerate(cores.items())
        }
        return restored if many else restored[SINGLE]

    bases = {
        name: core.subspace(basis)
        for (name, core), basis in zip(cores.items(), found.subspaces, strict=True)
    }
    return ClairFit(
        subspace=bases if many else bases[SINGLE],
        rank=found.rank,
        low_rank=gather(lambda i, core: core.from_thin(split.low_rank[i])),
        contamination=gather(lambda i, core: core.from_thin(split.contamination[i])),
        contamination_norms=found.norms,
        scores=verdict.scores,
        threshold=verdict.threshold,
        margin=verdict.margin,
        benign=verdict.benign,
        screened=found.screened,
        refined=gather(lambda i, core: refined()[i]),
        lam=split.lam,
        lam_window=found.lam_window,
        objective=split.objective,
        status=split.status,
        n_iter=split.n_iter,
        history=split.history,
        certificate=found.certificate,
        side=options.side,
        notes=found.notes,
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


def _oriented(restored: Estimates, side: str) -> Estimates:
    """Back to the module's orientation."""
    if side == "output":
        return restored
    if isinstance(restored, FactoredUpdates):
        return restored.transposed()
    return np.ascontiguousarray(restored.transpose(0, 2, 1))
