"""Every method that a comparison shows: its name, its family, what it knows, its place in order."""

from __future__ import annotations

from typing import NamedTuple


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
