"""From a set of adapters to a verdict on each client."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from clair._threads import single_blas_thread
from clair.adapters.compress import Factors, ModuleCore, compress
from clair.adapters.errors import AdapterError, printable
from clair.adapters.folder import MIN_CLIENTS, AdapterSet, SetAside
from clair.adapters.halves import Halves, require_enough
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.options import PEFT_SIDES, AuditOptions
from clair.adapters.progress import AUDIT_SHARES, Progress, Stages
from clair.adapters.reader import Adapter
from clair.adapters.result import NOT_JUDGED, Audit, ClientReport, Judged, not_judged
from clair.adapters.verdicts import (
    client_reports,
    disagreement,
    incomparable_modules,
    module_reports,
    shared_energy,
    side_report,
    twins,
    unjudged_modules,
)
from clair.adapters.work import audit_work
from clair.cancellation import cancellable, checkpoint
from clair.method.compressed_fit import fit_cores, published_rule
from clair.method.detection import NOT_COMPARABLE, Verdict, detect_cores
from clair.method.evidence import GAP, joint_shape
from clair.method.linalg import median
from clair.method.solvers import joint_norms
from clair.method.updates import CompressedUpdates

# Fourth powers of products of two entries in this range neither overflow nor underflow.
TINY, HUGE = 1e-15, 1e15


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
    _require_enough(len(adapters.adapters))
    audit_work(adapters).require(limits)
    with stages.stage("read"):
        cores, clients, lonely = _compress_all(adapters, aside, stages)
    _require_enough(len(clients) + len(lonely))
    if not cores:
        raise AdapterError(
            "adapters",
            f"no module is changed by at least {MIN_CLIENTS} of the adapters: with fewer it cannot "
            "be told who differs from the others.",
        )
    names = list(cores)
    lonely_modules = unjudged_modules(adapters, names)
    notes = [*adapters.notes, *incomparable_modules(adapters, lonely_modules)]
    shape = None
    if options.compare_shape:
        shape = joint_shape([core.comparable_kurtosis for core in cores.values()])
    by_side = {side: [cores[name].core(side) for name in names] for side in PEFT_SIDES}
    pilots: dict[str, tuple[int, Verdict]] = {}
    for index, side in enumerate(PEFT_SIDES):
        with stages.stage("detect"):
            stages.step("detect", index, len(PEFT_SIDES))
            _require_rank(by_side[side], names, options.rank)
            ratios = options.fit_options(side).ratios(GAP)
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
    if sides["output"].flagged.tolist() != sides["input"].flagged.tolist():
        notes.append(disagreement(sides, side))
    notes.extend(found.notes)
    notes.extend(twins([adapters.adapters[k] for k in clients], by_side[side]))
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
        notes.extend(require_enough(halves, adapters, clients[found.verdict.influence > 0]))
    chosen = [adapters.adapters[k] for k in clients]
    reports = client_reports(chosen, found, by_side[side], modules)
    return Audit(
        options=options,
        clients=(*reports, *lonely, *(not_judged(entry) for entry in aside)),
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


def _require_enough(n_clients: int) -> None:
    if n_clients < MIN_CLIENTS:
        raise AdapterError(
            "adapters",
            f"{n_clients} usable adapter{'s' * (n_clients != 1)} found, and at least "
            f"{MIN_CLIENTS} are needed: with fewer it cannot be told who differs from the others.",
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


def _compress_all(
    adapters: AdapterSet, aside: list[SetAside], stages: Stages
) -> tuple[dict[str, ModuleCore], np.ndarray, list[ClientReport]]:
    """Compress modules that enough clients changed; list who changed some of them, and the rest.

    Returns
    -------
    cores : dict of str to ModuleCore
        Of the clients that are judged.
    clients : ndarray of int
        Their indices.
    lonely : list of ClientReport
        Clients that changed only modules that too few others changed.
    """
    failed: set[int] = set()
    cores: dict[str, ModuleCore] = {}
    for done, (name, shape) in enumerate(adapters.modules.items()):
        factors: list[Factors] = []
        for k, adapter in enumerate(adapters.adapters):
            pair: Factors = None
            if k not in failed and name in adapter.modules:
                try:
                    checkpoint()
                    pair = _checked_factors(adapter, name)
                except AdapterError as error:
                    failed.add(k)
                    aside.append(SetAside(printable(adapter.name), error.where, error.problem))
            factors.append(pair)
        cores[name] = compress(factors, shape)
        stages.step("read", done + 1, len(adapters.modules))
    changed = np.zeros((len(cores), len(adapters.adapters)), dtype=bool)
    for row, core in zip(changed, cores.values(), strict=True):
        row[:] = core.core("output").thin.any(axis=(1, 2))
    for k, adapter in enumerate(adapters.adapters):
        shared = any(name in adapters.modules for name in adapter.modules)
        if k not in failed and shared and not changed[:, k].any():
            failed.add(k)
            name = printable(adapter.name)
            problem = "its update is zero in every module judged: it was not trained, or was wiped"
            aside.append(SetAside(name, name, problem))
    changed[:, list(failed)] = False
    usable = changed.sum(axis=1) >= MIN_CLIENTS
    clients = np.flatnonzero(changed[usable].any(axis=0))
    lonely = [
        _not_comparable(adapters.adapters[k])
        for k in range(len(adapters.adapters))
        if k not in failed and k not in clients
    ]
    chosen = {
        name: core.select(clients)
        for (name, core), use in zip(cores.items(), usable, strict=True)
        if use
    }
    return chosen, clients, lonely


def _not_comparable(adapter: Adapter) -> ClientReport:
    return ClientReport(
        printable(adapter.name),
        NOT_COMPARABLE,
        rank=adapter.rank,
        reasons=(
            f"each module that it changed is changed by fewer than {MIN_CLIENTS - 1} other clients",
        ),
        notes=adapter.notes,
    )


def _checked_factors(adapter: Adapter, name: str) -> tuple[np.ndarray, np.ndarray]:
    B, A = adapter.factors(name)
    for factor in (B, A):
        largest = float(np.abs(factor).max())
        if largest > HUGE or 0 < largest < TINY:
            raise AdapterError(
                f"{printable(adapter.name)}: {printable(name)}",
                f"has entries as large as {largest:.0e}, which no training produces"
                if largest > HUGE
                else f"has no entry larger than {largest:.0e}, which no training produces",
            )
    return B, A
