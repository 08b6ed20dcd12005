"""From the numbers of a fit to what is said about each side, module and client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from clair.adapters.compress import ModuleCore
from clair.adapters.errors import printable
from clair.adapters.folder import MIN_CLIENTS, AdapterSet
from clair.adapters.options import PEFT_SIDES
from clair.adapters.reader import Adapter, natural_key
from clair.adapters.result import ClientReport, ModuleReport, SideReport
from clair.cancellation import checkpoint
from clair.method.compressed_fit import CoreFit
from clair.method.detection import SUSPECT, Verdict, predictive_rank, reasons
from clair.method.kinds import client_margins
from clair.method.moments import Moments, normalised
from clair.method.updates import CompressedUpdates

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


def shared_energy(cores: Sequence[CompressedUpdates], kept: np.ndarray, rank: int) -> np.ndarray:
    """Compute the share of the kept clients' energy that the others predict, by module."""
    moments = [core.moments for core in cores]
    residuals = module_residuals(moments, kept, rank)[:, kept].sum(axis=1)
    energy = np.array([one.energy[kept].sum() for one in moments])
    return 1 - residuals / np.where(energy > 0, energy, 1.0)


def side_report(
    pilot: tuple[int, Verdict], shared: float, found: CoreFit, decides: bool
) -> SideReport:
    """Report on one side: the final verdict on the side that decides, the detector's elsewhere."""
    rank, verdict = (found.rank, found.verdict) if decides else pilot
    return SideReport(rank, verdict.evidence, verdict.degrees, shared)


def module_reports(
    names: Sequence[str],
    cores: Mapping[str, ModuleCore],
    by_side: Mapping[str, Sequence[CompressedUpdates]],
    pilots: Mapping[str, tuple[int, Verdict]],
    found: CoreFit,
    side: str,
    shared: Mapping[str, np.ndarray],
) -> tuple[ModuleReport, ...]:
    """Report on every module: what both sides share, and who deviates on the deciding one."""
    kept = found.verdict.benign
    residuals = np.sqrt(
        module_residuals([core.moments for core in by_side[side]], kept, found.rank)
    )
    reports = []
    for index, name in enumerate(names):
        present = cores[name].ranks > 0
        usual = residuals[index][kept & present]
        typical = float(np.median(usual)) if len(usual) else 0.0
        floor = 1e-6 * float(np.sqrt(np.median(by_side[side][index].moments.energy[present])))
        deviation = residuals[index] / max(typical, floor, np.finfo(float).tiny)
        suggested = {}
        for key in PEFT_SIDES:
            core = by_side[key][index]
            limit = min(*core.shape, core.rows)
            suggested[key] = predictive_rank(
                normalised([core.moments]), pilots[key][1].benign, limit
            )
        reports.append(
            ModuleReport(
                printable(name, 200),
                cores[name].shape,
                int(present.sum()),
                {key: float(shared[key][index]) for key in PEFT_SIDES},
                suggested,
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
                notes=adapter.notes,
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
    found = [n for n in (*adapters.modules, *adapters.unjudged_modules) if n not in known]
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


def twins(adapters: Sequence[Adapter], cores: Sequence[CompressedUpdates]) -> list[str]:
    """Note clients whose updates are equal up to rounding: perhaps one party with several names."""
    energies = np.array([core.moments.energy for core in cores]).T
    notes = []
    order = np.lexsort(energies.T[::-1])
    for a, b in pairwise(order):
        if np.allclose(energies[a], energies[b], rtol=1e-12, atol=0.0):
            gap = sum(float(np.sum((c.block(a) - c.block(b)) ** 2)) for c in cores)
            if gap <= 1e-20 * energies[a].sum():
                pair = sorted((printable(adapters[a].name), printable(adapters[b].name)))
                notes.append(f"{pair[0]} and {pair[1]} sent the same update.")
    return notes
