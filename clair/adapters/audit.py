"""From a set of adapters to a verdict on each client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from clair._threads import single_blas_thread
from clair._validation import check_integer
from clair.adapters.assemble import AdapterSet, SetAside
from clair.adapters.compress import ModuleCore
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
    SideFound,
    client_reports,
    disagreement,
    incomparable_modules,
    judge_cores,
    judge_side,
    lonely_reports,
    module_reports,
    side_report,
    unjudged_modules,
)
from clair.adapters.work import Work, audit_work
from clair.cancellation import cancellable
from clair.executors import Here, Workers, open_workers
from clair.method.compressed_fit import CoreFit, fit_cores
from clair.method.detectors import published_rule
from clair.method.linalg import median
from clair.method.shape import joint_shape
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
    workers: int | Workers = 1,
    scheduler: str | None = None,
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
    workers : int or Workers
        With 2, a second process helps where the audit takes long, and so does an executor of the
        caller's: see `clair.executors.open_workers`. The result is the same.
    scheduler : str, optional
        Address of a dask scheduler that helps instead. It is sent no files.

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
    clair.executors.WorkerFailed
        If a worker process breaks down, or no scheduler answers.
    """
    options = options or AuditOptions()
    if (halves is not None) != (options.pooling == "halves"):
        given = "None" if halves is None else f"halves with pooling {options.pooling!r}"
        raise ValueError(f'halves must be given with pooling "halves" and only then, got {given}')
    stages = Stages(AUDIT_SHARES, progress)
    aside = list(adapters.set_aside)
    try:
        with single_blas_thread(), cancellable(cancelled):
            return _audit(adapters, options, halves, stages, limits, aside, (workers, scheduler))
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
    help_by: tuple[int | Workers, str | None],
) -> Audit:
    if adapters.problem:
        raise AdapterError("adapters", adapters.problem)
    require_enough(len(adapters.adapters))
    work = audit_work(adapters)
    work.require(limits)
    with _helping(work, *help_by) as helper:
        with stages.stage("read"):
            read = read_set(adapters, aside, stages, helper)
        clients, side = read.voters, options.side
        cores = {name: core.select(clients) for name, core in read.cores.items()}
        _require_rank(cores, options.rank)
        blocks = [core.core(side) for core in cores.values()]
        found, both = _both_sides(cores, blocks, options, stages, helper)
    common = max(one.rank for one in both.values())
    with stages.stage("report"):
        modules = module_reports(cores, blocks, found, both, common)
        sharing = judge_sharers(adapters, read, options, found.rank)
    lonely_modules = unjudged_modules(adapters, list(cores))
    notes = [*adapters.notes, *read.notes, *incomparable_modules(adapters, lonely_modules)]
    sides = {
        key: side_report(both[key], common, found if key == side else None) for key in PEFT_SIDES
    }
    if sides["output"].flagged.tolist() != sides["input"].flagged.tolist():
        notes.append(disagreement(sides, side))
    notes.extend(found.notes)
    sizes = joint_norms([core.thin for core in blocks])
    benign, influence = found.verdict.benign, found.verdict.influence
    judged = Judged(adapters, clients, cores, benign, influence, halves)
    if halves is not None:
        notes.extend(enough_halves(halves, adapters, clients[influence > 0]))
    chosen = [adapters.adapters[k] for k in clients]
    published = published_rule(found.norms, median(sizes))
    reports = client_reports(chosen, found, blocks, modules)
    lonely = lonely_reports(adapters, read.lonely)
    return Audit(
        options=options,
        clients=(*reports, *sharing, *lonely, *(not_judged(entry) for entry in aside)),
        modules=modules,
        unjudged_modules=tuple(printable(name, 200) for name in lonely_modules),
        sides=sides,
        side=side,
        published=None if options.detector == "norms" else published,
        rank=found.rank,
        lam=found.split.lam,
        status=found.split.status,
        base_model=printable(adapters.base_model),
        seconds=stages.seconds,
        notes=tuple(notes),
        judged=judged,
    )


@contextmanager
def _helping(work: Work, workers: int | Workers, scheduler: str | None) -> Iterator[Workers | None]:
    """Open what helps with the work, if it may and is worthwhile; None otherwise.

    It reads two of five modules, and judges the side that does not decide: the same steps on the
    same numbers as here, so the result is the same.
    """
    if not isinstance(workers, Workers):
        check_integer("workers", workers, minimum=1)
        if scheduler is None and not work.long:
            yield None
            return
        workers = min(workers, 2)  # the one that helps is one process
    with open_workers(workers, scheduler, besides=1) as found:
        yield None if isinstance(found.executor, Here) else found


def _both_sides(
    cores: Mapping[str, ModuleCore],
    blocks: Sequence[CompressedUpdates],
    options: AuditOptions,
    stages: Stages,
    helper: Workers | None,
) -> tuple[CoreFit, dict[str, SideFound]]:
    """Run the detector on both sides, and the split on the one that decides.

    Parameters
    ----------
    cores : mapping of str to ModuleCore
    blocks : sequence of CompressedUpdates
        Of the cores, on the side that decides.
    options : AuditOptions
    stages : Stages
    helper : Workers or None
        Looks at the other side meanwhile.
    """
    side = options.side
    other = "input" if side == "output" else "output"
    shape = None
    if options.compare_shape:
        shape = joint_shape([core.comparable_kurtosis for core in cores.values()])
    question = (list(cores.values()), other, *_asked(options, other), shape)
    asked = None if helper is None else helper.submit(judge_cores, *question)
    with stages.stage("detect"):
        both = {side: judge_side(blocks, *_asked(options, side), shape)}
        if asked is None:
            stages.step("detect", 1, 2)
            both[other] = judge_cores(*question)
    with stages.stage("split"):
        found = fit_cores(
            blocks,
            options.rank,
            options.fit_options(side),
            lambda record: stages.step("split", record.iteration, options.max_iter),
            pilot=(both[side].rank, both[side].verdict),
        )
        if helper is not None and asked is not None:
            both[other] = helper.result(asked)
    return found, {key: both[key] for key in PEFT_SIDES}


def _asked(options: AuditOptions, side: str) -> tuple[int | str, tuple[float, float]]:
    """List what the detector is asked on a side: the rank, and the gap that convicts."""
    return options.rank, options.fit_options(side).ratios


def _require_rank(cores: Mapping[str, ModuleCore], rank: int | str) -> None:
    limits = {name: core.rank_limit for name, core in cores.items()}
    lowest = min(limits, key=lambda name: limits[name])
    if rank != "auto" and int(rank) > limits[lowest]:
        raise AdapterError(
            "rank",
            f"rank must be at most {limits[lowest]} for module {printable(lowest)}, got {rank}.",
        )
