"""Fixtures of the pages that run jobs.

What the server loads before its first visitor is loaded before the first test: a page that warms up
a task would otherwise import it beside the tests that come next, whose charts look for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from clair.jobs import JobPool, Limits
from clair.ui import jobs
from clair.ui.site import preload

preload()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobPool]:
    """A pool of jobs of this test's own, with the training libraries taken for loaded."""
    fresh = JobPool(Limits(queued=2))
    monkeypatch.setattr(jobs, "pool", lambda: fresh)
    monkeypatch.setattr(jobs, "warm_up", lambda kind, load: threading.current_thread())
    yield fresh
    fresh.close()
