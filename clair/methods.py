"""Every method that a comparison shows: its name, its family, what it knows, its place in order."""

from __future__ import annotations

from typing import NamedTuple

from clair.aggregation import (
    GlobalRule,
    geometric_median,
    krum,
    mean,
    median,
    multi_krum,
    trimmed_mean,
)


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
    rule : callable, optional
        ``rule(vectors, n_attackers)``, for a method that gives every client one aggregate.
    entrywise : bool
        Whether the rule works entry by entry, so that a change of basis changes what it returns.
    """

    key: str
    label: str
    family: str
    oracle: bool
    description: str
    rule: GlobalRule | None = None
    entrywise: bool = False


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
        MethodInfo("fedavg", "FedAvg", "average", False, "The mean of all clients' updates.", mean),
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
            "median",
            "Coordinate median",
            "robust",
            False,
            "The middle value of every entry.",
            median,
            True,
        ),
        MethodInfo(
            "trimmed_mean",
            "Trimmed mean",
            "robust",
            False,
            "The mean of every entry without its most extreme values.",
            trimmed_mean,
            True,
        ),
        MethodInfo(
            "geometric_median",
            "Geometric median",
            "robust",
            False,
            "The update with the least total distance to all clients'.",
            geometric_median,
        ),
        MethodInfo(
            "geometric_median_finetuned",
            "Geometric median, then fine-tuned",
            "robust",
            False,
            "The geometric median, then further trained by each client on its own data.",
        ),
        MethodInfo(
            "krum",
            "Krum",
            "robust",
            False,
            "The one update that is nearest to its neighbours.",
            krum,
        ),
        MethodInfo(
            "multi_krum",
            "Multi-Krum",
            "robust",
            False,
            "The mean of the updates nearest to their neighbours.",
            multi_krum,
        ),
        MethodInfo(
            "multi_krum_finetuned",
            "Multi-Krum, then fine-tuned",
            "robust",
            False,
            "Multi-Krum's mean, then further trained by each client on its own data.",
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
            "benign_finetuned",
            "Average of the honest, then fine-tuned",
            "oracle",
            True,
            "The mean of the truly benign clients, then further trained by each on its own data.",
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

#: The rules that yield one update for everybody.
GLOBAL_RULES: dict[str, GlobalRule] = {
    key: info.rule for key, info in METHODS.items() if info.rule is not None
}
