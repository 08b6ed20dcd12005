"""CLAIR: collaborative low-rank alignment and identifiable recovery.

Federated LoRA fine-tuning that survives poisoned clients. From the clients' updates alone, `fit`
splits them into low rank plus block sparse, recovers the shared subspace, flags the contaminated
clients and refines the benign ones.
"""

from clair.baselines import MethodError, compare
from clair.pipeline import ClairFit, fit
from clair.synthetic import Problem, ProblemSpec, sample_halves, sample_problem
from clair.updates import FactoredUpdates, LoraFactors

__version__ = "0.1.0"

__all__ = [
    "ClairFit",
    "FactoredUpdates",
    "LoraFactors",
    "MethodError",
    "Problem",
    "ProblemSpec",
    "compare",
    "fit",
    "sample_halves",
    "sample_problem",
]
