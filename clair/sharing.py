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
from clair.linalg import leading_eigenvectors
from clair.pipeline import ClairFit
from clair.updates import SINGLE, Updates, to_cores

LOCAL = "local"
#: What is chosen from, in words that follow "the clients take".
CANDIDATES: dict[str, str] = {
    LOCAL: "their own updates",
    "clair": "CLAIR",
    "clair_eb": "CLAIR + pooling",
    "half_clair": "the mean of their own update and CLAIR's",
    "half_clair_eb": "the mean of their own update and CLAIR + pooling",
    "clair_wide": "CLAIR at a larger rank",
    "clair_own": "CLAIR + own data",
}
WIDER = 2.5  # the larger rank over the one that was found
TRIMMED = 0.2  # share of the clients disregarded at either end
SIGMAS = 2.0  # standard errors by which sharing has to be ahead
FEWEST = 4  # clients whose tests are worth counting


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
        By how much each is better than training alone; a trimmed mean over clients.
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
        """The choice as plain JSON values."""
        return asdict(self)


def choose(errors: Mapping[str, np.ndarray], *, trimmed: float = TRIMMED) -> Choice:
    """Choose what the clients share from the errors they measured.

    A candidate is allowed if its gain over training alone is more than two standard errors above
    zero; of those the largest gain wins, and training alone where there is none. Both are taken
    from the trimmed mean, so that a fifth of the clients can say what they like without deciding.

    Parameters
    ----------
    errors : mapping of str to ndarray of shape (n_clients,)
        Error of each candidate in each trusted client's test, "local" among them; less is better.
    trimmed : float
        Share of the clients disregarded at either end, in [0, 0.5).

    Returns
    -------
    Choice

    References
    ----------
    Tukey, McLaughlin, Less vulnerable confidence and significance procedures for location,
    Sankhya A 1963.

    Examples
    --------
    >>> alone = np.array([0.5, 0.4, 0.6, 0.5, 0.4])
    >>> choose({"local": alone, "clair": alone - 0.2, "clair_eb": alone + 0.1}).chosen
    'clair'
    >>> choose({"local": alone, "clair": alone}).chosen
    'local'
    """
    alone = np.asarray(errors[LOCAL], dtype=float)
    found = {
        key: trimmed_mean(alone - np.asarray(values, dtype=float), trimmed)
        for key, values in errors.items()
    }
    gains = {key: gain for key, (gain, _) in found.items()}
    uncertainty = {key: error for key, (_, error) in found.items()}
    allowed = [key for key in gains if key != LOCAL and gains[key] > SIGMAS * uncertainty[key]]
    enough = alone.size >= FEWEST
    chosen = max(allowed, key=gains.__getitem__) if allowed and enough else LOCAL
    return Choice(
        chosen=chosen,
        reason=_reason(chosen, alone.size, gains, uncertainty),
        n_clients=int(alone.size),
        errors={
            key: float(np.mean(values)) if alone.size else 0.0 for key, values in errors.items()
        },
        gains=gains,
        uncertainty=uncertainty,
    )


def untested(reason: str) -> Choice:
    """Training alone, where there is nothing to test with."""
    return Choice(LOCAL, reason, 0, {}, {}, {})


def trimmed_mean(values: np.ndarray, share: float) -> tuple[float, float]:
    """Mean without the most extreme values on both sides, and its standard error.

    Parameters
    ----------
    values : ndarray of shape (n,)
    share : float
        Left out at either end, in [0, 0.5), in whole values; at least two values stay.

    Returns
    -------
    mean, error : float
        The error is that of the winsorised values, infinite for fewer than two.
    """
    n = values.size
    if n < 2:
        return (float(values.mean()) if n else 0.0), float("inf")
    cut = min(round(share * n), n // 2 - 1)
    kept = np.sort(values)[cut : n - cut]
    winsorised = np.clip(values, kept[0], kept[-1])
    spread = float(winsorised.std(ddof=1))
    return float(kept.mean()), spread * np.sqrt(n) / kept.size


def _reason(
    chosen: str, n_clients: int, gains: Mapping[str, float], uncertainty: Mapping[str, float]
) -> str:
    if n_clients < FEWEST:
        return (
            f"{n_clients} clients can test, too few to tell whether sharing pays, so everybody "
            "stays with its own update"
        )
    if chosen != LOCAL:
        return (
            f"{n_clients} trusted clients tested on one half of their data what was made from the "
            f"other: {CANDIDATES[chosen]} lowered their error by {gains[chosen]:.3f} ± "
            f"{uncertainty[chosen]:.3f} against training alone, the most of all that clearly paid"
        )
    best = max((key for key in gains if key != LOCAL), key=gains.__getitem__, default=None)
    if best is None:
        return "there is nothing to share"
    return (
        f"{n_clients} trusted clients tested on one half of their data what was made from the "
        f"other, and nothing was clearly better than training alone (at best {CANDIDATES[best]}, "
        f"by {gains[best]:.3f} ± {uncertainty[best]:.3f})"
    )


def voters(fit: ClairFit) -> np.ndarray:
    """The clients whose tests count: those the others learn from, ndarray of int."""
    heard = np.flatnonzero(fit.influence > 0)
    return heard if heard.size else np.flatnonzero(fit.benign)


def candidates(updates: Updates, fit: ClairFit) -> dict[str, Any]:
    """Everything that could be shared, made from some updates with the verdict of a fit.

    Parameters
    ----------
    updates : ndarray of shape (n_clients, d_out, d_in), LoraFactors, or mapping to either
        The clients' updates, from all of their data or from a half of it.
    fit : ClairFit
        Of the updates from all data: who is kept, and the rank.

    Returns
    -------
    dict
        Candidate to ndarray of shape (n_clients, d_out, d_in), or to a dict of those by module.
        Flagged clients keep their own update in all of them.
    """
    many = isinstance(updates, Mapping)
    found = {
        key: value if many else {SINGLE: value}
        for key, value in estimate_all(
            updates, fit=refitted(updates, fit, fit.rank), methods=(LOCAL, "clair", "clair_eb")
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
    """The fit with the kept clients' principal subspace of other updates, or at another rank."""
    weights = fit.influence if fit.influence.any() else fit.benign.astype(float)
    cores = to_cores(updates, fit.side)
    rank = min(rank, *(min(*core.shape, core.rows) for core in cores.values()))
    bases = {
        name: core.subspace(leading_eigenvectors(core.scatter.weighted(weights), rank))
        for name, core in cores.items()
    }
    return replace(fit, rank=rank, subspace=bases.get(SINGLE, bases))
