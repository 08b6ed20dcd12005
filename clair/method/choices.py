"""Solvers and detectors by the names that `fit` takes."""

from __future__ import annotations

from clair.method.detectors import Detector, NormsDetector, ResidualDetector
from clair.method.split import ConvexSplit, MedianSplit, Solver

SOLVERS: dict[str, type[Solver]] = {
    "convex": ConvexSplit,
    "irls": MedianSplit,
}
DETECTORS: dict[str, type[Detector]] = {
    "residual": ResidualDetector,
    "norms": NormsDetector,
}
