"""Repeated draws on the screen: how many, run, watch, and what they gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import streamlit as st

from clair.app.kit import jobs
from clair.app.kit.results import draw_blocks
from clair.app.kit.state import Control
from clair.cancellation import Cancelled
from clair.figures.palette import ThemeName
from clair.jobs import JobState, Report, Work
from clair.report.repeats import Sides, repeat_blocks
from clair.simulation.scenario import Scenario, ScenarioResult
from clair.simulation.sweeps.grid import SweepConfig
from clair.simulation.sweeps.repeats import Repeats, repeats_of
from clair.simulation.sweeps.run import SweepProgress, run_sweep
from clair.simulation.sweeps.store import load

#: Draws a second on two free cores, at 20 clients of 32 x 32: 0.042 s of one core for a draw.
RATE = 40.0

DRAWS = Control(
    "draws",
    "Draws",
    "segment",
    1,
    "One draw is one throw of the dice: another seed gives other numbers. With more, the Errors "
    "view draws the same settings again under the seeds that follow, and gives every method a mean "
    "with its interval. All else on the page is about the first draw.",
    options=((1, "1"), (10, "10"), (30, "30"), (100, "100")),
    group="view",
)


def kept_repeats(scenarios: Mapping[str, Scenario], draws: int) -> Sides | None:
    """Look up the draws of one or two scenarios; None unless all are there."""
    if draws == 1:
        return None
    found = {name: load(repeats_of(one, draws)).result for name, one in scenarios.items()}
    if not all(result.complete for result in found.values()):
        return None
    return {name: Repeats.of(result) for name, result in found.items()}


def repeat_panel(
    kind: str, results: Mapping[str, ScenarioResult], draws: int, theme: ThemeName
) -> None:
    """Draw Run, a run under way, or what the draws gave; with one draw, how to have more.

    Parameters
    ----------
    kind : str
        Of the page and its jobs.
    results : mapping of str to ScenarioResult
        One entry named "", or two named "A" and "B".
    draws : int
    theme : {"light", "dark"}
    """
    if draws == 1:
        st.caption(
            "This is one draw. How far do others differ? Set *Draws*, among the settings, to 10, "
            "30 or 100 for means with intervals."
        )
        return
    scenarios = {name: result.scenario for name, result in results.items()}
    sides = kept_repeats(scenarios, draws)
    job = jobs.current(kind)
    jobs.message()
    if job is not None and job.state.live:
        jobs.watch(jobs.JOB_KINDS[kind], job, lambda _: None)
    elif job is not None and job.state is JobState.FAILED:
        st.error(job.message, icon=":material/error:")
    if sides is not None:
        chosen = {name: result.chosen for name, result in results.items()}
        draw_blocks(repeat_blocks(sides, chosen), theme)
    elif job is None or not job.state.live:
        _run_row(kind, [repeats_of(one, draws) for one in scenarios.values()])


def _run_row(kind: str, configs: list[SweepConfig]) -> None:
    """Draw the Run button, how long the run takes, and what is already there."""
    done = sum(int(load(config).result.done.sum()) for config in configs)
    total = sum(config.n_cells for config in configs)
    base = configs[0].base
    size = base.n_clients / 20 * base.d_out * base.d_in / 32**2
    seconds = (total - done) * max(size, 0.3) / RATE + 4  # the processes have to start
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.button(
            "Continue" if done else "Run",
            key=f"{kind}_repeat",
            type="primary",
            icon=":material/play_arrow:",
            on_click=jobs.start,
            args=(kind, _work(tuple(configs))),
            kwargs={
                "config": tuple(configs),
                "key": tuple(config.digest for config in configs),
                "expected_seconds": seconds,
            },
        )
        kept = f" {done} of {total} are kept from before." if done else ""
        st.caption(
            f"{total - done} draws, every method on each: about {jobs.duration(seconds)} on two "
            f"free cores.{kept}"
        )


def _work(configs: tuple[SweepConfig, ...]) -> Work:
    """Make the work of all sides for the job pool, with one progress over them."""

    def run(report: Report, cancelled: Callable[[], bool]) -> None:
        total = sum(config.n_cells for config in configs)
        for number, config in enumerate(configs):
            before = sum(one.n_cells for one in configs[:number])

            def tell(progress: SweepProgress, before: int = before) -> None:
                report(replace(progress, step=before + progress.step, total_steps=total))

            if not run_sweep(config, progress=tell, cancelled=cancelled).complete:
                raise Cancelled("the draws were cancelled")

    return run
