"""CLAIR on compressed updates: options, split, subspace and verdict, short of refinement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from clair._validation import check_automatic, check_choice, check_integer, check_real
from clair.method.certificate import Certificate, certify
from clair.method.choices import DETECTORS, SOLVERS
from clair.method.concentration import SCORE_FLOOR
from clair.method.detection import Verdict, coefficient_screen, detect_cores
from clair.method.detectors import Detector
from clair.method.eigen import leading_eigenpairs
from clair.method.evidence import GAP, MIN_CLIENTS, Evidence, influence_of
from clair.method.linalg import median, stack_rows
from clair.method.moments import normalised
from clair.method.shape import Shape
from clair.method.solvers import Decomposition, Progress, joint_norms
from clair.method.split import EMPTY, SplitProblem
from clair.method.updates import CompressedUpdates
from clair.method.window import choose_lam, lam_window

SIDES = ("output", "input")
POOLINGS = ("none", "eb", "halves")
#: Relative difference of updates that is rounding.
SAME = 1e-9


@dataclass(frozen=True)
class FitOptions:
    """Checked keywords of `fit`, which documents them."""

    side: str
    lam: float | str
    solver: str
    pooling: str
    detector: str | Detector
    threshold: float | str
    gap: tuple[float, float] | str
    polish: bool
    screen_coefficients: bool
    compare_shape: bool
    tol: float
    max_iter: int

    def __post_init__(self) -> None:
        check_choice("side", self.side, SIDES)
        check_choice("solver", self.solver, tuple(SOLVERS))
        check_choice("pooling", self.pooling, POOLINGS)
        if isinstance(self.detector, str):
            check_choice("detector", self.detector, tuple(DETECTORS))
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

    @property
    def ratios(self) -> tuple[float, float]:
        """The residual detector's ratios of the gap rule."""
        return GAP if isinstance(self.gap, str) else self.gap

    def make_detector(self) -> Detector:
        """Make the detector that the options name, or take the one they hold."""
        if not isinstance(self.detector, str):
            return self.detector
        return DETECTORS[self.detector](self.gap, self.threshold)


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
    modules : sequence of CompressedUpdates
        With the same clients in the same order.
    rank : int or "auto"
        At most the smallest dimension of every core.
    options : FitOptions
    progress : callable, optional
    shape : Shape, optional
        Evidence of another kind, see `clair.method.shape.shape_of`.
    pilot : (int, Verdict), optional
        Rank and verdict of the residual detector, if known already
        (`clair.method.detection.detect_cores`).

    Returns
    -------
    CoreFit
    """
    n_directions, verdict = pilot or detect_cores(modules, rank, options.ratios, shape)
    judged = verdict.benign & ~verdict.noisy
    kept, exact = _kept_subspaces(modules, judged, n_directions)
    window = lam_window([core.thin for core in modules], kept, ~judged)
    automatic = options.lam == "auto"
    weight = (
        choose_lam(window, len(verdict.scores), n_directions, len(modules))
        if automatic
        else float(options.lam)
    )
    asked = SplitProblem(modules, n_directions, weight, automatic, ~judged, exact)
    split = SOLVERS[options.solver](options.tol, options.max_iter).split(asked, progress)
    subspaces, collapsed = _leading_subspaces(modules, split, kept)
    norms = joint_norms(split.contamination)
    typical = median(joint_norms([core.thin for core in modules]))
    detector = options.make_detector()
    verdict = detector.judge(verdict, norms, typical)
    before_screen = verdict.benign
    if options.screen_coefficients:
        verdict = _screened(modules, verdict, n_directions)
    zero = ~np.any([core.moments.present for core in modules], axis=0)
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
        notes=(*_split_notes(split, collapsed, zero), *_notes(modules, verdict, zero)),
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
    heard = (verdict.influence > 0) & benign
    moments = normalised([core.moments for core in modules])
    return replace(
        verdict,
        evidence=(*verdict.evidence, inside),
        benign=benign,
        suspect=verdict.suspect & benign,
        noisy=verdict.noisy & benign,
        influence=influence_of(moments, bases, heard) if against.any() else verdict.influence,
    )


def _split_notes(split: Decomposition, collapsed: bool, zero: np.ndarray) -> list[str]:
    """Say what a reader should know about the split."""
    notes = []
    if split.status != "converged":
        notes.append(
            f"The solver stopped after {split.n_iter} iterations before reaching its tolerance."
        )
    if zero.all():
        notes.append("Every update is zero: nothing was learned, so there is nothing to judge.")
    elif collapsed:
        notes.append(
            f"lambda = {split.lam:.3g} is too small here: the low-rank part lost its subspace and "
            "contamination norms say nothing; the subspace is that of the kept clients."
        )
    return notes


def _notes(modules: Sequence[CompressedUpdates], verdict: Verdict, zero: np.ndarray) -> list[str]:
    """Say what the numbers of clients, of flagged ones and of zero or equal updates mean."""
    if zero.all():
        return []
    n_benign, n_compared = int(verdict.benign.sum()), int(verdict.comparable.sum())
    notes = _copies_note(modules, zero)
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


def _copies_note(modules: Sequence[CompressedUpdates], zero: np.ndarray) -> list[str]:
    """Say so if all clients sent the same update."""
    if zero.any() or len(zero) < MIN_CLIENTS:
        return []
    for core in modules:
        energy = core.moments.energy
        if not np.allclose(energy, energy[0], rtol=SAME):  # spares most calls the products
            return []
    if any(np.abs(b - b[0]).max() > SAME * np.abs(b[0]).max() for b in (c.blocks for c in modules)):
        return []
    return ["All clients sent the same update, so there is no difference to judge."]


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
