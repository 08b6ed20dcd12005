"""Results to plotly figures: the theme is passed in, nothing is displayed here."""

from clair.figures.base import Chart

__all__ = ["Chart"]
