"""What holds for tests of pages.

plotly looks for pandas among the loaded modules and takes a half-loaded one for whole. What the
server loads before its first visitor is therefore loaded before the first test, and no page warms
up a task: that would import its libraries in a thread beside the tests that come next.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from clair.jobs import JobPool, Limits
from clair.ui import jobs
from clair.ui.site import preload

preload()


@pytest.fixture(autouse=True)
def _no_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the training libraries for loaded."""
    monkeypatch.setattr(jobs, "warm_up", lambda kind, load: threading.current_thread())


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobPool]:
    """A pool of jobs of this test's own."""
    fresh = JobPool(Limits(queued=2))
    monkeypatch.setattr(jobs, "pool", lambda: fresh)
    yield fresh
    fresh.close()
