"""Federated multi-response linear regression: many clients, few samples each, some poisoned.

Everything is numpy and closed form, so a run costs a fraction of a second.
"""

from __future__ import annotations

from clair.federated.regression.config import ATTACKS, RegressionConfig
from clair.federated.regression.run import HeldOutError, RegressionResult, run_regression

__all__ = [
    "ATTACKS",
    "HeldOutError",
    "RegressionConfig",
    "RegressionResult",
    "run_regression",
]
