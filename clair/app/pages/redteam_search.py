"""The search of the Red team page: a job, what it finds, and the ways to other pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clair.app.kit import jobs
from clair.app.kit.presenter import presenting
from clair.app.kit.results import draw_blocks
from clair.app.pages import redteam
from clair.app.pages.redteam_controls import PLAN
from clair.app.pages.redteam_views import open_row
from clair.figures.palette import ThemeName
from clair.jobs import JobState, JobView, Report
from clair.redteam import DEFENCES, RedTeamConfig, RedTeamResult, search
from clair.redteam.record import Found, found_of
from clair.report.blocks import Live
from clair.report.redteam_search import ATTEMPTS, Attempts, search_view
from clair.simulation.attack_plan import AttackPlan

KIND = "redteam"
#: Runs of a defence per second on one core at 20 clients of 32 x 32, measured with the record.
_RATES = {
    "clair": 14.0,
    "clair_eb": 11.0,
    "clair_screen": 12.0,
    "clair_halves": 13.0,
    "clair_norms": 8.0,
    "pca": 18.0,
}
_OTHER_RATE = 38.0
#: Options of the lab that show a defence of CLAIR's as it was attacked.
_LAB_OPTIONS: dict[str, dict[str, Any]] = {
    "clair_eb": {"pooling": "eb"},
    "clair_screen": {"screen": True},
    "clair_halves": {"halves": True},
    "clair_norms": {"detector": "norms"},
}


class Searched(NamedTuple):
    """What is known of a search.

    Attributes
    ----------
    config : RedTeamConfig
    found : Found or None
        None as long as there is no such search.
    attempts : tuple of (defence, attempts)
        All that was tried in this federation, on every defence.
    where : str
        Where it comes from, in words.
    """

    config: RedTeamConfig
    found: Found | None
    attempts: Attempts
    where: str


def searched(values: Mapping[str, Any]) -> Searched | None:
    """Look up the search that the controls describe: the visitor's own, or what shipped.

    Returns
    -------
    Searched or None
        None for a majority, which needs no search.
    """
    if redteam.majority(values):
        return None
    config, known = redteam.search_config(values), redteam.record()
    key, shipped = config.defence, known.config.config_of(config.defence)
    others = dict(known.attempts) if config.spec == shipped.spec else {}
    done = jobs.latest_result(KIND)
    if done is not None and done.config == config:
        result: RedTeamResult = done.result
        where = f"Your search: {result.n_fits} runs of the defence, {done.seconds:.0f} s."
        where += "" if result.complete else " You stopped it early; this is the best by then."
        tried = tuple((others | {key: result.attempts}).items())
        return Searched(config, found_of(result), tried, where)
    if config == shipped:
        where = "A search made beforehand with these settings."
        return Searched(config, known.found[key], tuple(others.items()), where)
    others.pop(key, None)
    return Searched(config, None, tuple(others.items()), "Nothing searched here yet.")


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


def search_sentence(own: Searched | None) -> str:
    """Write the plain sentence of the search."""
    job = jobs.current(KIND)
    if job is not None and job.state.live:
        return f"The computer attacks {DEFENCES[job.config.defence].label}; this is what it tried."
    if own is None:
        return "With half of the clients or more there is nothing left to search for: you win."
    if own.found is None:
        label = DEFENCES[own.config.defence].label
        return f"What is the worst that can be done to {label} here? Press Search to find out."
    return own.found.sentence


def draw_search(own: Searched | None, row: DeltaGenerator, theme: ThemeName) -> None:
    """Draw the search: its button in a row, its progress, and harm against suspicion."""
    jobs.message()
    if own is None:
        st.info("Hold fewer than half of the clients to search.", icon=":material/info:")
        return
    job = jobs.current(KIND)
    live = job is not None and job.state.live
    with row:
        _run_button(own, live)
    if job is not None and live:
        jobs.watch(jobs.JOB_KINDS[KIND], job, partial(_watch, theme))
        if job.state is JobState.RUNNING:
            return
    elif job is not None and job.state is JobState.FAILED:
        st.error(job.message, icon=":material/error:")
    config, tried, found = own.config, own.attempts, own.found
    blocks = search_view(config, tried, found, stage=presenting(), opener=opener)
    draw_blocks(blocks, theme, clicks={ATTEMPTS: _clicked})


def _run_button(own: Searched, live: bool) -> None:
    seconds = expected_seconds(own.config)
    st.button(
        "Search",
        key="redteam_run",
        type="primary",
        icon=":material/play_arrow:",
        disabled=live,
        on_click=jobs.start,
        args=(KIND, work(own.config)),
        # without a key: a search that was stopped early must not answer for a whole one
        kwargs={"config": own.config, "expected_seconds": seconds},
    )
    st.caption(f"About {jobs.duration(seconds)}. {own.where}")


def _watch(theme: ThemeName, view: JobView) -> None:
    """Show the best so far while the search runs, and everything it tried."""
    seen, config = view.progress, view.config
    if seen is None:
        return
    st.caption(
        f"Against {DEFENCES[config.defence].label}: worst so far {seen.worst:.2f} times the "
        f"oracle's error, unflagged {seen.hidden:.2f}. Cancel keeps the best so far."
    )
    tried = tuple(progress.attempt for progress in view.history)
    draw_blocks(search_view(config, ((config.defence, tried),)), theme, private=True)


def _clicked(text: Any) -> None:
    """Open the attempt that was clicked as the visitor's attack; a callback of the chart."""
    if isinstance(text, list):
        text = text[0] if text else None
    if isinstance(text, str) and PLAN.valid(text):
        redteam.use_plan(AttackPlan.from_text(text))


def opener(key: str, config: RedTeamConfig, found: Found) -> Live:
    """Make the buttons that open an attack where its draw is seen."""
    spec = replace(config.spec, seed=found.seed)
    options = _LAB_OPTIONS.get(config.defence, {})
    return Live(lambda theme: open_row(key, spec, found.plan, config.rank, use=True, **options))
