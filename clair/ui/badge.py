"""The note about running jobs that the router shows on every page."""

from __future__ import annotations

import importlib.util


def job_badge() -> None:
    """Show the badge of `clair.ui.jobs`, when that part is there."""
    if importlib.util.find_spec("clair.ui.jobs") is not None:
        from clair.ui import jobs

        jobs.job_badge()
