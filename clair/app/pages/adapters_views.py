"""What the page "Your adapters" draws around its views: the waiting audit, notes, downloads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from clair.adapters import Audit, AuditOptions, audit_json
from clair.adapters.report import client_notes
from clair.adapters.result import KEPT, SUSPECT
from clair.adapters.work import in_words
from clair.app.kit import jobs
from clair.app.kit.exports import Export, screen_of
from clair.app.kit.plain import plain
from clair.app.pages import adapters
from clair.app.pages.adapters import Source
from clair.jobs import JobState, JobView, Report
from clair.report.adapters import (
    audit_report,
    clients,
    deviations,
    evidence,
    modules,
)
from clair.report.adapters_method import audit_recipe

# Names in the session state: the latest result, what was asked for, the latest refined adapters;
# each with the files and settings it is for.
_RESULT, _ASKED, _REFINED = "_adapters_result", "_adapters_asked", "_adapters_refined"

#: More notes than this are folded up.
_NOTES = 3


def result_of(source: Source, options: AuditOptions) -> Audit | str:
    """Return the audit of a source, or a sentence while there is none.

    The bundled example is audited at once. Uploads are audited by a job in the queue, which can be
    cancelled.

    Returns
    -------
    Audit or str
        While there is no result, the sentence that says why.
    """
    if not source.files:
        st.session_state.pop(_RESULT, None)
        st.session_state.pop(_ASKED, None)
        jobs.drop(adapters.KIND)
        return adapters.bundled(options)
    key = (source.key, options)
    known = st.session_state.get(_RESULT)
    if known is not None and known[0] == key:
        result: Audit = known[1]
        return result

    def work(report: Report, cancelled: Callable[[], bool]) -> Audit:
        return adapters.run(source, options, report, cancelled)

    job = _job(adapters.KIND, key)
    if job is None and st.session_state.get(_ASKED) != key:
        st.session_state[_ASKED] = key
        jobs.start(adapters.KIND, work, config=key, key=key, private=True)
        job = jobs.current(adapters.KIND)
    if job is not None and job.state is JobState.DONE:
        st.session_state[_RESULT] = (key, job.result)
        jobs.drop(adapters.KIND)
        return result_of(source, options)
    if job is not None and job.state.live:
        jobs.watch(jobs.JOB_KINDS[adapters.KIND], job, _cost)
        return "Your adapters are being judged."
    _say_end(job)
    st.button("Run", type="primary", key="adapters_run", on_click=_again)
    return "No verdict: the run was stopped."


def _job(kind: str, key: Any) -> JobView | None:
    """Return the job of a kind if it is for these files and settings; stop any other."""
    job = jobs.current(kind)
    if job is not None and job.config != key:
        jobs.drop(kind)
        return None
    return job


def _cost(view: JobView) -> None:
    """Show how long the judging is expected to take."""
    if isinstance(view.progress, adapters.TimedProgress):
        words = in_words(view.progress.expected)
        st.caption(f"By their number, ranks and shapes these adapters take about {words} to judge.")


def _say_end(job: JobView | None) -> None:
    """Say why a job has no result."""
    jobs.message()
    if job is not None and job.state is JobState.FAILED:
        st.error(job.message, icon=":material/error:")
    elif job is not None:
        words = job.message or "Cancelled; nothing of that run is kept."
        st.info(words, icon=":material/info:")


def _again() -> None:
    st.session_state.pop(_ASKED, None)
    jobs.drop(adapters.KIND)


def notes(result: Audit) -> None:
    """Show what else there is to know, about the set and about single clients."""
    found = [*result.notes, *client_notes(result)]
    if not found:
        return
    if len(found) <= _NOTES:
        for note in found:
            st.info(plain(note), icon=":material/info:")
        return
    with st.expander(f"{len(found)} notes", icon=":material/info:"):
        st.markdown("\n".join(f"* {plain(note)}" for note in found))


def refined_download(source: Source, result: Audit, size: dict[str, Any]) -> None:
    """Offer the refined adapters of clients not flagged; a job makes them when asked."""
    refined = (KEPT, SUSPECT)
    kept = sum(client.verdict in refined for client in result.judged_clients)
    key = (source.key, result.options, tuple(size.items()))
    made = st.session_state.get(_REFINED)
    if made is not None and made[0] != key:
        made = None
        del st.session_state[_REFINED]
    job = _job(adapters.REFINED, key)
    if job is not None and job.state is JobState.DONE:
        made = st.session_state[_REFINED] = (key, job.result)
        jobs.drop(adapters.REFINED)
    elif job is not None and job.state.live:
        jobs.watch(jobs.JOB_KINDS[adapters.REFINED], job, _cost)
        return
    else:
        _say_end(job)
    if made is not None:
        st.download_button(
            f"Download refined adapters ({kept})",
            data=made[1],
            file_name="clair-refined-adapters.zip",
            mime="application/zip",
            key="adapters_refined",
            icon=":material/download:",
            on_click="ignore",
        )
        return

    def work(report: Report, cancelled: Callable[[], bool]) -> bytes:
        return adapters.refined_zip(source, result.options, size, report, cancelled)

    st.button(
        f"Make refined adapters ({kept})",
        key="adapters_make",
        disabled=bool(result.reason) or kept == 0,
        on_click=jobs.start,
        args=(adapters.REFINED, work),
        kwargs={"config": key, "key": key, "private": True},
    )


def export_of(source: Source, result: Audit, values: dict[str, Any]) -> Export:
    """Build the downloads of an audit."""
    folder = "DIR" if source.files else None
    screen = screen_of("adapters", adapters.CONTROLS, values, adapters.GROUPS)
    return Export(
        name="clair-audit",
        recipe=audit_recipe(result.options, folder),
        report=lambda: audit_report(result, folder=folder, screen=screen),
        tables={
            "Clients": partial(clients, result),
            "Modules": partial(modules, result),
            "Evidence": partial(evidence, result),
            "Deviations": partial(deviations, result),
        },
        numbers=partial(audit_json, result),
    )
