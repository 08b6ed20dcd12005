"""Means over repetitions, with intervals."""

from __future__ import annotations

import numpy as np
from scipy import stats

#: Probability that an interval holds the mean it estimates.
LEVEL = 0.95


def mean_interval(values: np.ndarray, name: str = "") -> tuple[float, float, float]:
    """Compute the mean of repetitions and the interval around it.

    Parameters
    ----------
    values : ndarray of shape (n,)
        NaN counts as not drawn.
    name : str
        With "exact" the values are successes, and the interval of their share is Wilson's (1927);
        of anything else it is Student's.

    Returns
    -------
    tuple of float
        Mean, lower and upper end; NaN where there is none. One value has no interval.

    Examples
    --------
    >>> mean, low, high = mean_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(mean, 2), round(low, 2), round(high, 2)
    (2.0, -0.48, 4.48)
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return np.nan, np.nan, np.nan
    mean = float(known.mean())
    if name == "exact":
        share = stats.binomtest(int(known.sum()), known.size).proportion_ci(LEVEL, "wilson")
        return mean, float(share.low), float(share.high)
    if known.size == 1:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf((1 + LEVEL) / 2, known.size - 1) * stats.sem(known))
    return mean, mean - half, mean + half
