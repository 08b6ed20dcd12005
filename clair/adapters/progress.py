"""How far an audit, or the writing of refined adapters, has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from clair.cancellation import checkpoint

#: Stages in words; "folder" is `read_folder`'s and "write" is `write_refined`'s.
STAGE_LABELS: Mapping[str, str] = {
    "folder": "Finding adapters",
    "read": "Reading and compressing",
    "detect": "Comparing clients",
    "split": "Splitting M = L + S",
    "report": "Looking at modules",
    "write": "Writing refined adapters",
}
#: Rough share of an audit's time by stage; writing is counted apart.
AUDIT_SHARES: Mapping[str, float] = {"read": 0.3, "detect": 0.3, "split": 0.38, "report": 0.02}


@dataclass(frozen=True)
class AuditProgress:
    """One report of a running audit.

    Attributes
    ----------
    stage : {"folder", "read", "detect", "split", "report", "write"}
        `STAGE_LABELS` has the wording.
    step, total_steps : int
        Position inside the stage, 0 <= step <= total_steps.
    fraction : float
        Share of the whole call that is done, in [0, 1]; never falls.
    """

    stage: str
    step: int
    total_steps: int
    fraction: float

    @property
    def label(self) -> str:
        """The stage in words."""
        return STAGE_LABELS[self.stage]

    @property
    def note(self) -> str:
        """Empty: an audit has nothing to add to the numbers."""
        return ""


#: Called with the progress; may raise to stop.
Progress: TypeAlias = Callable[[AuditProgress], None]


class Stages:
    """Wall time by stage, and progress passed on.

    Parameters
    ----------
    shares : mapping of str to float
        Stages of the call in the order in which they run, with their share of its time.
    progress : callable, optional

    Attributes
    ----------
    seconds : dict of str to float
        Wall time of the stages so far.
    """

    def __init__(self, shares: Mapping[str, float], progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._shares = shares
        self._progress = progress
        self._fraction = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Report a stage, and time the block of code that runs it."""
        start = time.perf_counter()
        self.step(name, 0, 1)
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def step(self, name: str, done: int, total: int) -> None:
        """Report that `done` of `total` steps of a stage are done.

        Raises
        ------
        clair.cancellation.Cancelled
            If the caller wants to stop; asked before the report goes out.
        """
        checkpoint()
        names = list(self._shares)
        before = sum(self._shares[n] for n in names[: names.index(name)])
        done_share = before + self._shares[name] * min(done / max(total, 1), 1.0)
        self._fraction = max(self._fraction, min(done_share / sum(self._shares.values()), 1.0))
        if self._progress is not None:
            self._progress(AuditProgress(name, done, total, self._fraction))
