"""Every method a comparison shows, under one signature.

A method receives all clients' updates and returns one update per client. Rules that aggregate to
one global update give it to every client. Only oracles receive the truth, and are marked as such.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from clair._threads import single_blas_thread
from clair._validation import check_mask
from clair.aggregation import ASSUMED_FRACTION, GlobalRule, assumed_attackers
from clair.method.fit import ClairFit, fit
from clair.method.halves import (
    check_halves,
    direction_weights,
    half_differences,
    refine_by_directions,
)
from clair.method.inputs import float_array
from clair.method.kinds import published_evidence
from clair.method.linalg import block_grams
from clair.method.metrics import client_errors
from clair.method.refinement import principal_subspace, refine
from clair.method.updates import (
    SINGLE,
    CompressedUpdates,
    FactoredUpdates,
    LoraFactors,
    Updates,
    checked_updates,
    to_cores,
)
from clair.methods import GLOBAL_RULES, METHODS
from clair.simulation.matrix_model import Problem


def _as_dense(updates: Updates) -> dict[str, np.ndarray]:
    modules = updates if isinstance(updates, Mapping) else {SINGLE: updates}
    return {
        name: value.dense() if isinstance(value, LoraFactors) else float_array("updates", value)
        for name, value in modules.items()
    }


def _aggregate(dense: dict[str, np.ndarray], rule: GlobalRule, f: int) -> dict[str, np.ndarray]:
    """Apply a rule to the clients' flattened modules and hand its result to every client."""
    n_clients = len(next(iter(dense.values())))
    vectors = np.hstack([blocks.reshape(n_clients, -1) for blocks in dense.values()])
    combined = rule(vectors, f)
    result, start = {}, 0
    for name, blocks in dense.items():
        size = blocks[0].size
        one = combined[start : start + size].reshape(blocks.shape[1:])
        result[name] = np.broadcast_to(one, blocks.shape)
        start += size
    return result


class _Refiner:
    """Refines as CLAIR does, at a fit's rank and side; the updates are compressed once for all."""

    def __init__(self, updates: Updates, like: ClairFit, factored: bool) -> None:
        self.updates, self.like, self.factored = updates, like, factored

    @cached_property
    def cores(self) -> dict[str, CompressedUpdates]:
        return to_cores(self.updates, self.like.side)

    @cached_property
    def blocks(self) -> list[np.ndarray]:
        return [core.blocks for core in self.cores.values()]

    def subspaces(self, benign: np.ndarray, given: Any) -> list[np.ndarray]:
        """Convert given subspaces to compressed coordinates, or find them by PCA on a set."""
        if given is None:
            return [principal_subspace(block_grams(b)[benign], self.like.rank) for b in self.blocks]
        given = given if isinstance(given, Mapping) else {SINGLE: given}
        return [
            given[name] if core.left is None else core.left.T @ given[name]
            for name, core in self.cores.items()
        ]

    def refine(
        self,
        benign: np.ndarray,
        subspace: Any = None,
        *,
        pooling: str = "none",
        influence: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Refine with a set of kept clients and maybe a subspace."""
        refined = refine(
            self.blocks,
            self.subspaces(benign, subspace),
            benign,
            pooling=pooling,
            noise_shapes=[core.noise_shape for core in self.cores.values()],
            influence=influence,
        )
        return self._restored(refined)

    def by_halves(self, halves: tuple[Updates, Updates]) -> dict[str, np.ndarray]:
        """Refine by the weights along each direction that the fit's kept clients' halves give."""
        fit = self.like
        pair = check_halves(checked_updates(self.updates), halves)
        found = fit.subspace if fit.benign.any() else None
        shares = direction_weights(
            self.blocks,
            self.subspaces(fit.benign, found),
            fit.benign,
            half_differences(pair, self.cores, fit.side),
            fit.influence,
        )
        return self._restored(refine_by_directions(self.blocks, fit.benign, shares, fit.influence))

    def aggregate(self, rule: GlobalRule, f: int) -> dict[str, Any]:
        """Apply a rule that needs inner products only to coordinates, which preserve them."""
        blocks = dict(zip(self.cores, self.blocks, strict=True))
        return self._restored(list(_aggregate(blocks, rule, f).values()))

    def local(self) -> dict[str, Any]:
        """Return the updates as they are."""
        return self._restored(self.blocks)

    def _restored(self, refined: Sequence[np.ndarray]) -> dict[str, Any]:
        output = self.like.side == "output"
        result: dict[str, Any] = {}
        for (name, core), part in zip(self.cores.items(), refined, strict=True):
            restored = core.restore(part)
            if self.factored and isinstance(restored, FactoredUpdates):
                result[name] = restored if output else restored.transposed()
                continue
            dense = restored if isinstance(restored, np.ndarray) else restored.dense()
            result[name] = dense if output else dense.transpose(0, 2, 1)
        return result


def estimate_all(
    updates: Updates,
    *,
    fit: ClairFit,
    halves: tuple[Updates, Updates] | None = None,
    contaminated: np.ndarray | None = None,
    true_subspace: Any = None,
    methods: Collection[str] | None = None,
    assumed_fraction: float = ASSUMED_FRACTION,
    factored: bool = False,
) -> dict[str, Any]:
    """Estimate one update per client by every method that needs no training.

    Parameters
    ----------
    updates : ndarray of shape (n_clients, d_out, d_in), LoraFactors, or mapping to either
    fit : ClairFit
        CLAIR's result on the same updates; its subspace, verdict, rank and side are used for
        "clair" and "clair_eb", so that they differ in pooling alone. "clair_published" judges by
        its contamination norms instead.
    halves : pair of updates, optional
        As in `clair.fit`; without them "clair_halves" is left out.
    contaminated : ndarray of bool, shape (n_clients,), optional
        The truth, used by oracles only; without it they are left out.
    true_subspace : ndarray of shape (d, rank) or mapping, optional
        The truth, used by "clair_oracle" only; without it that uses PCA on the true benign set.
    methods : collection of str, optional
        Keys of `METHODS`; all that apply by default.
    assumed_fraction : float
        Share of attackers that trimming and Krum are told to expect, in [0, 0.5).
    factored : bool
        Whether to return `FactoredUpdates`, from `LoraFactors` only and without ever making an
        update of the module's size. Rules that work entry by entry are then left out: what they
        return is not of low rank.

    Returns
    -------
    dict
        Method key to ndarray of shape (n_clients, d_out, d_in), or to a dict of those by module.
        In the order of `METHODS`.

    Raises
    ------
    ValueError
        For an unknown method, an oracle without truth, a mask of the wrong shape, or dense updates
        that are to stay factored.
    """
    if methods is not None and (unknown := [m for m in methods if m not in METHODS]):
        raise ValueError(f"methods must be among {', '.join(METHODS)}, got {unknown[0]!r}")
    modules = updates if isinstance(updates, Mapping) else {SINGLE: updates}
    if factored and not all(isinstance(value, LoraFactors) for value in modules.values()):
        raise ValueError("factored must be False where updates are not LoraFactors, got True")
    dense = {} if factored else _as_dense(updates)
    n_clients = len(fit.benign)
    f = assumed_attackers(n_clients, assumed_fraction)
    refiner = _Refiner(updates, fit, factored)
    every = refiner.aggregate if factored else partial(_aggregate, dense)
    found = fit.subspace if fit.benign.any() else None
    as_fitted = partial(refiner.refine, fit.benign, found, influence=fit.influence)
    run: dict[str, Callable[[], dict[str, Any]]] = {
        "local": refiner.local if factored else lambda: dense,
        **{
            key: partial(every, rule, f)
            for key, rule in GLOBAL_RULES.items()
            if not (factored and METHODS[key].entrywise)
        },
        "pca": partial(refiner.refine, np.ones(n_clients, dtype=bool)),
        "clair": as_fitted,
        "clair_eb": partial(as_fitted, pooling="eb"),
        "clair_published": lambda: refiner.refine(~published_evidence(fit).flagged),
    }
    if halves is not None:
        run["clair_halves"] = partial(refiner.by_halves, halves)
    if contaminated is not None:
        benign = ~check_mask("contaminated", contaminated, n_clients)
        run["fedavg_benign"] = partial(every, lambda vectors, _: vectors[benign].mean(axis=0), f)
        run["clair_oracle"] = partial(refiner.refine, benign, true_subspace)
    elif methods is not None and (oracle := [m for m in methods if METHODS[m].oracle]):
        raise ValueError(f"contaminated must be given for the oracle {oracle[0]!r}, got None")
    with single_blas_thread():
        wanted = [key for key in METHODS if key in run and (methods is None or key in methods)]
        results = {key: run[key]() for key in wanted}
    many = isinstance(updates, Mapping)
    return {key: value if many else value[SINGLE] for key, value in results.items()}


@dataclass(frozen=True)
class MethodError:
    """Error of one method over the truly benign clients.

    Attributes
    ----------
    method, label : str
    oracle : bool
    per_client : ndarray of shape (n_benign,)
        Frobenius distance of each benign client's estimate from its true update.
    """

    method: str
    label: str
    oracle: bool
    per_client: np.ndarray

    @property
    def rmse(self) -> float:
        """Root mean square over clients."""
        return float(np.sqrt(np.mean(self.per_client**2)))

    @property
    def mean(self) -> float:
        """Mean over clients."""
        return float(self.per_client.mean())

    @property
    def sd(self) -> float:
        """Standard deviation over clients."""
        return float(self.per_client.std())


def compare(
    problem: Problem,
    methods: Collection[str] | None = None,
    *,
    result: ClairFit | None = None,
    halves: tuple[np.ndarray, np.ndarray] | None = None,
    **fit_options: Any,
) -> tuple[MethodError, ...]:
    """Compute each method's error over benign clients on a synthetic problem.

    Parameters
    ----------
    problem : Problem
    methods : collection of str, optional
        Keys of `METHODS`; all that apply to the matrix model by default.
    result : ClairFit, optional
        A fit of the same problem to reuse.
    halves : pair of ndarray of shape (n_clients, d_out, d_in), optional
        From `clair.simulation.matrix_model.sample_halves`; adds "clair_halves".
    **fit_options
        Passed to `clair.fit`; ``rank`` is the true one by default.

    Returns
    -------
    tuple of MethodError
        In the order of `METHODS`.

    Raises
    ------
    ValueError
        As `clair.fit` and `estimate_all` do.

    Examples
    --------
    >>> from clair import ProblemSpec, sample_problem
    >>> table = compare(sample_problem(ProblemSpec()), methods=["local", "clair"])
    >>> [row.method for row in table], table[1].rmse < table[0].rmse
    (['local', 'clair'], True)
    """
    if result is None:
        result = fit(problem.updates, fit_options.pop("rank", problem.spec.rank), **fit_options)
    same_side = result.side == "output"
    estimates = estimate_all(
        problem.updates,
        fit=result,
        halves=halves,
        contaminated=problem.contaminated,
        true_subspace=problem.subspace if same_side else None,
        methods=methods,
    )
    benign = ~problem.contaminated
    return tuple(
        MethodError(
            key,
            METHODS[key].label,
            METHODS[key].oracle,
            client_errors(estimate[benign], problem.true_updates[benign]),
        )
        for key, estimate in estimates.items()
    )
