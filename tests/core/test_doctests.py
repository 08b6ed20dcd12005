"""The examples in the docstrings of the package run as written."""

import doctest
import importlib

import pytest

MODULES = (
    "adapters.bases",
    "adapters.naming",
    "aggregation",
    "baselines",
    "method.fit",
    "method.metrics",
    "method.updates",
    "method.window",
    "report.page",
    "report.recipe",
    "report.tables",
    "simulation.attacks",
    "simulation.matrix_model",
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(f"clair.{name}"))
    assert result.failed == 0


def test_there_are_examples_to_run():
    counts = [doctest.testmod(importlib.import_module(f"clair.{m}")).attempted for m in MODULES]
    assert sum(counts) >= 10
