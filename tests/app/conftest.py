"""Fixtures of the pages that run jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from clair.jobs import JobPool, Limits
from clair.ui import jobs


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobPool]:
    """A pool of jobs of this test's own, with the training libraries taken for loaded."""
    fresh = JobPool(Limits(queued=2))
    monkeypatch.setattr(jobs, "pool", lambda: fresh)
    monkeypatch.setattr(jobs, "warm_up", lambda kind, load: threading.current_thread())
    yield fresh
    fresh.close()
