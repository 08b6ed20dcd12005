"""Views of the Red team page on what the computer finds: a search as a job, and the record."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clair.app.components.chart import charts_of
from clair.app.kit import jobs
from clair.app.kit.glossary import marked
from clair.app.kit.presenter import presenting
from clair.app.kit.results import show_chart
from clair.app.pages import redteam
from clair.app.pages.redteam_controls import DEFENCE, PLAN
from clair.app.pages.redteam_views import open_row
from clair.figures.palette import PAPERS, ThemeName, role_style, with_alpha
from clair.figures.redteam import attempts_chart, short_label
from clair.jobs import JobState, JobView, Report
from clair.redteam import DEFENCES, Attempt, RedTeamConfig, RedTeamResult, search
from clair.redteam.record import Found, Record, found_of
from clair.redteam.words import cost_words, plan_sentences
from clair.report.redteam_search import record_table
from clair.report.tables import Table
from clair.simulation.attack_plan import AttackPlan

KIND = "redteam"
#: Runs of a defence per second on one core at 20 clients of 32 x 32, measured with the record.
_RATES = {"clair": 14.0, "clair_eb": 11.0, "clair_screen": 12.0, "clair_norms": 8.0, "pca": 18.0}
_OTHER_RATE = 38.0
#: Options of the lab that show a defence of CLAIR's as it was attacked.
_LAB_OPTIONS: dict[str, dict[str, Any]] = {
    "clair_eb": {"pooling": "eb"},
    "clair_screen": {"screen": True},
    "clair_norms": {"detector": "norms"},
}


class Searched(NamedTuple):
    """What is known of a search.

    Attributes
    ----------
    config : RedTeamConfig
    found : Found
    attempts : tuple of Attempt
    where : str
        Where it comes from, in words.
    """

    config: RedTeamConfig
    found: Found
    attempts: tuple[Attempt, ...]
    where: str


def searched(values: Mapping[str, Any]) -> Searched | None:
    """Look up the search that the controls describe: the visitor's own, or what shipped."""
    if redteam.majority(values):
        return None
    config, known = redteam.search_config(values), redteam.record()
    done = jobs.latest_result(KIND)
    if done is not None and done.config == config:
        result: RedTeamResult = done.result
        where = f"Your search: {result.n_fits} runs of the defence, {done.seconds:.0f} s."
        where += "" if result.complete else " You stopped it early; this is the best by then."
        return Searched(config, found_of(result), result.attempts, where)
    if config == known.config.config_of(config.defence):
        found, attempts = known.found[config.defence], known.attempts[config.defence]
        return Searched(config, found, attempts, "A search made beforehand with these settings.")
    return None


def frontiers(values: Mapping[str, Any], own: Searched | None) -> dict[str, tuple[Attempt, ...]]:
    """Collect the attempts on every defence that were made in this federation."""
    config, known = redteam.search_config(values), redteam.record()
    shipped = known.config.config_of(config.defence)
    attempts = dict(known.attempts) if config.spec == shipped.spec else {}
    return attempts | {config.defence: own.attempts if own else ()}


def work(config: RedTeamConfig) -> Callable[[Report, Callable[[], bool]], RedTeamResult]:
    """Return the work of a search for the job pool; cancelled, it ends with what it has."""

    def run(report: Report, cancelled: Callable[[], bool]) -> RedTeamResult:
        return search(config, progress=report, cancelled=cancelled, workers=None)

    return run


def expected_seconds(config: RedTeamConfig) -> float:
    """Estimate the seconds of a search on one core."""
    spec = config.spec
    size = spec.n_clients / 20 * (spec.d_out * spec.d_in) / 32**2
    return config.budget * size / _RATES.get(config.defence, _OTHER_RATE)


def search_sentence(values: Mapping[str, Any], own: Searched | None) -> str:
    """Write the plain sentence of the search."""
    job = jobs.current(KIND)
    if job is not None and job.state.live:
        return f"The computer attacks {DEFENCES[job.config.defence].label}; this is what it tried."
    if redteam.majority(values):
        return "With half of the clients or more there is nothing left to search for: you win."
    if own is None:
        label = DEFENCES[values[DEFENCE.key]].label
        return f"What is the worst that can be done to {label} here? Press Search to find out."
    return own.found.sentence


def search_view(
    values: Mapping[str, Any], own: Searched | None, row: DeltaGenerator, theme: ThemeName
) -> None:
    """Show the search: its button in a row, its progress, and harm against suspicion."""
    jobs.message()
    if redteam.majority(values):
        st.info("Hold fewer than half of the clients to search.", icon=":material/info:")
        return
    job = jobs.current(KIND)
    live = job is not None and job.state.live
    with row:
        _run_button(values, own, live)
    if job is not None and live:
        jobs.watch(jobs.JOB_KINDS[KIND], job, partial(_watch, theme))
        if job.state is JobState.RUNNING:
            return
    elif job is not None and job.state is JobState.FAILED:
        st.error(job.message, icon=":material/error:")
    config = redteam.search_config(values)
    tried = _Hashed(frontiers(values, own))
    chart = charts_of(attempts_chart, tried, config.defence, theme, stage=presenting())
    show_chart(chart, "redteam_attempts", on_click=_clicked)
    if own is not None and not presenting():
        _worst(own)


class _Hashed(dict[str, tuple[Attempt, ...]]):
    """Attempts by defence as a key of charts that are kept: equal if they are."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple((key, len(tried)) for key, tried in self.items()))


def _run_button(values: Mapping[str, Any], own: Searched | None, live: bool) -> None:
    config = redteam.search_config(values)
    seconds = expected_seconds(config)
    st.button(
        "Search",
        key="redteam_run",
        type="primary",
        icon=":material/play_arrow:",
        disabled=live,
        on_click=jobs.start,
        args=(KIND, work(config)),
        # without a key: a search that was stopped early must not answer for a whole one
        kwargs={"config": config, "expected_seconds": seconds},
    )
    where = own.where if own else "Nothing searched here yet."
    st.caption(f"About {jobs.duration(seconds)}. {where}")


def _watch(theme: ThemeName, view: JobView) -> None:
    """Show the best so far while the search runs, and everything it tried."""
    seen = view.progress
    if seen is None:
        return
    label = DEFENCES[view.config.defence].label
    st.caption(
        f"Against {label}: worst so far {seen.worst:.2f} times the oracle's error, "
        f"unflagged {seen.hidden:.2f}. Cancel keeps the best so far."
    )
    attempts = tuple(progress.attempt for progress in view.history)
    chart = attempts_chart({view.config.defence: attempts}, view.config.defence, theme)
    show_chart(chart, "redteam_attempts")


def _clicked(text: Any) -> None:
    """Open the attempt that was clicked as the visitor's attack; a callback of the chart."""
    if isinstance(text, list):
        text = text[0] if text else None
    if isinstance(text, str) and PLAN.valid(text):
        redteam.use_plan(AttackPlan.from_text(text))


def _worst(own: Searched) -> None:
    """Say what the worst unflagged attack sends, and open it where its draw is seen."""
    config, found = own.config, own.found
    lines = plan_sentences(found.plan, config.spec.n_contaminated)
    st.markdown(
        marked(
            f"**The worst undetected attack** gives {found.harm:.2f} times the oracle's error, "
            f"as a mean over fresh draws; the buttons open the worst of them, seed {found.seed}."
            "\n\n" + "\n".join(f"* {line}" for line in lines)
        ),
        unsafe_allow_html=True,
    )
    _openers("redteam_worst", config, found)


def _openers(key: str, config: RedTeamConfig, found: Found) -> None:
    spec = replace(config.spec, seed=found.seed)
    options = _LAB_OPTIONS.get(config.defence, {})
    open_row(key, spec, found.plan, config.rank, use=True, **options)


# -- what defeats what -------------------------------------------------------------------------


def record_sentence(record: Record) -> str:
    """Write the plain sentence of the record."""
    ratios = {key: record.found[key].harm / record.alone[key] for key in record.alone}
    rules = {key: value for key, value in ratios.items() if not key.startswith("clair")}
    least = min(rules, key=lambda key: rules[key])
    former, clair = ratios["clair_former"], ratios["clair"]
    return (
        f"The worst unflagged attack that the computer found adds {cost_words(clair - 1)} to the "
        f"honest clients' error under CLAIR, and {cost_words(former - 1)} under the former rule. "
        f"Of the others {DEFENCES[least].label} loses least, {cost_words(rules[least] - 1)}."
    )


def table_view(record: Record, theme: ThemeName) -> None:
    """Show what defeats which defence, and open the worst attack on one of them."""
    table = record_table(record)
    st.html(_colored(table, theme, ".16rem .3rem" if presenting() else ".3rem .4rem"))
    st.caption(table.caption)
    if presenting():
        return
    spec, search_of = record.config.search.spec, record.config.search
    st.caption(
        f"Made beforehand: {spec.n_contaminated} of {spec.n_clients} clients held, rank "
        f"{spec.rank}, noise {spec.noise:g}, {search_of.budget} runs of each defence in its search."
    )
    with st.container(width=360):
        chosen = st.selectbox(
            "The worst attack found against",
            list(record.found),
            format_func=lambda key: DEFENCES[key].label,
            key="redteam_against",
        )
    found = record.found[chosen]
    lines = plan_sentences(found.plan, spec.n_contaminated)
    st.markdown(
        marked("\n".join([found.sentence, "", *(f"* {line}" for line in lines)])),
        unsafe_allow_html=True,
    )
    _openers("redteam_table", record.config.config_of(chosen), found)


def _colored(table: Table, theme: ThemeName, room: str) -> str:
    """Write a table of multiples as HTML: the larger, the stronger the colour."""
    paper, color = PAPERS[theme], role_style("contaminated", theme).color
    side = f"text-align:left;position:sticky;left:0;background:{paper.background};"
    head = "".join(
        f'<th scope="col" style="padding:{room};font-weight:500;vertical-align:bottom;'
        f'{side if i == 0 else "text-align:center;"}">{html.escape(text)}</th>'
        for i, text in enumerate(["", *map(short_label, table.columns[1:])])
    )
    body = ""
    for name, *values in table.rows:
        cells = "".join(
            f'<td style="padding:{room};text-align:center;border:1px solid {paper.background};'
            f'background:{with_alpha(color, _strength(float(value or 0)))}">'
            f"{_multiple(float(value or 0))}</td>"
            for value in values
        )
        body += (
            f'<tr><th scope="row" style="{side}padding:{room};font-weight:500;'
            f'white-space:nowrap">{html.escape(str(name))}</th>{cells}</tr>'
        )
    return (
        '<div tabindex="0" role="region" aria-label="What defeats which defence" '
        f'style="overflow-x:auto"><table style="border-collapse:collapse;width:100%;'
        f'min-width:760px;font-size:.85rem;color:{paper.ink}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _strength(multiple: float) -> float:
    """Grow from 0.04 at 1 and below to 0.55 at ten times and above, with the logarithm."""
    return 0.04 + 0.51 * min(max(math.log10(max(multiple, 1.0)), 0.0), 1.0)


def _multiple(value: float) -> str:
    if value >= 1000:
        return "&gt; 1000"
    return f"{value:.2f}" if value < 2 else f"{value:.1f}" if value < 10 else f"{value:.0f}"
