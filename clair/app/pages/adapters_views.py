"""What the page "Your adapters" draws: the waiting audit, the views of a result, downloads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from clair.adapters import Audit, AuditOptions, audit_json
from clair.adapters.report import client_notes, side_lines
from clair.adapters.result import (
    FLAGGED,
    KEPT,
    NOT_COMPARABLE,
    NOT_JUDGED,
    SUSPECT,
    ClientReport,
)
from clair.adapters.work import in_words
from clair.app.kit import jobs
from clair.app.kit.exports import Export, screen_of
from clair.app.kit.plain import plain
from clair.app.kit.results import show_chart
from clair.app.pages import adapters
from clair.app.pages.adapters import Source
from clair.figures.adapters import (
    client_scores,
    deviation_map,
    layer_map,
    shared_energy,
    sides_compared,
)
from clair.figures.adapters_evidence import evidence_compared
from clair.figures.palette import ThemeName
from clair.jobs import JobState, JobView, Report
from clair.report.adapters import audit_recipe, audit_report, clients, deviations, evidence
from clair.report.adapters import modules as modules_table
from clair.sentences import times

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


#: What each degree of the verdict means.
DEGREE_WORDS = {
    FLAGGED: "On evidence of poison: not refined, and nobody learns from them.",
    SUSPECT: "A little apart, too little to convict, perhaps with few data, or repeating each "
    "other: refined, but the others learn little or nothing from them.",
    KEPT: "Refined, and the others learn from them.",
    NOT_JUDGED: "Could not be read, or changed only modules that too few others changed.",
}


def headline_numbers(result: Audit) -> None:
    """Show the degrees of the verdict and two numbers that every view is about."""
    side = result.sides[result.side]
    counts = {degree: len(result.named(degree)) for degree in DEGREE_WORDS}
    counts[NOT_JUDGED] += len(result.named(NOT_COMPARABLE))
    judged = counts[FLAGGED] + counts[SUSPECT] + counts[KEPT]
    columns = st.columns(6)
    for column, (degree, words) in zip(columns, DEGREE_WORDS.items(), strict=False):
        value = f"{counts[degree]} of {judged}" if degree == FLAGGED else counts[degree]
        column.metric(degree.capitalize(), value, help=words)
    columns[4].metric(
        "Margin",
        times(min(side.margin, 999.0)) if side.margin == side.margin else "–",
        help="Lowest score above the line over the highest below it: how clear the verdict is.",
    )
    columns[5].metric(
        "Shared rank", result.rank, help=f"Directions in each module, {result.side} side."
    )


def verdict(result: Audit, theme: ThemeName) -> None:
    """Draw the scores, say why the flagged and the suspects are, and list all in a table."""
    show_chart(client_scores(result, theme), "adapters_scores")
    _listed("Why", result.named(FLAGGED) + result.named(SUSPECT), mark=True)
    client_table(result)


def client_table(result: Audit) -> None:
    """Show a row per judged client: flagged ones first, then suspects, most suspicious first."""
    rows = []
    for client in result.ranked:
        if client.verdict in (NOT_JUDGED, NOT_COMPARABLE):
            continue
        module, most = client.where[0] if client.where else ("", float("nan"))
        numbers = {
            "score": client.score,
            "score / line": client.margin,
            "‖S‖": client.norm,
            "times typical": most,
        }
        known = {name: None if value != value else value for name, value in numbers.items()}
        row = {"client": client.name, "verdict": client.verdict, **known}
        rows.append({**row, "deviates most in": module, "rank": client.rank})
    columns: dict[str, Any] = {
        name: st.column_config.NumberColumn(format="%.2f")
        for name in ("score", "score / line", "‖S‖", "times typical")
    }
    columns["deviates most in"] = st.column_config.TextColumn(width="large")
    st.dataframe(
        rows, hide_index=True, width="stretch", column_config=columns, key="adapters_clients"
    )
    if len(rows) > len(result.judged_clients):
        st.caption(
            "Without numbers: judged in the place of the client whose vote they share, one site or "
            "one update, one vote."
        )


def not_judged(result: Audit) -> None:
    """List every adapter that could not be judged, with the full reason."""
    _listed("Not judged", result.named(NOT_COMPARABLE) + result.named(NOT_JUDGED))


def _listed(title: str, clients: Sequence[ClientReport], *, mark: bool = False) -> None:
    """List clients with their reasons in full; a table would cut them off."""
    if not clients:
        return
    lines = []
    for client in clients:
        why = "; ".join(client.reasons).removeprefix(f"{client.name}: ")
        degree = f", {client.verdict}" * (mark or client.verdict == NOT_COMPARABLE)
        lines.append(f"* **{plain(client.name)}**{degree}: {plain(why)}")
    with st.container(border=True, height="content" if len(lines) < 9 else 300):
        st.markdown("\n".join([f"{title}:", "", *lines]))


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


def kinds(result: Audit, theme: ThemeName) -> None:
    """Compare the kinds of evidence in a chart and a table."""
    show_chart(evidence_compared(result, theme), "adapters_kinds")
    found = evidence(result)
    rows = [dict(zip(found.heads, row, strict=True)) for row in found.rows]
    st.dataframe(rows, hide_index=True, width="stretch", key="adapters_evidence")


def where(result: Audit, theme: ThemeName) -> None:
    """Draw all clients by module, and one of them by layer and kind of module."""
    show_chart(deviation_map(result, theme), "adapters_map")
    names = [client.name for client in result.judged_clients]
    worst = max(range(len(names)), key=lambda k: result.judged_clients[k].score)
    chosen = st.selectbox(
        "Client",
        range(len(names)),
        index=worst,
        format_func=lambda k: f"{names[k]} ({result.judged_clients[k].verdict})",
        key="adapters_client",
    )
    show_chart(layer_map(result, chosen, theme), "adapters_layers")


def modules(result: Audit, theme: ThemeName) -> None:
    """Show what each module shares, and the rank it suggests."""
    show_chart(shared_energy(result, theme), "adapters_energy")
    rows = [
        {
            "module": module.name,
            "shape": f"{module.shape[0]} × {module.shape[1]}",
            "clients": module.n_clients,
            "shared, output": 100 * module.shared_energy["output"],
            "shared, input": 100 * module.shared_energy["input"],
            "rank, output": module.suggested_rank["output"],
            "rank, input": module.suggested_rank["input"],
        }
        for module in result.modules
    ]
    shares = {
        name: st.column_config.NumberColumn(format="%.0f %%")
        for name in ("shared, output", "shared, input")
    }
    st.dataframe(
        rows, hide_index=True, width="stretch", column_config=shares, key="adapters_modules"
    )


def sides(result: Audit, theme: ThemeName) -> None:
    """Compare the verdicts of the output side and the input side."""
    show_chart(sides_compared(result, theme), "adapters_sides")
    st.markdown("\n".join(f"* {plain(line)}" for line in side_lines(result)))


VIEWS: dict[str, Callable[[Audit, ThemeName], None]] = {
    "verdict": verdict,
    "evidence": kinds,
    "where": where,
    "modules": modules,
    "sides": sides,
}


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
            "Modules": partial(modules_table, result),
            "Evidence": partial(evidence, result),
            "Deviations": partial(deviations, result),
        },
        numbers=partial(audit_json, result),
    )
