"""From the numbers of a fit to what is said about each side, module and client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clair.adapters.assemble import MIN_CLIENTS, AdapterSet
from clair.adapters.compress import ModuleCore
from clair.adapters.errors import printable
from clair.adapters.reader import Adapter, natural_key
from clair.adapters.result import ClientReport, ModuleReport, SideReport
from clair.cancellation import checkpoint
from clair.method.compressed_fit import CoreFit
from clair.method.detection import (
    AUTO_MAX_DIRECTIONS,
    NOT_COMPARABLE,
    SUSPECT,
    Verdict,
    detect_cores,
    predictive_rank,
)
from clair.method.kinds import client_margins
from clair.method.moments import Moments, normalised
from clair.method.shape import Shape
from clair.method.updates import CompressedUpdates
from clair.method.words import reasons

TOP_MODULES = 3
#: Kinds of evidence that say in which modules to look.
_BY_MODULE = ("outside", "directions", "modules")
#: Groups of clients that are named for the modules only they have.
_GROUPS = 4


def module_residuals(moments: Sequence[Moments], kept: np.ndarray, rank: int) -> np.ndarray:
    """Compute squared residuals off the *other* kept clients' subspace, (n_modules, n_clients)."""
    residuals = np.empty((len(moments), len(kept)))
    for row, one in zip(residuals, moments, strict=True):
        checkpoint()
        inside = one.left_out_energy(kept, min(rank, one.d)).sum(axis=1)
        row[:] = np.maximum(one.energy - inside, 0.0)
    return residuals


@dataclass(frozen=True)
class SideFound:
    """What the detector finds on one side.

    Attributes
    ----------
    rank : int
    verdict : Verdict
    shared : ndarray of shape (n_ranks, n_modules)
        Share of the kept clients' energy that the others predict, at rank 1, 2, ...
    suggested : tuple of int
        Rank that the automatic rule finds for each module alone.
    """

    rank: int
    verdict: Verdict
    shared: np.ndarray
    suggested: tuple[int, ...]


def judge_side(
    blocks: Sequence[CompressedUpdates],
    rank: int | str,
    gap: tuple[float, float],
    shape: Shape | None,
) -> SideFound:
    """Run the detector on one side, with the other's numbers that reports show of it."""
    found, verdict = detect_cores(blocks, rank, gap, shape)
    kept, most = verdict.benign, AUTO_MAX_DIRECTIONS if rank == "auto" else int(rank)
    shared, suggested = np.ones((most, len(blocks))), []
    for column, core in zip(shared.T, blocks, strict=True):
        checkpoint()
        moments = core.moments
        limit = min(*core.shape, core.rows)
        suggested.append(predictive_rank(normalised([moments]), kept, limit))
        size = min(most, moments.d)
        inside = np.cumsum(moments.left_out_energy(kept, size)[kept], axis=1)
        outside = np.maximum(moments.energy[kept][:, None] - inside, 0.0).sum(axis=0)
        column[:size] = 1 - outside / (float(moments.energy[kept].sum()) or 1.0)
        column[size:] = column[size - 1]
    return SideFound(found, verdict, shared, tuple(suggested))


def judge_cores(
    cores: Sequence[ModuleCore],
    side: str,
    rank: int | str,
    gap: tuple[float, float],
    shape: Shape | None,
) -> SideFound:
    """Do what `judge_side` does for compressed modules, as another process is asked to."""
    return judge_side([core.core(side) for core in cores], rank, gap, shape)


def side_report(found: SideFound, common: int, fitted: CoreFit | None) -> SideReport:
    """Report on one side: the final verdict on the side that decides, the detector's elsewhere."""
    rank, verdict = (found.rank, found.verdict) if fitted is None else (fitted.rank, fitted.verdict)
    shared = float(np.mean(found.shared[common - 1]))
    return SideReport(rank, verdict.evidence, verdict.degrees, shared)


def module_reports(
    cores: Mapping[str, ModuleCore],
    blocks: Sequence[CompressedUpdates],
    found: CoreFit,
    sides: Mapping[str, SideFound],
    common: int,
) -> tuple[ModuleReport, ...]:
    """Report on every module: what both sides share, and who deviates on the deciding one."""
    kept = found.verdict.benign
    residuals = np.sqrt(module_residuals([core.moments for core in blocks], kept, found.rank))
    reports = []
    for index, (name, module) in enumerate(cores.items()):
        present = module.ranks > 0
        usual = residuals[index][kept & present]
        typical = float(np.median(usual)) if len(usual) else 0.0
        floor = 1e-6 * float(np.sqrt(np.median(blocks[index].moments.energy[present])))
        deviation = residuals[index] / max(typical, floor, np.finfo(float).tiny)
        reports.append(
            ModuleReport(
                printable(name, 200),
                module.shape,
                int(present.sum()),
                {key: float(side.shared[common - 1][index]) for key, side in sides.items()},
                {key: side.suggested[index] for key, side in sides.items()},
                np.where(present, deviation, np.nan),
            )
        )
    return tuple(reports)


def client_reports(
    adapters: Sequence[Adapter],
    found: CoreFit,
    cores: Sequence[CompressedUpdates],
    modules: Sequence[ModuleReport],
) -> list[ClientReport]:
    """Report on every judged client, with the modules in which it deviates most."""
    sizes = np.sqrt(np.sum([core.moments.energy for core in cores], axis=0))
    deviations = np.array([module.deviation for module in modules])
    verdict, reports = found.verdict, []
    why, margins = reasons(verdict), client_margins(verdict.evidence)
    for k, (adapter, degree, margin) in enumerate(
        zip(adapters, verdict.degrees, margins, strict=True)
    ):
        column = np.where(np.isnan(deviations[:, k]), -np.inf, deviations[:, k])
        order = np.argsort(-column, kind="stable")[:TOP_MODULES]
        where = tuple((modules[i].name, float(column[i])) for i in order if column[i] > -np.inf)
        said = why[k]
        if where and (degree == SUSPECT or _convicted_by(verdict, k) in _BY_MODULE):
            module, times = where[0]
            said += f"; most in {module} ({min(times, 9999):.1f} times a typical kept client)"
        reports.append(
            ClientReport(
                printable(adapter.name),
                degree,
                score=float(verdict.scores[k]),
                margin=float("nan") if margin is None else margin,
                influence=float(verdict.influence[k]),
                norm=float(found.norms[k]),
                size=float(sizes[k]),
                rank=adapter.rank,
                where=where,
                reasons=(said,) if said else (),
                notes=notes_of(adapter),
            )
        )
    return reports


def _convicted_by(verdict: Verdict, k: int) -> str:
    """Find the first kind of evidence that flags a client; "" if the client is not flagged."""
    if verdict.benign[k]:
        return ""
    return next(kind.kind for kind in verdict.evidence if kind.flagged[k])


def disagreement(sides: Mapping[str, SideReport], side: str) -> str:
    """Say what the other side would have flagged, and why it does not decide."""
    other = "input" if side == "output" else "output"
    n = int(sides[other].flagged.sum())
    why = (
        "the output side decides, because clients that start from one common A agree on rows by "
        "construction"
        if side == "output"
        else "the input side decides, as asked"
    )
    return (
        f"The {other} side would flag {n} client{'s' * (n != 1)} instead of "
        f"{int(sides[side].flagged.sum())}; {why}."
    )


def unjudged_modules(adapters: AdapterSet, judged: Sequence[str]) -> list[str]:
    """List the modules that too few clients changed to compare them, in natural order."""
    known = frozenset(judged)
    skipped = [name for adapter in adapters.adapters for name in adapter.skipped]
    found = {*adapters.modules, *adapters.unjudged_modules, *skipped} - known
    return sorted(found, key=natural_key)


def incomparable_modules(adapters: AdapterSet, unjudged: Sequence[str]) -> list[str]:
    """Say which modules too few clients changed to compare them, and who those clients are.

    No comparison can find poison in a module that nobody else has.
    """
    owners: dict[tuple[str, ...], list[str]] = {}
    for name in unjudged:
        having = tuple(printable(a.name) for a in adapters.adapters if name in a.modules)
        owners.setdefault(having if len(having) < MIN_CLIENTS else (), []).append(name)
    notes = []
    for having, names in list(owners.items())[:_GROUPS]:
        who = f"fewer than {MIN_CLIENTS} clients changed"
        if having:
            listed = " and ".join([", ".join(having[:-1]), having[-1]] if having[1:] else having)
            who = f"only {listed} {'has' if len(having) == 1 else 'have'}"
        what = f"1 module is not comparable, as {who} it: {printable(names[0])}."
        if len(names) > 1:
            what = (
                f"{len(names)} modules are not comparable, as {who} them, for example "
                f"{printable(names[0])}."
            )
        notes.append(f"{what} What lies there is not judged, and refined adapters leave it out.")
    rest = sum(len(names) for names in list(owners.values())[_GROUPS:])
    if rest:
        notes.append(f"{rest} further modules are not comparable for the same reason.")
    return notes


def notes_of(adapter: Adapter) -> tuple[str, ...]:
    """List what a reader should know about an adapter, and which of its modules are not judged."""
    by_reason: dict[str, list[str]] = {}
    for name, why in adapter.skipped.items():
        by_reason.setdefault(why, []).append(printable(name, 60))
    said = []
    for why, names in by_reason.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        said.append(f"not judged: {names[0]}{more}, because it {why}")
    return (*adapter.notes, *said)


def lonely_reports(adapters: AdapterSet, lonely: Sequence[int]) -> list[ClientReport]:
    """Report on clients that changed only modules that too few others changed."""
    counts = Counter(name for adapter in adapters.adapters for name in adapter.modules)
    usual = max(counts, key=lambda name: counts[name], default="")
    reports = []
    for k in lonely:
        adapter = adapters.adapters[k]
        few = f"fewer than {MIN_CLIENTS - 1} other clients"
        if adapters.modules.keys().isdisjoint(adapter.modules):
            own = printable(next(iter(adapter.modules)))
            why = (
                f"{few} have a module of the names it has ({own}, where most have "
                f"{printable(usual)}): perhaps other layers, or the same under a name that could "
                "not be matched"
            )
        else:
            why = f"each module that it changed is changed by {few}"
        name, notes = printable(adapter.name), notes_of(adapter)
        reports.append(
            ClientReport(name, NOT_COMPARABLE, rank=adapter.rank, reasons=(why,), notes=notes)
        )
    return reports
