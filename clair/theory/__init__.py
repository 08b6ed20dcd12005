"""When CLAIR works and what it gains: conditions, predictions, and simulations to test them.

`window` is what `clair.fit` itself uses and is re-exported here; the other modules build on `fit`.
"""

from clair.method.window import (
    choose_lam,
    collapse_lam,
    default_lam,
    ideal_window,
    incoherence,
    lam_window,
)

__all__ = [
    "choose_lam",
    "collapse_lam",
    "default_lam",
    "ideal_window",
    "incoherence",
    "lam_window",
]
