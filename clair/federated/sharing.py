"""Whether sharing pays, as the clients' own tests say (ours).

From one update a client it cannot be known whether what the others learned helps: noise and true
differences between clients leave the same trace. With two, each trained on half of a client's
data, every client can test on one half what was made from the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from clair.baselines import estimate_all
from clair.method.fit import ClairFit
from clair.method.linalg import leading_eigenvectors
from clair.method.updates import SINGLE, Updates, to_cores
from clair.sentences import count

LOCAL = "local"
#: What is chosen from, in words that follow "the clients take".
CANDIDATES: dict[str, str] = {
    LOCAL: "their own updates",
    "clair": "CLAIR",
    "clair_eb": "CLAIR + pooling",
    "half_clair": "half their own, half CLAIR",
    "half_clair_eb": "half their own, half CLAIR + pooling",
    "clair_wide": "CLAIR at a larger rank",
    "clair_own": "CLAIR + own data",
}
WIDER = 2.5  # the larger rank over the one that was found
CAPPED = 0.2  # share of the clients whose gains count as no larger than the next one's
SIGMAS = 1.25  # standard errors that are taken off a gain before it counts
FEWEST = 4  # clients whose tests are worth counting
TINY = 1e-9  # gains below this are rounding
VISIBLE = 5e-4  # and below this zero as they are told


@dataclass(frozen=True)
class Choice:
    """What the clients share, and why.

    Attributes
    ----------
    chosen : str
        A key of `CANDIDATES`.
    reason : str
        In one plain sentence.
    n_clients : int
        Clients whose tests counted.
    errors : dict of str to float
        Mean error of each candidate in the clients' tests.
    gains : dict of str to float
        How much smaller each error is than that of training alone: a mean over clients with the
        largest gains cut.
    uncertainty : dict of str to float
        Standard errors of the gains.
    """

    chosen: str
    reason: str
    n_clients: int
    errors: dict[str, float]
    gains: dict[str, float]
    uncertainty: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Convert the choice to plain JSON values."""
        return asdict(self)


def choose(errors: Mapping[str, np.ndarray], *, capped: float = CAPPED) -> Choice:
    """Choose what the clients share from the errors they measured.

    From every candidate's gain over training alone, 1.25 standard errors are subtracted. The
    largest difference wins if it is above zero; otherwise training alone does.

    The largest gains are cut to the size of the next largest; losses count in full. So a fifth of
    the clients, if they lie, can prevent sharing, which leaves the others as they are, but can
    hardly bring about sharing that harms. A mean trimmed on both sides would overlook a few honest
    clients whom sharing harms much.

    Parameters
    ----------
    errors : mapping of str to ndarray of shape (n_clients,)
        Error of each candidate in each trusted client's test, "local" among them; less is better.
    capped : float
        Share of the clients, those with the largest gains, whose gains count as no larger than the
        next one's; in [0, 1).

    Returns
    -------
    Choice

    References
    ----------
    Winsorised means: Tukey, McLaughlin, Less vulnerable confidence and significance procedures for
    location 1, Sankhya A 1963; cut on one side only here.

    Examples
    --------
    >>> alone = np.array([0.5, 0.4, 0.6, 0.5, 0.4])
    >>> choose({"local": alone, "clair": alone - 0.2, "clair_eb": alone + 0.1}).chosen
    'clair'
    >>> choose({"local": alone, "clair": alone}).chosen
    'local'
    """
    alone = np.asarray(errors[LOCAL], dtype=float)
    if alone.size < FEWEST:
        return untested(
            f"{count(alone.size, 'trusted client')} can test, too few to tell whether sharing "
            "pays, so all stay with their own updates"
        )
    found = {
        key: capped_mean(alone - np.asarray(values, dtype=float), capped)
        for key, values in errors.items()
    }
    gains = {key: gain for key, (gain, _) in found.items()}
    uncertainty = {key: error for key, (_, error) in found.items()}
    sure = {key: gain - SIGMAS * uncertainty[key] for key, gain in gains.items()}
    best = max(sure, key=sure.__getitem__)
    chosen = best if sure[best] > TINY else LOCAL
    return Choice(
        chosen=chosen,
        reason=_reason(chosen, alone.size, gains, uncertainty),
        n_clients=int(alone.size),
        errors={key: float(np.mean(values)) for key, values in errors.items()},
        gains=gains,
        uncertainty=uncertainty,
    )


def untested(reason: str) -> Choice:
    """Choose training alone, where there is nothing to test with."""
    return Choice(LOCAL, reason, 0, {}, {}, {})


def capped_mean(values: np.ndarray, share: float) -> tuple[float, float]:
    """Compute the mean with the largest values cut to the next, and its standard error.

    Parameters
    ----------
    values : ndarray of shape (n,)
        At least two.
    share : float
        How many count as largest, in [0, 1), rounded to whole values.

    Returns
    -------
    mean, error : float
    """
    n = values.size
    capped = np.minimum(values, np.sort(values)[max(n - round(share * n) - 1, 0)])
    return float(capped.mean()), float(capped.std(ddof=1) / np.sqrt(n))


def _reason(
    chosen: str, n_clients: int, gains: Mapping[str, float], uncertainty: Mapping[str, float]
) -> str:
    told = (
        f"{n_clients} trusted clients tested on one half of their data what was made from the other"
    )
    if chosen != LOCAL:
        return (
            f"{told}: {CANDIDATES[chosen]} lowered their error by {gains[chosen]:.3f} ± "
            f"{uncertainty[chosen]:.3f} against training alone, the surest gain of all"
        )
    best = max(gains, key=gains.__getitem__)
    if gains[best] < VISIBLE:
        return f"{told}, and nothing was better than training alone"
    return (
        f"{told}, and nothing was clearly better than training alone (at best "
        f"{CANDIDATES[best]}, by {gains[best]:.3f} ± {uncertainty[best]:.3f})"
    )


def voters(fit: ClairFit) -> np.ndarray:
    """Select the clients whose tests count: those the others learn from, ndarray of int."""
    heard = np.flatnonzero(fit.influence > 0)
    return heard if heard.size else np.flatnonzero(fit.benign)


def candidates(updates: Updates, fit: ClairFit, *, half: bool = False) -> dict[str, Any]:
    """Make every candidate for sharing from some updates, with the verdict of a fit.

    Parameters
    ----------
    updates : ndarray of shape (n_clients, d_out, d_in), LoraFactors, or mapping to either
        The clients' updates, from all of their data or from a half of it.
    fit : ClairFit
        Of the updates from all data: who is kept, and the rank.
    half : bool
        Whether the updates are those from a half of the data; they then have a subspace of their
        own.

    Returns
    -------
    dict
        Candidate to ndarray of shape (n_clients, d_out, d_in), or to a dict of those by module.
        Flagged clients keep their own update in all of them.
    """
    many = isinstance(updates, Mapping)
    own = refitted(updates, fit, fit.rank) if half else fit
    found = {
        key: value if many else {SINGLE: value}
        for key, value in estimate_all(
            updates, fit=own, methods=(LOCAL, "clair", "clair_eb")
        ).items()
    }
    for key in ("clair", "clair_eb"):
        found[f"half_{key}"] = {
            name: 0.5 * (part + found[key][name]) for name, part in found[LOCAL].items()
        }
    wide_fit = refitted(updates, fit, int(np.ceil(WIDER * fit.rank)))
    wide = estimate_all(updates, fit=wide_fit, methods=("clair",))["clair"]
    found["clair_wide"] = wide if many else {SINGLE: wide}
    return {key: found[key] if many else found[key][SINGLE] for key in CANDIDATES if key in found}


def refitted(updates: Updates, fit: ClairFit, rank: int) -> ClairFit:
    """Replace a fit's subspace by the kept clients' of other updates, or at another rank."""
    weights = fit.influence if fit.influence.any() else fit.benign.astype(float)
    cores = to_cores(updates, fit.side)
    rank = min(rank, *(min(*core.shape, core.rows) for core in cores.values()))
    bases = {
        name: core.subspace(leading_eigenvectors(core.moments.weighted(weights), rank))
        for name, core in cores.items()
    }
    return replace(fit, rank=rank, subspace=bases.get(SINGLE, bases))
