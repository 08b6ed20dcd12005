"""CLAIR: collaborative low-rank alignment and identifiable recovery.

Federated LoRA fine-tuning that survives poisoned clients. From the clients' updates alone, `fit`
splits them into low rank plus block sparse, recovers the shared subspace, flags the contaminated
clients and refines the benign ones.
"""

from importlib import import_module
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from clair.baselines import MethodError, compare
    from clair.method.fit import ClairFit, fit
    from clair.method.updates import FactoredUpdates, LoraFactors
    from clair.simulation.matrix_model import Problem, ProblemSpec, sample_halves, sample_problem
else:
    # Imported when first asked for: numpy and scipy take most of the half second in which the
    # command line prints its help.
    _MODULES = {
        "baselines": ("MethodError", "compare"),
        "method.fit": ("ClairFit", "fit"),
        "simulation.matrix_model": ("Problem", "ProblemSpec", "sample_halves", "sample_problem"),
        "method.updates": ("FactoredUpdates", "LoraFactors"),
    }
    _MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

    def __getattr__(name):
        """Import a public name."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        return globals()[name]

    def __dir__():
        """List what is imported already and what can be."""
        return sorted({*globals(), *__all__})
