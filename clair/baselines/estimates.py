"""Every method a comparison shows, under one signature.

A method receives all clients' updates and returns one update per client. Rules that aggregate to
one global update give it to every client. Only oracles receive the truth, and are marked as such.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from clair._threads import single_blas_thread
from clair._validation import check_mask
from clair.aggregation import ASSUMED_FRACTION, GLOBAL_RULES, GlobalRule, assumed_attackers
from clair.baselines.names import METHODS
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
from clair.simulation.matrix_model import Problem

#: Rules that work entry by entry, so that a change of basis changes what they return.
ENTRYWISE = ("median", "trimmed_mean")


def _dense(update: Any) -> np.ndarray:
    dense: np.ndarray = update if isinstance(update, np.ndarray) else update.dense()
    return dense


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


def _refined(
    cores: Mapping[str, CompressedUpdates],
    benign: np.ndarray,
    like: ClairFit,
    pooling: str,
    true_subspace: Any,
    influence: np.ndarray | None = None,
    halves: tuple[Updates, Any] | None = None,
) -> dict[str, Any]:
    """Refine as CLAIR does with a given set (and maybe subspace), at the fit's rank and side."""
    blocks = [core.blocks for core in cores.values()]
    if true_subspace is None:
        subspaces = [principal_subspace(block_grams(b)[benign], like.rank) for b in blocks]
    else:
        given = true_subspace if isinstance(true_subspace, Mapping) else {SINGLE: true_subspace}
        subspaces = [
            given[name] if core.left is None else core.left.T @ given[name]
            for name, core in cores.items()
        ]
    if halves is not None:
        updates, pair = halves
        apart = half_differences(check_halves(checked_updates(updates), pair), cores, like.side)
        shares = direction_weights(blocks, subspaces, benign, apart, influence)
        refined = refine_by_directions(blocks, benign, shares, influence)
    else:
        shapes = [core.noise_shape for core in cores.values()]
        refined = refine(
            blocks, subspaces, benign, pooling=pooling, noise_shapes=shapes, influence=influence
        )
    return {
        name: _restored(core, part, like.side)
        for (name, core), part in zip(cores.items(), refined, strict=True)
    }


def _restored(core: CompressedUpdates, blocks: np.ndarray, side: str) -> Any:
    """Convert blocks to the module's coordinates and orientation, factored where the core is."""
    restored = core.restore(blocks)
    if side == "output":
        return restored
    if isinstance(restored, FactoredUpdates):
        return restored.transposed()
    return restored.transpose(0, 2, 1)


def _aggregate_cores(
    cores: Mapping[str, CompressedUpdates], side: str, rule: GlobalRule, f: int
) -> dict[str, Any]:
    """Apply a rule that needs inner products only to the coordinates, which preserve them."""
    blocks = {name: core.blocks for name, core in cores.items()}
    combined = _aggregate(blocks, rule, f)
    return {name: _restored(core, combined[name], side) for name, core in cores.items()}


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
        update of the module's size. The rules in `ENTRYWISE` are then left out: they work entry by
        entry, so what they return is not of low rank.

    Returns
    -------
    dict
        Method key to ndarray of shape (n_clients, d_out, d_in), or to a dict of those by module.
        In the order of `METHODS`.

    Raises
    ------
    ValueError
        For an unknown method, an oracle without truth, or a mask of the wrong shape.
    """
    if methods is not None and (unknown := [m for m in methods if m not in METHODS]):
        raise ValueError(f"methods must be among {', '.join(METHODS)}, got {unknown[0]!r}")
    cores = to_cores(updates, fit.side)
    if factored and any(core.right is None for core in cores.values()):
        raise ValueError("factored must be False where updates are not LoraFactors, got True")
    dense = {} if factored else _as_dense(updates)
    n_clients = len(fit.benign)
    f = assumed_attackers(n_clients, assumed_fraction)

    def every(rule: GlobalRule) -> Callable[[], dict[str, Any]]:
        if factored:
            return partial(_aggregate_cores, cores, fit.side, rule, f)
        return partial(_aggregate, dense, rule, f)

    def refined(benign: np.ndarray, pooling: str, *given: Any) -> dict[str, Any]:
        made = _refined(cores, benign, fit, pooling, *given)
        return made if factored else {name: _dense(value) for name, value in made.items()}

    run: dict[str, Callable[[], dict[str, Any]]] = {
        key: every(rule)
        for key, rule in GLOBAL_RULES.items()
        if not (factored and key in ENTRYWISE)
    }
    run["local"] = lambda: (
        {name: _restored(core, core.blocks, fit.side) for name, core in cores.items()}
        if factored
        else dense
    )
    found = fit.subspace if fit.benign.any() else None
    run["pca"] = lambda: refined(np.ones(n_clients, dtype=bool), "none", None)
    run["clair"] = lambda: refined(fit.benign, "none", found, fit.influence)
    run["clair_eb"] = lambda: refined(fit.benign, "eb", found, fit.influence)
    if halves is not None:
        run["clair_halves"] = lambda: refined(
            fit.benign, "halves", found, fit.influence, (updates, halves)
        )
    run["clair_published"] = lambda: refined(~published_evidence(fit).flagged, "none", None)
    if contaminated is not None:
        benign = ~check_mask("contaminated", contaminated, n_clients)
        run["fedavg_benign"] = every(lambda vectors, _: vectors[benign].mean(axis=0))
        run["clair_oracle"] = lambda: refined(benign, "none", true_subspace)
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
