"""Estimates, from headers alone, of what an audit or the writing of refined adapters will cost."""

from __future__ import annotations

from dataclasses import dataclass

from clair.adapters.assemble import AdapterSet
from clair.adapters.errors import AdapterError
from clair.adapters.limits import MIB, Limits

# Seconds, on one core of 2024, for each operation that `audit_work` counts. Fitted to twelve
# simulated sets of 3 to 64 clients and ranks 2 to 256; right within a factor of two on these.
_PER_UPDATE, _PER_GRAM, _PER_ROOT, _PER_BASIS, _PER_LEFT_OUT = 1.1e-2, 4e-10, 6.7e-9, 3.5e-9, 7.5e-9
#: Work that takes less, in seconds on one core, is not worth starting a process for.
WORTHWHILE = 10.0
# Below this size, or where many directions are asked for, each client left out costs a full
# decomposition (`clair.method.eigen.downdated_eigenpairs`).
_SMALL, _DIRECTIONS = 120, 30


@dataclass(frozen=True)
class Work:
    """An upper estimate.

    Attributes
    ----------
    seconds : float
        On one core.
    nbytes : int
        Of memory.
    """

    seconds: float
    nbytes: int

    @property
    def long(self) -> bool:
        """Whether it is worth starting a process for."""
        return self.seconds >= WORTHWHILE

    def require(self, limits: Limits) -> None:
        """Refuse work beyond the limits before it begins.

        Raises
        ------
        AdapterError
            If it is beyond the limits; the message names the cost, the limit and what to do.
        """
        if self.nbytes > limits.core_bytes:
            raise AdapterError(
                "adapters",
                f"would take about {self.nbytes / MIB:,.0f} MiB of memory, more than the "
                f"{limits.core_bytes / MIB:,.0f} MiB accepted here: give fewer clients, modules or "
                "ranks at a time.",
            )
        if self.seconds > limits.seconds:
            raise AdapterError(
                "adapters",
                f"would take about {in_words(self.seconds)} to judge, more than the "
                f"{in_words(limits.seconds)} accepted here: give fewer clients, modules or ranks "
                "at a time, or use python -m clair audit on a machine of your own.",
            )


def in_words(seconds: float) -> str:
    """Write a duration in words, in the largest unit of which it has at least two."""
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 1):.0f} seconds"


def audit_work(adapters: AdapterSet) -> Work:
    """Estimate what an audit takes, with the automatic rank.

    Parameters
    ----------
    adapters : AdapterSet
        Only the headers need to have been read.
    """
    seconds, kept, moment = 0.0, 0, 0
    for name, (d_out, d_in) in adapters.modules.items():
        ranks = [a.modules[name].rank for a in adapters.adapters if name in a.modules]
        n, columns, rank = len(ranks), sum(ranks), max(ranks)
        seconds += _PER_UPDATE * n + _PER_GRAM * (d_out + d_in) * columns**2
        seconds += _PER_ROOT * 2 * columns**3
        rows, others = min(d_out, columns), min(d_in, columns)
        for p in (rows, others):
            width = min(rank, rows, others)
            full = p < _SMALL or 2 * (width + _DIRECTIONS) > p
            left_out = n * p**3 if full else 4 * n * width * p * (width + _DIRECTIONS)
            seconds += _PER_BASIS * p**3 + _PER_LEFT_OUT * left_out
        kept += 6 * 8 * len(adapters.adapters) * rank * max(rows, others)
        # Factors as float64 and side by side, then Gram matrices and their roots.
        moment = max(moment, 24 * (d_out + d_in) * columns + 64 * columns**2)
    return Work(seconds, kept + moment)


def require_room(nbytes: int, limits: Limits) -> None:
    """Refuse refined adapters that would fill the disk.

    Parameters
    ----------
    nbytes : int
        Of all that is written.
    limits : Limits

    Raises
    ------
    AdapterError
    """
    if nbytes > limits.written_bytes:
        raise AdapterError(
            "refined adapters",
            f"would take {nbytes / MIB:,.0f} MiB, more than the {limits.written_bytes // MIB:,} "
            "MiB accepted here: choose a smaller rank.",
        )
