"""What holds for tests of pages.

plotly looks for pandas among the loaded modules, and takes a half-loaded pandas for a loaded one.
So what the server loads before its first visitor is loaded before the first test. No page warms up
a task: that would import its libraries in a thread while the next tests run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from clair.app.kit import jobs
from clair.app.kit.site import preload
from clair.jobs import JobPool, Limits

preload()


@pytest.fixture(autouse=True)
def _no_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the training libraries as loaded already."""
    monkeypatch.setattr(jobs, "warm_up", lambda kind, load: threading.current_thread())


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobPool]:
    """Give the test a pool of jobs of its own."""
    fresh = JobPool(Limits(queued=2))
    monkeypatch.setattr(jobs, "pool", lambda: fresh)
    yield fresh
    fresh.close()
