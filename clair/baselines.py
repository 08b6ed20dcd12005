"""Every method a comparison shows, under one signature.

A method receives all clients' updates and returns one update per client. Rules that aggregate to
one global update give it to every client. Only oracles receive the truth, and are marked as such.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from clair._threads import single_blas_thread
from clair._validation import check_mask
from clair.aggregation import ASSUMED_FRACTION, GLOBAL_RULES, GlobalRule, assumed_attackers
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
from clair.method.updates import SINGLE, LoraFactors, Updates, checked_updates, to_cores
from clair.simulation.matrix_model import Problem


class MethodInfo(NamedTuple):
    """How a method is named and grouped.

    Attributes
    ----------
    key : str
    label : str
    family : {"local", "average", "robust", "subspace", "clair", "oracle"}
    oracle : bool
        Whether it is given the truth no real server has.
    description : str
        One sentence without jargon.
    """

    key: str
    label: str
    family: str
    oracle: bool
    description: str


METHODS: dict[str, MethodInfo] = {
    info.key: info
    for info in (
        MethodInfo("base", "Base model", "local", False, "The common model, not adapted at all."),
        MethodInfo("local", "Local only", "local", False, "Each client keeps its own update."),
        MethodInfo(
            "local_longer",
            "Local, same total of steps",
            "local",
            False,
            "Each client trains alone for as many further steps as the fine-tuned rows take.",
        ),
        MethodInfo("fedavg", "FedAvg", "average", False, "The mean of all clients' updates."),
        MethodInfo(
            "fedavg_finetuned",
            "FedAvg, then fine-tuned",
            "average",
            False,
            "The mean of all updates, then further trained by each client on its own data.",
        ),
        MethodInfo(
            "kept_finetuned",
            "Kept average, then fine-tuned",
            "average",
            False,
            "The mean of the clients CLAIR keeps, then further trained by each on its own data.",
        ),
        MethodInfo(
            "median", "Coordinate median", "robust", False, "The middle value of every entry."
        ),
        MethodInfo(
            "trimmed_mean",
            "Trimmed mean",
            "robust",
            False,
            "The mean of every entry without its most extreme values.",
        ),
        MethodInfo(
            "geometric_median",
            "Geometric median",
            "robust",
            False,
            "The update with the least total distance to all clients'.",
        ),
        MethodInfo(
            "krum", "Krum", "robust", False, "The one update that is nearest to its neighbours."
        ),
        MethodInfo(
            "multi_krum",
            "Multi-Krum",
            "robust",
            False,
            "The mean of the updates nearest to their neighbours.",
        ),
        MethodInfo(
            "pca",
            "PCA, nobody flagged",
            "subspace",
            False,
            "CLAIR's refinement with a plain principal subspace and everybody trusted.",
        ),
        MethodInfo(
            "clair",
            "CLAIR",
            "clair",
            False,
            "Own part inside the shared subspace, the kept clients' average outside it.",
        ),
        MethodInfo(
            "clair_eb",
            "CLAIR + pooling",
            "clair",
            False,
            "CLAIR with clients also shrunk towards each other inside the subspace.",
        ),
        MethodInfo(
            "clair_halves",
            "CLAIR + halves",
            "clair",
            False,
            "Each kept client pulled to the mean, direction by direction, by the share of error "
            "that its two half-data updates tell.",
        ),
        MethodInfo(
            "clair_own",
            "CLAIR + own data",
            "clair",
            False,
            "CLAIR, after which each kept client goes back to its own data.",
        ),
        MethodInfo(
            "clair_finetuned",
            "CLAIR, then fine-tuned",
            "clair",
            False,
            "CLAIR, then further trained by each client on its own data (ours).",
        ),
        MethodInfo(
            "clair_safe",
            "CLAIR if it pays (ours)",
            "clair",
            False,
            "Of CLAIR, its variants and mixtures with training alone what the clients' own tests "
            "on held-back halves of their data favour clearly; training alone if nothing is.",
        ),
        MethodInfo(
            "clair_published",
            "CLAIR, verdict as published",
            "clair",
            False,
            "CLAIR with the published rule of who is flagged: the widest gap between the "
            "contamination norms.",
        ),
        MethodInfo(
            "fedavg_benign",
            "FedAvg of the honest",
            "oracle",
            True,
            "The mean of the truly benign clients: needs to know who they are.",
        ),
        MethodInfo(
            "pooled_benign",
            "Pooled data of the honest",
            "oracle",
            True,
            "One model fitted on the truly benign clients' data put together.",
        ),
        MethodInfo(
            "clair_oracle",
            "CLAIR, truth given",
            "oracle",
            True,
            "CLAIR told the truly benign clients (and the true subspace where there is one).",
        ),
    )
}


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
    updates: Updates,
    benign: np.ndarray,
    like: ClairFit,
    pooling: str,
    true_subspace: Any,
    influence: np.ndarray | None = None,
    halves: Any = None,
) -> dict[str, np.ndarray]:
    """Refine as CLAIR does with a given set (and maybe subspace), at the fit's rank and side."""
    cores = to_cores(updates, like.side)
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
        apart = half_differences(check_halves(checked_updates(updates), halves), cores, like.side)
        shares = direction_weights(blocks, subspaces, benign, apart, influence)
        refined = refine_by_directions(blocks, benign, shares, influence)
    else:
        shapes = [core.noise_shape for core in cores.values()]
        refined = refine(
            blocks, subspaces, benign, pooling=pooling, noise_shapes=shapes, influence=influence
        )
    result = {}
    for (name, core), part in zip(cores.items(), refined, strict=True):
        restored = core.restore(part)
        dense = restored if isinstance(restored, np.ndarray) else restored.dense()
        result[name] = dense if like.side == "output" else dense.transpose(0, 2, 1)
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
    dense = _as_dense(updates)
    n_clients = len(next(iter(dense.values())))
    f = assumed_attackers(n_clients, assumed_fraction)
    everybody = np.ones(n_clients, dtype=bool)
    run: dict[str, Callable[[], dict[str, np.ndarray]]] = {"local": lambda: dense}
    for key, rule in GLOBAL_RULES.items():
        run[key] = partial(_aggregate, dense, rule, f)
    run["pca"] = lambda: _refined(updates, everybody, fit, "none", None)
    found = fit.subspace if fit.benign.any() else None
    run["clair"] = lambda: _refined(updates, fit.benign, fit, "none", found, fit.influence)
    run["clair_eb"] = lambda: _refined(updates, fit.benign, fit, "eb", found, fit.influence)
    if halves is not None:
        run["clair_halves"] = partial(
            _refined, updates, fit.benign, fit, "halves", found, fit.influence, halves
        )
    run["clair_published"] = lambda: _refined(
        updates, ~published_evidence(fit).flagged, fit, "none", None
    )
    if contaminated is not None:
        benign = ~check_mask("contaminated", contaminated, n_clients)
        run["fedavg_benign"] = partial(
            _aggregate, dense, lambda vectors, _: vectors[benign].mean(axis=0), f
        )
        run["clair_oracle"] = lambda: _refined(updates, benign, fit, "none", true_subspace)
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
