"""`fit`: decompose, find the subspace, detect, polish, refine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from clair._threads import single_blas_thread
from clair._validation import check_automatic, check_integer
from clair.method.certificate import Certificate
from clair.method.compressed_fit import CoreFit, FitOptions, check_rank, fit_cores
from clair.method.detection import SUSPECT
from clair.method.detectors import Detector
from clair.method.evidence import Evidence
from clair.method.halves import (
    DirectionWeights,
    check_halves,
    direction_weights,
    half_differences,
    refine_by_directions,
)
from clair.method.refinement import refine
from clair.method.shape import Shape, shape_of
from clair.method.solvers import IterationRecord, Progress
from clair.method.updates import (
    SINGLE,
    CompressedUpdates,
    Estimates,
    FactoredUpdates,
    Updates,
    checked_updates,
    ordinary_sized,
    to_cores,
)
from clair.method.words import reasons


@dataclass(frozen=True)
class ClairFit:
    """Result of `fit`.

    For a mapping of modules, `subspace`, `low_rank`, `contamination`, `refined` and
    `direction_weights` are dicts with the same keys; the others stay single. From `LoraFactors` the
    matrices are `FactoredUpdates`.

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
    degrees : tuple of {"kept", "suspect", "flagged", "not comparable"}
        Of every client; with fewer than four all are "not comparable". Suspects are refined, but
        the others learn little or nothing from them: see `influence`.
    reasons : tuple of str
        Why, in words; empty for kept clients.
    influence : ndarray of shape (n_clients,)
        Weight of each client in the others' refined updates, in [0, 1].
    evidence : tuple of Evidence
        Scores and lines of every kind, the deciding one first.
    refined : ndarray of shape (n_clients, d_out, d_in)
        Refined updates; flagged clients keep their own.
    direction_weights : DirectionWeights or None
        With ``pooling="halves"``: how much of its own each client keeps along each direction, and
        the variances that this follows from.
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
    degrees: tuple[str, ...]
    reasons: tuple[str, ...]
    influence: np.ndarray
    evidence: tuple[Evidence, ...]
    refined: Any
    direction_weights: Any
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

    @property
    def suspect(self) -> np.ndarray:
        """Refined clients from whom the others learn little or nothing, as `flagged`."""
        return np.array([degree == SUSPECT for degree in self.degrees], dtype=bool)


def fit(
    updates: Updates,
    rank: int | str = "auto",
    *,
    side: str = "output",
    lam: float | str = "auto",
    solver: str = "convex",
    pooling: str = "none",
    halves: tuple[Updates, Updates] | None = None,
    detector: str | Detector = "residual",
    threshold: float | str = "auto",
    gap: tuple[float, float] | str = "auto",
    polish: bool = True,
    screen_coefficients: bool = False,
    compare_shape: bool = True,
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
        detector's verdict, raises it where the low-rank part would lose its subspace, and, if the
        updates are free of noise and the split unproven, tries up to five weights nearby.
    solver : {"convex", "irls"}
        The convex program, or the fast median subspace (its split is the projection on and off the
        subspace, without certificate).
    pooling : {"none", "eb", "halves"}
        "none": the paper's refinement, its average weighted by `ClairFit.influence` (ours; equal
        weights with ``detector="norms"``). "eb": with empirical-Bayes pooling (ours). "halves":
        pull each client to the mean along every direction by the share of the differences that is
        estimation error, estimated from `halves` (ours). No heterogeneity makes "halves" worse than
        the clients' own updates; it can make the other two worse.
    halves : pair of updates, optional
        For ``pooling="halves"``: two updates per client, each trained on one half of its data, in
        the form of `updates`, with the same clients and modules. They do not affect the verdict,
        and only many liars among the kept clients can change the weights.
    detector : {"residual", "norms"} or Detector
        Leave-one-out residuals (ours) or the paper's contamination norms. Also with norms an
        automatic `lam`, on which they depend, comes from the verdict by residuals. Or an object of
        your own, see `clair.method.detectors.Detector`.
    threshold : float or "auto"
        Scores above are flagged; "auto" uses the gap rule.
    gap : tuple of float or "auto"
        The gap rule's ratios, both >= 1; see `clair.method.evidence.gap_rule`. "auto" takes
        (1.15, 1.25), and (1.10, 1.15) for contamination norms.
    polish : bool
        Refit the subspace by PCA on the kept clients.
    screen_coefficients : bool
        Also flag clients whose coefficients point against the majority's (ours; finds sign flips).
    compare_shape : bool
        Also flag clients whose entries are heavier-tailed than the others' (ours; finds quiet
        backdoors in language models). Needs at least 3 modules, and equal ranks of LoRA factors.
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
        compare_shape=compare_shape,
        tol=tol,
        max_iter=max_iter,
    )
    if (halves is not None) != (pooling == "halves"):
        given = "None" if halves is None else f"halves with pooling {pooling!r}"
        raise ValueError(f'halves must be given with pooling "halves" and only then, got {given}')
    check_automatic("rank", rank)
    if rank != "auto":
        rank = check_integer("rank", rank, minimum=1)
    with single_blas_thread():
        checked = checked_updates(updates)
        pair = None if halves is None else check_halves(checked, halves)
        modules, exponent = ordinary_sized(checked)
        cores = to_cores(modules, side)
        check_rank(cores, rank)
        shape = shape_of(modules) if compare_shape else None
        apart = None if pair is None else half_differences(pair, cores, side, exponent)
        back = _WayBack(cores, side, isinstance(updates, Mapping), 2.0**exponent)
        return _fit(back, rank, options, progress, shape, apart)


@dataclass(frozen=True)
class _WayBack:
    """From compressed updates of ordinary size to the form and units of what the caller sent."""

    cores: dict[str, CompressedUpdates]
    side: str
    many: bool
    unit: float

    @property
    def modules(self) -> list[CompressedUpdates]:
        return list(self.cores.values())

    def named(self, values: Iterable[Any]) -> Any:
        """Give one value a module its name; a single module has none."""
        by_name = dict(zip(self.cores, values, strict=True))
        return by_name if self.many else by_name[SINGLE]

    def updates(self, make: Callable[[int, CompressedUpdates], np.ndarray]) -> Any:
        """Restore matrices that `make` computes from a module's number and compressed updates."""

        def in_units(i: int, core: CompressedUpdates) -> np.ndarray:
            return make(i, core) if self.unit == 1 else self.unit * make(i, core)

        return self.named(
            _oriented(core.restore_later(partial(in_units, i, core)), self.side)
            for i, core in enumerate(self.modules)
        )

    def subspaces(self, bases: Iterable[np.ndarray]) -> Any:
        """Restore a basis of each module."""
        return self.named(
            core.subspace(basis) for core, basis in zip(self.modules, bases, strict=True)
        )

    def weights(self, found: Iterable[DirectionWeights] | None) -> Any:
        """Restore the weights by direction of each module."""
        if found is None:
            return None
        return self.named(
            replace(
                one,
                directions=core.subspace(one.directions),
                between=self.unit * one.between,
                noise=self.unit * one.noise,
            )
            for core, one in zip(self.modules, found, strict=True)
        )

    def records(self, progress: Progress | None) -> Progress | None:
        """Make a progress callable that gets records in the caller's units."""
        return None if progress is None else lambda record: progress(record.scaled(self.unit))


def _fit(
    back: _WayBack,
    rank: int | str,
    options: FitOptions,
    progress: Progress | None,
    shape: Shape | None,
    apart: list[np.ndarray] | None,
) -> ClairFit:
    modules, unit = back.modules, back.unit
    scores_unit = 1.0 if options.make_detector().scale_free else unit
    if options.threshold != "auto":
        options = replace(options, threshold=float(options.threshold) / scores_unit)
    found = fit_cores(modules, rank, options, back.records(progress), shape=shape)
    split, verdict = found.split, found.verdict
    shares = None
    if apart is not None:
        shares = direction_weights(
            [core.blocks for core in modules],
            found.subspaces,
            verdict.benign,
            apart,
            verdict.influence,
        )
    refined = cache(lambda: _refined(modules, found, shares, options.pooling))
    return ClairFit(
        subspace=back.subspaces(found.subspaces),
        rank=found.rank,
        low_rank=back.updates(lambda i, core: core.from_thin(split.low_rank[i])),
        contamination=back.updates(lambda i, core: core.from_thin(split.contamination[i])),
        contamination_norms=unit * found.norms,
        scores=scores_unit * verdict.scores,
        threshold=scores_unit * verdict.threshold,
        margin=verdict.margin,
        benign=verdict.benign,
        screened=found.screened,
        degrees=verdict.degrees,
        reasons=reasons(verdict, ~np.any([core.moments.present for core in modules], axis=0)),
        influence=verdict.influence,
        evidence=tuple(
            replace(kind, scores=scores_unit * kind.scores, threshold=scores_unit * kind.threshold)
            for kind in verdict.evidence
        ),
        refined=back.updates(lambda i, core: refined()[i]),
        direction_weights=back.weights(shares),
        lam=split.lam,
        lam_window=found.lam_window,
        objective=unit * split.objective,
        status=split.status,
        n_iter=split.n_iter,
        history=tuple(record.scaled(unit) for record in split.history),
        certificate=found.certificate,
        side=options.side,
        notes=found.notes,
    )


def _refined(
    modules: Sequence[CompressedUpdates],
    found: CoreFit,
    shares: Sequence[DirectionWeights] | None,
    pooling: str,
) -> tuple[np.ndarray, ...]:
    """Refine the kept clients' updates of every module."""
    blocks, verdict = [core.blocks for core in modules], found.verdict
    if shares is not None:
        return refine_by_directions(blocks, verdict.benign, shares, verdict.influence)
    return refine(
        blocks,
        found.subspaces,
        verdict.benign,
        pooling=pooling,
        noise_shapes=[core.noise_shape for core in modules],
        influence=verdict.influence,
    )


def _oriented(restored: Estimates, side: str) -> Estimates:
    """Transpose back to the module's orientation."""
    if side == "output":
        return restored
    if isinstance(restored, FactoredUpdates):
        return restored.transposed()
    return np.ascontiguousarray(restored.transpose(0, 2, 1))
