"""From a set of adapters to a verdict on each client."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from clair._threads import single_blas_thread
from clair.adapters.assemble import AdapterSet, SetAside
from clair.adapters.cores import read_set, require_enough
from clair.adapters.errors import AdapterError, printable
from clair.adapters.halves import Halves
from clair.adapters.halves import require_enough as enough_halves
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.options import PEFT_SIDES, AuditOptions
from clair.adapters.progress import AUDIT_SHARES, Progress, Stages
from clair.adapters.result import NOT_JUDGED, Audit, ClientReport, Judged, not_judged
from clair.adapters.sharers import judge_sharers
from clair.adapters.verdicts import (
    client_reports,
    disagreement,
    incomparable_modules,
    lonely_report,
    module_reports,
    shared_energy,
    side_report,
    unjudged_modules,
)
from clair.adapters.work import audit_work
from clair.cancellation import cancellable
from clair.method.compressed_fit import fit_cores
from clair.method.detection import Verdict, detect_cores
from clair.method.detectors import published_rule
from clair.method.evidence import joint_shape
from clair.method.linalg import median
from clair.method.solvers import joint_norms
from clair.method.updates import CompressedUpdates


def audit(
    adapters: AdapterSet,
    options: AuditOptions | None = None,
    *,
    halves: Halves | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    limits: Limits = DEFAULT,
) -> Audit:
    """Judge every adapter of a set by what it shares with the others.

    Factors are read module by module and kept only in compressed form, so memory depends on the
    number of clients and their ranks, not on the size of the base model.

    Parameters
    ----------
    adapters : AdapterSet
        From `clair.adapters.read_folder`.
    options : AuditOptions, optional
    halves : Halves, optional
        From `clair.adapters.read_halves`, with pooling "halves" and only then. They do not affect
        the verdict.
    progress : callable, optional
        Receives an `AuditProgress` at every step; may raise to stop.
    cancelled : callable, optional
        Asked between modules, sides and iterations of the solver whether to stop.
    limits : Limits

    Returns
    -------
    Audit
        With ``reason`` set where nothing could be judged.

    Raises
    ------
    ValueError
        For halves without pooling "halves", or the other way round.
    clair.cancellation.Cancelled
        If `cancelled` answered True.
    """
    options = options or AuditOptions()
    if (halves is not None) != (options.pooling == "halves"):
        given = "None" if halves is None else f"halves with pooling {options.pooling!r}"
        raise ValueError(f'halves must be given with pooling "halves" and only then, got {given}')
    stages = Stages(AUDIT_SHARES, progress)
    aside = list(adapters.set_aside)
    try:
        with single_blas_thread(), cancellable(cancelled):
            return _audit(adapters, options, halves, stages, limits, aside)
    except AdapterError as error:
        remaining = {entry.name for entry in aside}
        listed = [not_judged(entry) for entry in aside]
        listed += [
            ClientReport(printable(adapter.name), NOT_JUDGED, reasons=(error.problem,))
            for adapter in adapters.adapters
            if printable(adapter.name) not in remaining
        ]
        return Audit(
            options,
            tuple(listed),
            base_model=printable(adapters.base_model),
            seconds=stages.seconds,
            notes=adapters.notes,
            reason=error.problem,
        )


def _audit(
    adapters: AdapterSet,
    options: AuditOptions,
    halves: Halves | None,
    stages: Stages,
    limits: Limits,
    aside: list[SetAside],
) -> Audit:
    if adapters.problem:
        raise AdapterError("adapters", adapters.problem)
    require_enough(len(adapters.adapters))
    audit_work(adapters).require(limits)
    with stages.stage("read"):
        read = read_set(adapters, aside, stages)
    clients = read.voters
    names, cores = list(read.cores), {n: c.select(clients) for n, c in read.cores.items()}
    lonely_modules = unjudged_modules(adapters, names)
    notes = [*adapters.notes, *read.notes, *incomparable_modules(adapters, lonely_modules)]
    shape = None
    if options.compare_shape:
        shape = joint_shape([core.comparable_kurtosis for core in cores.values()])
    by_side = {side: [cores[name].core(side) for name in names] for side in PEFT_SIDES}
    pilots: dict[str, tuple[int, Verdict]] = {}
    for index, side in enumerate(PEFT_SIDES):
        with stages.stage("detect"):
            stages.step("detect", index, len(PEFT_SIDES))
            _require_rank(by_side[side], names, options.rank)
            ratios = options.fit_options(side).ratios
            pilots[side] = detect_cores(by_side[side], options.rank, ratios, shape)
    common = max(rank for rank, _ in pilots.values())
    shared = {
        side: shared_energy(by_side[side], pilots[side][1].benign, common) for side in PEFT_SIDES
    }
    means = {side: float(np.mean(values)) for side, values in shared.items()}
    side = options.side
    with stages.stage("split"):
        found = fit_cores(
            by_side[side],
            options.rank,
            options.fit_options(side),
            lambda record: stages.step("split", record.iteration, options.max_iter),
            pilot=pilots[side],
        )
    sides = {key: side_report(pilots[key], means[key], found, key == side) for key in PEFT_SIDES}
    with stages.stage("report"):
        modules = module_reports(names, cores, by_side, pilots, found, side, shared)
        sharing = judge_sharers(adapters, read, options, found.rank)
    if sides["output"].flagged.tolist() != sides["input"].flagged.tolist():
        notes.append(disagreement(sides, side))
    notes.extend(found.notes)
    sizes = joint_norms([core.thin for core in by_side[side]])
    judged = Judged(
        adapters,
        clients,
        cores,
        found.verdict.benign,
        found.verdict.influence,
        halves,
    )
    if halves is not None:
        notes.extend(enough_halves(halves, adapters, clients[found.verdict.influence > 0]))
    chosen = [adapters.adapters[k] for k in clients]
    reports = client_reports(chosen, found, by_side[side], modules)
    lonely = [lonely_report(adapters, k) for k in read.lonely]
    return Audit(
        options=options,
        clients=(*reports, *sharing, *lonely, *(not_judged(entry) for entry in aside)),
        modules=modules,
        unjudged_modules=tuple(printable(name, 200) for name in lonely_modules),
        sides=sides,
        side=side,
        published=published_rule(found.norms, median(sizes)),
        rank=found.rank,
        lam=found.split.lam,
        status=found.split.status,
        base_model=printable(adapters.base_model),
        seconds=stages.seconds,
        notes=tuple(notes),
        judged=judged,
    )


def _require_rank(
    cores: Sequence[CompressedUpdates], names: Sequence[str], rank: int | str
) -> None:
    limits = [min(*core.shape, core.rows) for core in cores]
    lowest = int(np.argmin(limits))
    if rank != "auto" and int(rank) > limits[lowest]:
        raise AdapterError(
            "rank",
            f"rank must be at most {limits[lowest]} for module {printable(names[lowest])}, "
            f"got {rank}.",
        )
