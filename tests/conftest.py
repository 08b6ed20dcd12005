"""What holds for all tests."""

import os

import pytest

# Set before the first import of numpy, which reads it once. The matrices here are small, and on a
# busy machine threads that wait for each other make the tests several times slower.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from clair.figures.drawing import Figure  # noqa: E402

# Every figure that any test draws is checked entry by entry.
Figure.validate = True

#: Files that mostly wait, and the slow ones of the browser, come first: two workers end together.
_FIRST = ("test_lecture.py", "test_server.py", "test_package.py")


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist hand out files in the order of collection, not by their number of tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests so that the slow files come first."""
    items.sort(key=lambda item: (item.path.name not in _FIRST, item.path.parent.name != "browser"))
