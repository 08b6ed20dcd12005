"""From the numbers of a fit to what is said about each side, module and client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from clair.adapters.compress import ModuleCore
from clair.adapters.errors import printable
from clair.adapters.options import PEFT_SIDES
from clair.adapters.reader import Adapter
from clair.adapters.result import FLAGGED, KEPT, ClientReport, ModuleReport, SideReport
from clair.cancellation import checkpoint
from clair.core_fit import CoreFit
from clair.detection import Verdict, predictive_rank
from clair.scatter import Scatter, normalised
from clair.updates import Core

TOP_MODULES = 3


def module_residuals(scatters: Sequence[Scatter], kept: np.ndarray, rank: int) -> np.ndarray:
    """Squared residuals off what the *other* kept clients share, (n_modules, n_clients)."""
    residuals = np.empty((len(scatters), len(kept)))
    for row, scatter in zip(residuals, scatters, strict=True):
        checkpoint()
        inside = scatter.left_out_energy(kept, min(rank, scatter.d)).sum(axis=1)
        row[:] = np.maximum(scatter.energy - inside, 0.0)
    return residuals


def shared_energy(cores: Sequence[Core], kept: np.ndarray, rank: int) -> np.ndarray:
    """Share of the kept clients' energy predicted by the others, by module."""
    scatters = [core.scatter for core in cores]
    residuals = module_residuals(scatters, kept, rank)[:, kept].sum(axis=1)
    energy = np.array([scatter.energy[kept].sum() for scatter in scatters])
    return 1 - residuals / np.where(energy > 0, energy, 1.0)


def side_report(
    pilot: tuple[int, Verdict], shared: float, found: CoreFit, decides: bool
) -> SideReport:
    """Report on one side: the final verdict on the side that decides, the detector's elsewhere."""
    rank, verdict = (found.rank, found.verdict) if decides else pilot
    return SideReport(
        rank, verdict.scores, ~verdict.benign, verdict.threshold, verdict.margin, shared
    )


def module_reports(
    names: Sequence[str],
    cores: Mapping[str, ModuleCore],
    by_side: Mapping[str, Sequence[Core]],
    pilots: Mapping[str, tuple[int, Verdict]],
    found: CoreFit,
    side: str,
    shared: Mapping[str, np.ndarray],
) -> tuple[ModuleReport, ...]:
    """Report on every module: what both sides share, and who deviates on the deciding one."""
    kept = found.verdict.benign
    residuals = np.sqrt(
        module_residuals([core.scatter for core in by_side[side]], kept, found.rank)
    )
    reports = []
    for index, name in enumerate(names):
        present = cores[name].ranks > 0
        usual = residuals[index][kept & present]
        typical = float(np.median(usual)) if len(usual) else 0.0
        floor = 1e-6 * float(np.sqrt(np.median(by_side[side][index].scatter.energy[present])))
        deviation = residuals[index] / max(typical, floor, np.finfo(float).tiny)
        suggested = {}
        for key in PEFT_SIDES:
            core = by_side[key][index]
            limit = min(*core.shape, core.rows)
            suggested[key] = predictive_rank(
                normalised([core.scatter]), pilots[key][1].benign, limit
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
    cores: Sequence[Core],
    modules: Sequence[ModuleReport],
) -> list[ClientReport]:
    """Report on every judged client, with the modules in which it deviates most."""
    sizes = np.sqrt(np.sum([core.scatter.energy for core in cores], axis=0))
    deviations = np.array([module.deviation for module in modules])
    reports = []
    for k, adapter in enumerate(adapters):
        column = np.where(np.isnan(deviations[:, k]), -np.inf, deviations[:, k])
        order = np.argsort(-column, kind="stable")[:TOP_MODULES]
        where = tuple((modules[i].name, float(column[i])) for i in order if column[i] > -np.inf)
        score, flagged = float(found.verdict.scores[k]), not bool(found.verdict.benign[k])
        reasons: list[str] = []
        if flagged and found.screened[k]:
            reasons.append("its coefficients point against those of the majority (sign flip)")
        elif flagged:
            reasons.append(
                f"score {score:.2f} is above {found.verdict.threshold:.2f}; it deviates most in "
                f"{where[0][0]} ({min(where[0][1], 9999):.1f} times a typical kept client)"
            )
        reports.append(
            ClientReport(
                printable(adapter.name),
                FLAGGED if flagged else KEPT,
                score,
                float(found.norms[k]),
                float(sizes[k]),
                adapter.rank,
                where,
                tuple(reasons),
                adapter.notes,
            )
        )
    return reports


def disagreement(sides: Mapping[str, SideReport], side: str) -> str:
    """Say what the other side would have flagged, and why it does not decide."""
    other = "input" if side == "output" else "output"
    n = int(sides[other].flagged.sum())
    return (
        f"The {other} side would flag {n} client{'s' * (n != 1)} instead of "
        f"{int(sides[side].flagged.sum())}; the {side} side decides, on which "
        f"{sides[side].shared_energy:.0%} of a kept update is shared (the other: "
        f"{sides[other].shared_energy:.0%})."
    )


def twins(adapters: Sequence[Adapter], cores: Sequence[Core]) -> list[str]:
    """Clients whose updates are equal to rounding: one party behind several names, perhaps."""
    energies = np.array([core.scatter.energy for core in cores]).T
    notes = []
    order = np.lexsort(energies.T[::-1])
    for a, b in pairwise(order):
        if np.allclose(energies[a], energies[b], rtol=1e-12, atol=0.0):
            gap = sum(float(np.sum((c.block(a) - c.block(b)) ** 2)) for c in cores)
            if gap <= 1e-20 * energies[a].sum():
                pair = sorted((printable(adapters[a].name), printable(adapters[b].name)))
                notes.append(f"{pair[0]} and {pair[1]} sent the same update.")
    return notes
