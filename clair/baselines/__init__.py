"""Methods to compare CLAIR with, CLAIR itself among them: their names, and their estimates."""

from clair.baselines.estimates import MethodError, compare, estimate_all
from clair.baselines.names import METHODS, MethodInfo

__all__ = ["METHODS", "MethodError", "MethodInfo", "compare", "estimate_all"]
