"""Adapters that share another one's vote: judged one after the other in its place."""

from __future__ import annotations

import numpy as np

from clair.adapters.assemble import AdapterSet
from clair.adapters.cores import ReadSet
from clair.adapters.errors import printable
from clair.adapters.options import AuditOptions
from clair.adapters.result import NOT_JUDGED, ClientReport
from clair.adapters.verdicts import notes_of
from clair.method.detection import detect_cores
from clair.method.shape import joint_shape
from clair.method.words import reasons

#: Of the adapters that share one vote, so many are judged; a run each.
MAX_SHARING = 8


def judge_sharers(
    adapters: AdapterSet, read: ReadSet, options: AuditOptions, rank: int
) -> list[ClientReport]:
    """Judge each adapter without a vote of its own as if it had that of its site.

    Parameters
    ----------
    adapters : AdapterSet
    read : ReadSet
    options : AuditOptions
    rank : int
        Of the shared subspace that the voters have.

    Returns
    -------
    list of ClientReport
        Without numbers, which belong to the run of the voters.
    """
    reports: list[ClientReport] = []
    for turn in range(MAX_SHARING):
        taking = {v: others[turn] for v, others in read.groups.items() if len(others) > turn}
        if not taking:
            return reports
        clients = np.array([taking.get(int(v), int(v)) for v in read.voters])
        cores = [core.select(clients) for core in read.cores.values()]
        shape = None
        if options.compare_shape:
            shape = joint_shape([core.comparable_kurtosis for core in cores])
        ratios = options.fit_options(options.side).ratios
        blocks = [core.core(options.side) for core in cores]
        verdict = detect_cores(blocks, rank, ratios, shape)[1]
        why = reasons(verdict)
        for place, (voter, k) in enumerate(zip(read.voters, clients, strict=True)):
            if int(voter) in taking:
                first = printable(adapters.adapters[voter].name)
                told = (f"judged in the place of {first}, whose vote it shares", why[place])
                reports.append(_report(adapters, k, verdict.degrees[place], told))
    for others in read.groups.values():
        for k in others[MAX_SHARING:]:
            words = f"more than {MAX_SHARING} adapters share one vote here; audit them apart"
            reports.append(_report(adapters, k, NOT_JUDGED, (words, "")))
    return reports


def _report(adapters: AdapterSet, k: int, verdict: str, why: tuple[str, ...]) -> ClientReport:
    adapter = adapters.adapters[k]
    return ClientReport(
        printable(adapter.name),
        verdict,
        rank=adapter.rank,
        reasons=tuple(words for words in why if words),
        notes=notes_of(adapter),
    )
