"""What an audit found, as values that reports, charts and pages draw from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clair.adapters.assemble import AdapterSet, SetAside
from clair.adapters.compress import ModuleCore
from clair.adapters.halves import Halves
from clair.adapters.options import AuditOptions
from clair.method.detection import FLAGGED, KEPT, NOT_COMPARABLE, SUSPECT
from clair.method.evidence import Evidence

NOT_JUDGED = "not judged"
#: Verdicts, the one to look at first in front.
DEGREES = (FLAGGED, SUSPECT, KEPT, NOT_COMPARABLE, NOT_JUDGED)
EXIT_CLEAN, EXIT_CONTAMINATED, EXIT_UNDECIDED, EXIT_SUSPECT = 0, 1, 2, 3
#: Names listed in a sentence.
_LISTED = 6


@dataclass(frozen=True)
class ClientReport:
    """One client.

    Attributes
    ----------
    name : str
        Safe to show.
    verdict : {"kept", "suspect", "flagged", "not comparable", "not judged"}
    score : float
        Suspicion: size of the update off what the other clients share, relative to a typical
        update. NaN if not judged or not comparable, as are the next four.
    margin : float
        How many times the line its score is, by `clair.method.kinds.client_margins`; NaN where no
        line was drawn.
    influence : float
        Its weight in what the others' refined updates get, in [0, 1].
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
        Why it is not simply kept.
    notes : tuple of str
    """

    name: str
    verdict: str
    score: float = float("nan")
    margin: float = float("nan")
    influence: float = float("nan")
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
        Judged clients that have the module.
    shared_energy : dict of str to float
        Share of a kept client's update inside the subspace of the *other* kept clients, in [0, 1].
    suggested_rank : dict of str to int
        Rank that the automatic rule finds for this module alone.
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
    evidence : tuple of Evidence
        The kinds side by side, what lies outside the shared directions first.
    degrees : tuple of str
        Degree of each judged client.
    shared_energy : float
        Mean over modules, at the common rank the sides are compared at.
    """

    rank: int
    evidence: tuple[Evidence, ...]
    degrees: tuple[str, ...]
    shared_energy: float

    @property
    def scores(self) -> np.ndarray:
        """Scores of the first kind of evidence, ndarray of shape (n_judged,)."""
        return self.evidence[0].scores

    @property
    def threshold(self) -> float:
        """Line on `scores`; infinite where no line was drawn."""
        return self.evidence[0].threshold

    @property
    def margin(self) -> float:
        """Lowest score above the line over the highest below it; NaN where there is no line."""
        return self.evidence[0].margin if np.isfinite(self.threshold) else float("nan")

    @property
    def flagged(self) -> np.ndarray:
        """Which judged clients are flagged, ndarray of bool, shape (n_judged,)."""
        return np.array([degree == FLAGGED for degree in self.degrees], dtype=bool)


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
        Clients that are refined: kept and suspect ones, not flagged ones.
    influence : ndarray of shape (n_judged,)
        Weight of each client in the others' refined updates, in [0, 1].
    halves : Halves or None
        Two half adapters of each client, where they decide what is averaged.
    """

    adapters: AdapterSet
    clients: np.ndarray
    modules: Mapping[str, ModuleCore]
    kept: np.ndarray
    influence: np.ndarray
    halves: Halves | None = None


@dataclass(frozen=True)
class Audit:
    """Everything an audit found.

    Attributes
    ----------
    options : AuditOptions
    clients : tuple of ClientReport
        Those with a vote first, in natural order, then those that share another's vote, and those
        not comparable or not judged.
    modules : tuple of ModuleReport
    unjudged_modules : tuple of str
        Modules that too few clients changed to compare them, in natural order; safe to show.
    sides : dict of str to SideReport
    side : {"output", "input"}
        The side that decided.
    published : Evidence or None
        What the paper's rule finds in the contamination norms on that side; it does not decide.
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
    unjudged_modules: tuple[str, ...] = ()
    sides: Mapping[str, SideReport] = field(default_factory=dict)
    side: str = ""
    published: Evidence | None = None
    rank: int = 0
    lam: float = float("nan")
    status: str = ""
    base_model: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reason: str = ""
    judged: Judged | None = field(default=None, repr=False)

    def named(self, verdict: str) -> tuple[ClientReport, ...]:
        """List the clients with a verdict; suspects with the highest score first."""
        found = [client for client in self.clients if client.verdict == verdict]
        if verdict == SUSPECT:
            found.sort(key=lambda client: -client.score)
        return tuple(found)

    @property
    def ranked(self) -> tuple[ClientReport, ...]:
        """All clients in the order of `DEGREES`, then by score, highest first."""
        return tuple(
            sorted(
                self.clients,
                key=lambda client: (DEGREES.index(client.verdict), -np.nan_to_num(client.score)),
            )
        )

    @property
    def judged_clients(self) -> tuple[ClientReport, ...]:
        """Clients with a score: those that have a vote and can be compared."""
        return tuple(client for client in self.clients if not np.isnan(client.score))

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """All kinds on the side that decides, the published rule last; empty if none was judged."""
        deciding = self.sides[self.side].evidence if self.sides else ()
        return deciding if self.published is None else (*deciding, self.published)

    @property
    def exit_code(self) -> int:
        """0 clean, 1 somebody flagged, 2 something could not be judged, 3 somebody suspect.

        A flag outweighs everything, and a set is called clean only if every adapter and every
        module in it was judged, unless ``options.allow_unjudged``: where more than one applies, 1
        goes before 2 and 2 before 3.
        """
        if self.named(FLAGGED):
            return EXIT_CONTAMINATED
        aside = self.named(NOT_JUDGED) or self.named(NOT_COMPARABLE) or self.unjudged_modules
        if self.reason or (aside and not self.options.allow_unjudged):
            return EXIT_UNDECIDED
        return EXIT_SUSPECT if self.named(SUSPECT) else EXIT_CLEAN

    @property
    def threshold(self) -> float:
        """Line on the clients' scores; infinite where none was drawn."""
        return self.sides[self.side].threshold if self.sides else float("inf")

    @property
    def caveat(self) -> str:
        """What one adapter per client cannot tell of the refined ones; "" if halves are used."""
        if self.reason or self.options.pooling == "halves":
            return ""
        return (
            "From one adapter per client nobody can know whether averaging outside the shared "
            "directions makes refined adapters better or worse than the clients' own. Two more of "
            "each client, trained on either half of its data, tell (--halves DIR_A DIR_B)."
        )

    def sentence(self) -> str:
        """Say the outcome in plain words."""
        if self.reason:
            return f"These adapters could not be judged: {self.reason}"
        flagged, suspects = self.named(FLAGGED), self.named(SUSPECT)
        n = len(flagged) + len(suspects) + len(self.named(KEPT))
        modules = f"{len(self.modules)} module{'s' * (len(self.modules) != 1)}"
        rest = f" Suspect: {_names(suspects)}." if suspects else ""
        for verdict, words in (
            (NOT_COMPARABLE, "could not be compared with the others"),
            (NOT_JUDGED, "could not be judged"),
        ):
            aside = len(self.named(verdict))
            rest += f" {aside} {words}." if aside else ""
        if lonely := len(self.unjudged_modules):
            rest += f" {lonely} more module{'s' * (lonely != 1)} could not be compared."
        if not flagged:
            verb = "is flagged" if suspects else "stands out"
            return f"None of {n} adapters {verb} over {modules}.{rest}"
        verb = "stands" if len(flagged) == 1 else "stand"
        return f"{len(flagged)} of {n} adapters {verb} out over {modules}: {_names(flagged)}.{rest}"


def _names(clients: Sequence[ClientReport]) -> str:
    names = ", ".join(client.name for client in clients[:_LISTED])
    return f"{names} and {len(clients) - _LISTED} more" if len(clients) > _LISTED else names


def not_judged(aside: SetAside) -> ClientReport:
    """Report on a client that was set aside."""
    return ClientReport(aside.name, NOT_JUDGED, reasons=(str(aside),))
