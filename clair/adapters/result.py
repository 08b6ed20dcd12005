"""What an audit found, as values that reports, charts and pages draw from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from clair.adapters.compress import ModuleCore
from clair.adapters.folder import AdapterSet, SetAside
from clair.adapters.options import AuditOptions

KEPT, FLAGGED, NOT_JUDGED = "kept", "flagged", "not judged"
EXIT_CLEAN, EXIT_CONTAMINATED, EXIT_UNDECIDED = 0, 1, 2


@dataclass(frozen=True)
class ClientReport:
    """One client.

    Attributes
    ----------
    name : str
        Safe to show.
    verdict : {"kept", "flagged", "not judged"}
    score : float
        Suspicion: size of the update off what the other clients share, relative to a typical
        update; flagged above the threshold. NaN if not judged, as are the next two.
    norm : float
        ``||S_k||_F``, the size of what the convex program calls contamination.
    size : float
        ``||Delta_k||_F`` over all modules.
    rank : int
        Largest rank of its adapter; 0 if it could not be read.
    where : tuple of (str, float)
        Modules in which the client deviates most, with the deviation relative to a typical kept
        client.
    reasons : tuple of str
        Why it is flagged or not judged.
    notes : tuple of str
    """

    name: str
    verdict: str
    score: float = float("nan")
    norm: float = float("nan")
    size: float = float("nan")
    rank: int = 0
    where: tuple[tuple[str, float], ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModuleReport:
    """One module; mappings are by side, "output" and "input".

    Attributes
    ----------
    name : str
    shape : tuple of int
        (d_out, d_in).
    n_clients : int
        That have it, among those judged.
    shared_energy : dict of str to float
        Share of a kept client's update inside the subspace of the *other* kept clients, in [0, 1].
    suggested_rank : dict of str to int
        By the rule of the automatic rank, for this module alone.
    deviation : ndarray of shape (n_judged,)
        Off-subspace residual relative to a typical kept client's, on the side that decides; NaN
        where the module is missing.
    """

    name: str
    shape: tuple[int, int]
    n_clients: int
    shared_energy: Mapping[str, float]
    suggested_rank: Mapping[str, int]
    deviation: np.ndarray

    @property
    def layer(self) -> int | None:
        """Number of the layer in the module's name, if it has one."""
        match = re.search(r"(?:^|\.)(\d{1,6})(?:\.|$)", self.name)
        return int(match[1]) if match else None

    @property
    def kind(self) -> str:
        """The name without the layer and what is before it."""
        rest = re.split(r"(?:^|\.)\d{1,6}(?:\.|$)", self.name, maxsplit=1)[-1]
        return rest or self.name


@dataclass(frozen=True)
class SideReport:
    """The detector's verdict on one side.

    Attributes
    ----------
    rank : int
    scores : ndarray of shape (n_judged,)
    flagged : ndarray of bool, shape (n_judged,)
    threshold : float
        Infinite where nobody is flagged.
    margin : float
        Lowest flagged over highest kept score.
    shared_energy : float
        Mean over modules, at the common rank the sides are compared at.
    """

    rank: int
    scores: np.ndarray
    flagged: np.ndarray
    threshold: float
    margin: float
    shared_energy: float


@dataclass(frozen=True)
class Judged:
    """What refined adapters are made from; stays in memory, never in a report.

    Attributes
    ----------
    adapters : AdapterSet
    clients : ndarray of int
        Indices of the judged clients in the set.
    modules : dict of str to ModuleCore
        Of the judged clients.
    kept : ndarray of bool, shape (n_judged,)
    """

    adapters: AdapterSet
    clients: np.ndarray
    modules: Mapping[str, ModuleCore]
    kept: np.ndarray


@dataclass(frozen=True)
class Audit:
    """Everything an audit found.

    Attributes
    ----------
    options : AuditOptions
    clients : tuple of ClientReport
        Judged ones first, in natural order; then those not judged.
    modules : tuple of ModuleReport
    sides : dict of str to SideReport
    side : {"output", "input"}
        The side that decided.
    rank : int
    lam : float
    status : str
        Of the solver.
    base_model : str
    seconds : dict of str to float
        By stage.
    notes : tuple of str
    reason : str
        Why nothing could be judged; "" otherwise.
    judged : Judged or None
    """

    options: AuditOptions
    clients: tuple[ClientReport, ...]
    modules: tuple[ModuleReport, ...] = ()
    sides: Mapping[str, SideReport] = field(default_factory=dict)
    side: str = ""
    rank: int = 0
    lam: float = float("nan")
    status: str = ""
    base_model: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reason: str = ""
    judged: Judged | None = field(default=None, repr=False)

    def named(self, verdict: str) -> tuple[ClientReport, ...]:
        """Clients with a verdict."""
        return tuple(client for client in self.clients if client.verdict == verdict)

    @property
    def judged_clients(self) -> tuple[ClientReport, ...]:
        """Clients with a score."""
        return tuple(client for client in self.clients if client.verdict != NOT_JUDGED)

    @property
    def exit_code(self) -> int:
        """0 clean, 1 contaminated clients found, 2 somebody could not be judged.

        A set is called clean only if every adapter in it was judged.
        """
        if self.named(FLAGGED):
            return EXIT_CONTAMINATED
        return EXIT_UNDECIDED if self.reason or self.named(NOT_JUDGED) else EXIT_CLEAN

    @property
    def threshold(self) -> float:
        """Score above which clients are flagged; infinite where nobody is."""
        return self.sides[self.side].threshold if self.sides else float("inf")

    def sentence(self) -> str:
        """The outcome in one plain sentence."""
        if self.reason:
            return f"These adapters could not be judged: {self.reason}"
        flagged, n = self.named(FLAGGED), len(self.judged_clients)
        modules = f"{len(self.modules)} module{'s' * (len(self.modules) != 1)}"
        aside = len(self.named(NOT_JUDGED))
        rest = f" {aside} could not be judged." if aside else ""
        if not flagged:
            return f"None of {n} adapters stands out over {modules}.{rest}"
        names = ", ".join(client.name for client in flagged[:6])
        more = f" and {len(flagged) - 6} more" if len(flagged) > 6 else ""
        verb = "does" if len(flagged) == 1 else "do"
        return (
            f"{len(flagged)} of {n} adapters {verb} not share what the others have in common over "
            f"{modules}: {names}{more}.{rest}"
        )


def not_judged(aside: SetAside) -> ClientReport:
    """Report on a client that was set aside."""
    return ClientReport(aside.name, NOT_JUDGED, reasons=(str(aside),))
