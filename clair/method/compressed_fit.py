"""CLAIR on compressed updates: options, split, subspace and verdict, short of refinement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from clair._validation import check_automatic, check_choice, check_integer, check_real
from clair.method.certificate import STRICT, Certificate, certify
from clair.method.concentration import SCORE_FLOOR
from clair.method.detection import Verdict, coefficient_screen, detect_cores, simple_verdict
from clair.method.eigen import leading_eigenpairs
from clair.method.evidence import GAP, MIN_CLIENTS, Evidence, Shape, gap_rule, threshold_rule
from clair.method.linalg import median, stack_rows
from clair.method.solvers import (
    Decomposition,
    Progress,
    SplitSolver,
    decompose,
    joint_norms,
    median_subspace,
)
from clair.method.updates import CompressedUpdates
from clair.method.window import choose_lam, lam_window

SIDES = ("output", "input")
SOLVERS = ("convex", "irls")
POOLINGS = ("none", "eb", "halves")
DETECTORS = ("residual", "norms")
LAM_FACTOR = 1.2
LAM_RAISES = 8
ROUGH_TOL = 1e-3
# Directions holding less than this share of all energy do not count as directions of L.
EMPTY = 1e-12
LAM_RETRIES = 5
LAM_STEP = 1.05
#: Gap of the published detector: the widest gap between norms, looked for once.
NORMS_GAP = (1.10, 1.15)


@dataclass(frozen=True)
class FitOptions:
    """Checked keywords of `fit`, which documents them."""

    side: str
    lam: float | str
    solver: str
    pooling: str
    detector: str
    threshold: float | str
    gap: tuple[float, float] | str
    polish: bool
    screen_coefficients: bool
    compare_shape: bool
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
        if self.gap != "auto":
            if not isinstance(self.gap, tuple | list) or len(self.gap) != 2:
                raise ValueError(f'gap must be "auto" or a pair of ratios, got {self.gap!r}')
            for index, ratio in enumerate(self.gap):
                check_real(f"gap[{index}]", ratio, minimum=1)
        check_real("tol", self.tol, minimum=0, open_minimum=True)
        check_integer("max_iter", self.max_iter, minimum=1)

    def ratios(self, default: tuple[float, float]) -> tuple[float, float]:
        """Look up the gap rule's ratios; `default` where they are automatic."""
        return default if isinstance(self.gap, str) else self.gap


def check_rank(cores: Mapping[str, CompressedUpdates], rank: int | str) -> None:
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


def fit_cores(
    modules: Sequence[CompressedUpdates],
    rank: int | str,
    options: FitOptions,
    progress: Progress | None = None,
    *,
    shape: Shape | None = None,
    pilot: tuple[int, Verdict] | None = None,
) -> CoreFit:
    """Do everything that `fit` does short of refinement, on compressed updates.

    Parameters
    ----------
    modules : sequence of Core
        With the same clients in the same order.
    rank : int or "auto"
        At most the smallest dimension of every core.
    options : FitOptions
    progress : callable, optional
    shape : Shape, optional
        Evidence of the second kind, see `clair.method.evidence.shape_of`.
    pilot : (int, Verdict), optional
        Rank and verdict of the residual detector, if known already
        (`clair.method.detection.detect_cores`).

    Returns
    -------
    CoreFit
    """
    notes: list[str] = []
    n_directions, verdict = pilot or detect_cores(modules, rank, options.ratios(GAP), shape)
    judged = verdict.benign & ~verdict.noisy
    kept, exact = _kept_subspaces(modules, judged, n_directions)
    window = lam_window([core.thin for core in modules], kept, ~judged)
    automatic = options.lam == "auto"
    weight = (
        choose_lam(window, len(verdict.scores), n_directions, len(modules))
        if automatic
        else float(options.lam)
    )
    if options.solver == "irls":
        split = _median_split(modules, n_directions, weight, options, progress)
    elif automatic:
        split = _automatic_split(modules, weight, n_directions, options, progress)
        if exact:
            split = _certified_split(modules, split, ~judged, options, progress)
    else:
        split = _split(modules, weight, options, progress)
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
            f"lambda = {split.lam:.3g} is too small here: the low-rank part lost its subspace and "
            "contamination norms say nothing; the subspace is that of the kept clients."
        )

    typical = median(joint_norms([core.thin for core in modules]))
    verdict = _judge(verdict, norms, typical, options)
    before_screen = verdict.benign
    if options.screen_coefficients:
        verdict = _screened(modules, verdict, n_directions)
    zero = ~np.any([core.moments.present for core in modules], axis=0)
    if not zero.all():
        notes += _notes(verdict, zero)
    if options.polish and verdict.influence.any():
        subspaces = _kept_subspaces(modules, verdict.influence, n_directions)[0]
    return CoreFit(
        subspaces=subspaces,
        rank=n_directions,
        verdict=verdict,
        screened=before_screen & ~verdict.benign,
        split=split,
        norms=norms,
        lam_window=window,
        certificate=certify(split, ~(before_screen & ~verdict.noisy)),
        notes=tuple(notes),
    )


def _screened(modules: Sequence[CompressedUpdates], verdict: Verdict, rank: int) -> Verdict:
    """Add the coefficient screen to a verdict as further evidence."""
    bases = _kept_subspaces(modules, verdict.influence, rank)[0]
    coefficients = [
        core.from_thin(basis.T @ core.thin) for core, basis in zip(modules, bases, strict=True)
    ]
    benign = coefficient_screen(coefficients, verdict.benign)
    against = verdict.benign & ~benign
    inside = Evidence("inside", against.astype(float), against, 0.5, 1.0)
    return replace(
        verdict,
        evidence=(*verdict.evidence, inside),
        benign=benign,
        suspect=verdict.suspect & benign,
        noisy=verdict.noisy & benign,
        influence=np.where(benign, verdict.influence, 0.0),
    )


def _notes(verdict: Verdict, zero: np.ndarray) -> list[str]:
    """Say what the numbers of clients, of flagged ones and of zero updates mean."""
    n_benign, n_compared = int(verdict.benign.sum()), int(verdict.comparable.sum())
    notes = []
    if n_benign == 0:
        notes.append("Every client is flagged, so there is nobody to refine or to learn from.")
    elif 2 * n_benign <= len(verdict.benign):
        notes.append("Half of the clients or more are flagged: the majority cannot be identified.")
    if (n_clients := len(verdict.benign)) < MIN_CLIENTS:
        return [*notes, f"{n_clients} clients are too few to tell who differs from the others."]
    if n_compared < MIN_CLIENTS:
        whom = _clients(n_compared)
        notes.append(f"{whom} can be compared, too few to tell who differs from the others.")
    if missing := len(verdict.comparable) - n_compared - int(zero.sum()):
        notes.append(
            f"Not comparable, as too few others have the same modules: {_clients(missing)}."
        )
    if zero.any():
        whom = _clients(int(zero.sum()))
        notes.append(f"Not comparable, as the update is zero: {whom}.")
    return notes


def _clients(number: int) -> str:
    return f"{number} client{'s' * (number != 1)}"


def _kept_subspaces(
    modules: Sequence[CompressedUpdates], weights: np.ndarray, rank: int
) -> tuple[tuple[np.ndarray, ...], bool]:
    """Find weighted clients' principal subspace in each module, and tell whether it holds them.

    It holds them if nothing but rounding (`SCORE_FLOOR`) is left outside.
    """
    subspaces, exact = [], True
    for core in modules:
        values, basis = core.moments.principal(weights, rank)
        subspaces.append(basis)
        energy = float(core.moments.energy @ weights)
        exact &= energy - float(values.sum()) <= SCORE_FLOOR**2 * energy
    return tuple(subspaces), exact


def _split(
    modules: Sequence[CompressedUpdates], lam: float, options: FitOptions, progress: Progress | None
) -> Decomposition:
    thin = [core.thin for core in modules]
    return decompose(thin, lam, tol=options.tol, max_iter=options.max_iter, progress=progress)


def _automatic_split(
    modules: Sequence[CompressedUpdates],
    lam: float,
    rank: int,
    options: FitOptions,
    progress: Progress | None,
) -> Decomposition:
    """Solve for the split at a weight, or at a larger one if L loses its subspace there.

    Noise narrows the window of weights that the noiseless theory promises: below some weight the
    low-rank part L loses its subspace, and the norms only rank clients by size.
    """
    thin, rough = [core.thin for core in modules], max(options.tol, ROUGH_TOL)
    for trial in range(LAM_RAISES + 1):
        solver = SplitSolver(thin, lam * LAM_FACTOR**trial)
        solver.run(tol=rough, max_iter=options.max_iter)
        if _collapsed(modules, solver.singular_values, rank):
            continue
        solver.run(tol=options.tol, max_iter=options.max_iter, progress=progress)
        if trial or not _collapsed(modules, solver.singular_values, rank):
            return solver.result()
    solver.run(tol=options.tol, max_iter=options.max_iter, progress=progress)
    return solver.result()


def _collapsed(
    modules: Sequence[CompressedUpdates], values: Sequence[np.ndarray], rank: int
) -> bool:
    """Tell whether the low-rank part of a module has fewer directions than it should."""
    return any(
        v[rank - 1] ** 2 <= EMPTY * core.moments.energy.sum()
        for core, v in zip(modules, values, strict=True)
    )


def _certified_split(
    modules: Sequence[CompressedUpdates],
    split: Decomposition,
    flagged: np.ndarray,
    options: FitOptions,
    progress: Progress | None,
) -> Decomposition:
    """Look for a split at a nearby weight that is proven optimal; keep the given one if none is.

    The estimated window is good to about 15 %, and close to one half contaminated the true one is
    narrower than that. Which end was missed can be read off the certificate.
    """
    found, low, high = split, 0.0, float("inf")
    for _ in range(LAM_RETRIES):
        certificate = certify(found, flagged)
        if certificate is None or certificate.holds:
            return found
        if certificate.dual_feasibility >= STRICT:
            low = found.lam
        else:
            high = found.lam
        if low > 0 and high < float("inf"):
            lam = float(np.sqrt(low * high))
        else:
            lam = found.lam * LAM_STEP if low > 0 else found.lam / LAM_STEP
        found = _split(modules, lam, options, progress)
    certificate = certify(found, flagged)
    return found if certificate is not None and certificate.holds else split


def _median_split(
    modules: Sequence[CompressedUpdates],
    rank: int,
    lam: float,
    options: FitOptions,
    progress: Progress | None,
) -> Decomposition:
    """Project on and off the median subspace; the weight is only passed on."""
    subspaces, history, status = median_subspace(
        [core.moments for core in modules],
        rank,
        tol=options.tol,
        max_iter=options.max_iter,
        progress=progress,
    )
    low = tuple(u @ (u.T @ core.thin) for core, u in zip(modules, subspaces, strict=True))
    rest = tuple(core.thin - part for core, part in zip(modules, low, strict=True))
    return Decomposition(low, rest, None, lam, history[-1].objective, status, len(history), history)


def _leading_subspaces(
    modules: Sequence[CompressedUpdates], split: Decomposition, fallback: Sequence[np.ndarray]
) -> tuple[tuple[np.ndarray, ...], bool]:
    """Find the leading directions of L, or take the fallback in modules where L has too few."""
    subspaces, collapsed = [], False
    for core, low, other in zip(modules, split.low_rank, fallback, strict=True):
        rows = stack_rows(low)
        values, vectors = leading_eigenpairs(rows.T @ rows, other.shape[1], other)
        enough = values[-1] > EMPTY * core.moments.energy.sum()
        subspaces.append(vectors if enough else other)
        collapsed |= not enough
    return tuple(subspaces), collapsed


def _judge(pilot: Verdict, norms: np.ndarray, typical: float, options: FitOptions) -> Verdict:
    """Judge by the chosen detector: the pilot's verdict, the paper's norms or a given threshold."""
    scores = pilot.scores if options.detector == "residual" else norms
    if options.threshold != "auto":
        return simple_verdict(threshold_rule(scores, float(options.threshold)))
    if options.detector == "residual":
        return pilot
    return simple_verdict(published_rule(norms, typical, options.ratios(NORMS_GAP)))


def published_rule(
    norms: np.ndarray, typical: float, gap: tuple[float, float] = NORMS_GAP
) -> Evidence:
    """Judge contamination norms as the published detector does: by the widest gap, found once.

    Parameters
    ----------
    norms : ndarray of shape (n_clients,)
    typical : float
        Median size of what a client sent; norms that are nothing beside it are treated as equal.
    gap : tuple of float
        See `clair.method.evidence.gap_rule`.
    """
    floor = SCORE_FLOOR * typical
    return gap_rule("norms", norms, gap, again=None, spread=False, floor=floor)
