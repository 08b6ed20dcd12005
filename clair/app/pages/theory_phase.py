"""Section of the Theory page with phase diagrams: run, watch, read, and open a cell in the lab."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import streamlit as st

from clair._files import ASSETS
from clair.app.kit import jobs
from clair.app.kit.content import content
from clair.app.kit.controls import show
from clair.app.kit.exports import Export
from clair.app.kit.layout import sentence
from clair.app.kit.presenter import presenting
from clair.app.kit.results import draw_blocks
from clair.app.kit.shared import shared
from clair.app.kit.state import open_screen
from clair.app.pages import lab
from clair.app.pages.theory import PHASE, SWEPT, SWEPT_OPTIONS, spec_of
from clair.app.pages.theory_frame import claims, export_of, intro, tools
from clair.cancellation import Cancelled
from clair.figures.base import Chart
from clair.figures.palette import ThemeName
from clair.figures.phase import phase_diagram
from clair.jobs import JobState, JobView, Report
from clair.method.choices import DETECTORS
from clair.report.blocks import Block, Words, plot
from clair.report.studies import phase_study
from clair.report.sweep_figure import success_svg
from clair.report.theory import Told
from clair.simulation.attacks import ATTACKS
from clair.simulation.sweeps.axes import CHOICES
from clair.simulation.sweeps.grid import (
    AXIS_TITLES,
    METHODS,
    Axis,
    SweepConfig,
    SweepResult,
    cell_options,
    cell_spec,
    obstacle,
)
from clair.simulation.sweeps.run import SweepProgress, run_sweep
from clair.simulation.sweeps.store import KEPT_IN_MEMORY, Kept, load, read_result
from clair.theory.boundary import has_boundary, predicted

KIND = "theory"
CHART = "theory_phase"
DEFAULT = ASSETS / "theory" / "phase_default.jsonl"
RATES = ASSETS / "theory" / "rates.json"

#: Values of each axis at the fine resolution, all of them steps of the lab's sliders.
FINE: dict[str, tuple[Any, ...]] = {
    "poisoned_fraction": tuple(round(0.05 * i, 2) for i in range(13)),
    "rank": tuple(range(1, 9)),
    "n_clients": tuple(range(6, 46, 2)),
    "noise": tuple(round(0.01 * i, 2) for i in range(20)),
    "off_subspace": tuple(round(0.1 * i, 1) for i in range(20)),
    "attack_scale": (*(round(0.1 * i, 1) for i in range(1, 21)), 3.0, 4.0, 6.0, 8.0, 10.0),
    "heterogeneity": tuple(round(0.1 * i, 1) for i in range(21)),
    "unevenness": tuple(round(0.1 * i, 1) for i in range(21)),
    "data_spread": tuple(round(0.1 * i, 1) for i in range(21)),
    "second_share": tuple(round(0.1 * i, 1) for i in range(11)),
    "attack": tuple(ATTACKS),
    "second_attack": tuple(ATTACKS),
    "detector": tuple(DETECTORS),
    "threshold": tuple(round(0.1 * i, 1) for i in range(1, 21)),
    "screen_coefficients": (False, True),
}
#: What a measure of success is a share of, where it has another name.
_QUANTITY = {"error": "subspace_error"}
_SAME_NAME = ("attack", "heterogeneity", "d_out", "d_in", "seed")


def config_of(values: Mapping[str, Any]) -> SweepConfig | None:
    """Build the sweep that the controls describe; None if both axes are the same."""
    x, y = values["th_x"], values["th_y"]
    if x == y:
        return None
    coarse = values["th_grid"] == "coarse"

    def axis(name: str) -> Axis:
        fine = FINE[name]
        return Axis(name, fine[::2] if coarse and len(fine) > 10 and name not in CHOICES else fine)

    base = spec_of(values, further=True)
    trials = 5 if coarse else 10
    return SweepConfig(base, (axis(x), axis(y)), trials, METHODS[values["th_method"]])


@cache
def _shipped() -> SweepResult:
    return read_result(DEFAULT)


@cache
def _rates() -> dict[str, float]:
    """Estimate fits per second on two free cores by method, from recorded work of one core."""
    recorded = json.loads(RATES.read_text(encoding="utf-8"))
    return {m: 2 * recorded[m]["fits_per_core_second"] for m in ("residual", "norms")}


def stored(config: SweepConfig) -> Kept:
    """Look up what is known of a sweep: shipped with the app, or computed here before."""
    return Kept(_shipped()) if config == _shipped().config else load(config)


def expected_seconds(config: SweepConfig, missing: int) -> float:
    """Estimate the seconds for the missing cells on two cores."""
    clients = float(config.base.n_clients)
    if "n_clients" in config.axes:
        axis = config.x if config.x.name == "n_clients" else config.y
        clients = float(np.mean(axis.values))
    size = clients / 20 * (config.base.d_out / 32) ** 2
    return missing * config.trials * size / _rates()[config.method or "norms"]


@shared(most=32)
def boundary(config: SweepConfig, quantity: str) -> np.ndarray | None:
    """Predict the probability of the exact set, or the subspace error, of every cell."""
    return predicted(config, _QUANTITY.get(quantity, quantity))


def work(config: SweepConfig) -> Callable[[Report, Callable[[], bool]], SweepResult]:
    """Return the work of a sweep for the job pool."""

    def run(report: Report, cancelled: Callable[[], bool]) -> SweepResult:
        result = run_sweep(config, progress=report, cancelled=cancelled)
        if not result.complete:
            raise Cancelled("the sweep was cancelled")
        return result

    return run


def lab_values(config: SweepConfig, cell: int, trial: int) -> dict[str, Any]:
    """Collect all of the lab's values that show exactly the problem of a trial."""
    spec = cell_spec(config, cell, trial)
    values = {control.key: control.default for control in lab.CONTROLS}
    values |= {key: getattr(spec, field) for field, key in SWEPT.items()}
    values |= {key: getattr(spec, key) for key in _SAME_NAME}
    options = cell_options(config, cell)
    chosen = {SWEPT_OPTIONS.get(name, name): value for name, value in options.items()}
    return values | chosen | {"use_rank": spec.rank, "view": "verdict"}


def interesting_trial(result: SweepResult, cell: int) -> int:
    """Choose the first trial that missed the exact set, else the first of all."""
    exact = result.exact.reshape(result.config.n_cells, -1)[cell]
    failed = np.flatnonzero(exact == 0)
    return int(failed[0]) if failed.size else 0


def _open(config: SweepConfig, cell: int) -> None:
    if obstacle(config, cell) is None:
        trial = interesting_trial(stored(config).result, cell)
        open_screen("pages/lab.py", lab.CONTROLS, lab_values(config, cell, trial))


def _clicked(config: SweepConfig, cell: Any) -> None:
    """Open the clicked cell, if it was one; a callback of the chart."""
    if cell is not None:
        _open(config, int(cell[0] if isinstance(cell, (list, tuple)) else cell))


def _chart(result: SweepResult, measure: str, level: float, theme: ThemeName) -> Chart:
    """Draw the diagram, with its boundary if there is one."""
    lines: np.ndarray | None = None
    if _bounded(result.config, measure):
        lines = boundary(result.config, measure)
    at = level if measure == "error" else 0.5
    return phase_diagram(
        result, theme, measure=measure, level=level, boundary=lines, boundary_level=at
    )


def _bounded(config: SweepConfig, measure: str) -> bool:
    return has_boundary(config, _QUANTITY.get(measure, measure))


def _told(result: SweepResult, values: Mapping[str, Any]) -> Told:
    """Describe the diagram, and what it cannot show."""
    config = result.config
    missing = "No boundary is drawn: we have no formula for this method, measure and settings."
    picture: tuple[Block, ...] = (
        plot(CHART, _chart, result, values["th_measure"], values["th_level"]),
        *[Words(missing, "caption")] * (not _bounded(config, values["th_measure"])),
    )
    notes = tuple(Words(reason, "note") for reason in _impossible(config))
    # nothing can be clicked on paper
    about = content("theory")["about"]["phase"].split("Click")[0]
    parts = {"The picture": picture}
    return Told(phase_study(result), _words(result, values), about, (*picture, *notes), parts)


def _take(told: Told, result: SweepResult, values: dict[str, Any]) -> Export:
    """Build the downloads of a finished diagram, with the figure for a paper."""
    drawing = partial(success_svg, result, values["th_measure"], values["th_level"])
    return replace(export_of(told, values), figures={"Phase diagram": drawing})


def phase(values: dict[str, Any], theme: ThemeName) -> None:
    """Show the phase diagram of the chosen axes: shipped, kept, live or yet to be run."""
    head = st.container()
    intro("phase")
    box = st.popover("Axes and measure") if presenting() else st.container(border=True)
    with box:
        first, second = st.columns(3), st.columns(3)
        for place, control in zip((*first, *second), PHASE, strict=True):
            with place:
                idle = control.key == "th_level" and values["th_measure"] == "exact"
                values[control.key] = show(control, disabled=idle)
    config = config_of(values)
    if config is None:
        with head:
            sentence("The two axes must differ.")
            tools(values)
        return
    job = jobs.current(KIND)
    live = job is not None and job.state.live
    kept = stored(config)
    result = kept.result
    told = _told(result, values)
    with head:
        sentence(told.sentence)
        tools(values, _take(told, result, values) if result.complete else None)
        jobs.message()
        _how_kept(kept)
    missing = int((~result.done).sum())
    if job is not None and job.state.live:
        jobs.watch(jobs.JOB_KINDS[KIND], job, lambda view: _watch(view, values, theme))
    elif job is not None and job.state is JobState.FAILED:
        st.error(job.message, icon=":material/error:")
    if missing and not live:
        _run_row(config, missing, job)
    shown_live = live and job is not None and job.config == config
    picture = told.parts["The picture"] if result.done.any() and not shown_live else ()
    notes = () if presenting() else told.whole[len(told.parts["The picture"]) :]
    clicks = {CHART: partial(_clicked, config)}
    # what is read from the disk is another object every time: to keep its drawing would be useless
    draw_blocks((*picture, *notes), theme, private=result is not _shipped(), clicks=clicks)
    if presenting():
        return
    if result.done.any():
        _by_hand(config)
    claims("sets" if values["th_measure"] != "error" else "stable")


def _how_kept(kept: Kept) -> None:
    """Say what is unusual about where the cells are kept."""
    if kept.damaged:
        lines = "line" if kept.damaged == 1 else "lines"
        st.warning(
            f"The file in which this server kept the diagram was damaged: {kept.damaged} {lines} "
            "of it could not be read and are dropped. What they held is computed again by Run.",
            icon=":material/info:",
        )
    if not kept.on_disk:
        st.warning(
            "These results are not kept on disk, because this server cannot write its folder for "
            "them. They are in its memory, and gone when it restarts or after "
            f"{KEPT_IN_MEMORY} later diagrams. Take away what you need.",
            icon=":material/info:",
        )


def _run_row(config: SweepConfig, missing: int, job: JobView | None) -> None:
    """Draw the Run button, how long the run takes, and what is already there."""
    seconds = expected_seconds(config, missing)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.button(
            "Run" if missing == config.n_cells else "Continue",
            key="theory_run",
            type="primary",
            icon=":material/play_arrow:",
            on_click=jobs.start,
            args=(KIND, work(config)),
            kwargs={"config": config, "key": config.digest, "expected_seconds": seconds},
        )
        rows, columns = config.shape
        text = f"{columns} × {rows} cells of {config.trials} problems, "
        text += f"{missing * config.trials} fits to do: "
        text += f"about {jobs.duration(seconds)} on two free cores"
        if missing < config.n_cells:
            text += f". {config.n_cells - missing} cells are kept from before"
        if job is not None and job.state is JobState.CANCELLED:
            text += f". {job.message} Nothing" if job.message else ". Cancelled; nothing"
            text += " that was finished is lost"
        st.caption(text + ".")


def _watch(view: JobView, values: Mapping[str, Any], theme: ThemeName) -> None:
    """Show what is finished so far, while the sweep runs."""
    seen = view.progress
    if isinstance(seen, SweepProgress) and seen.rate:
        st.caption(f"{seen.rate:.0f} fits a second")
    result = load(view.config).result
    if result.done.any():
        draw_blocks(_told(result, values).parts["The picture"], theme, private=True)


def _words(result: SweepResult, values: Mapping[str, Any]) -> str:
    """Write the plain sentence: how far success reaches, or what to do to see it."""
    x, y = (AXIS_TITLES[name][0] for name in result.config.axes)
    if not result.done.any():
        return f"How does success depend on {x} and {y}? Press Run to find out."
    share = result.success(values["th_measure"], values["th_level"])
    known = ~np.isnan(share)
    sure, never = int((share[known] >= 0.9).sum()), int((share[known] <= 0.1).sum())
    between = int(known.sum()) - sure - never
    who = "The convex program" if result.config.method == "norms" else "CLAIR"
    return (
        f"{who} succeeds nearly always in {sure} of {int(known.sum())} settings and nearly never "
        f"in {never}; only {between} lie between, so the change is sharp."
        if between <= 0.25 * known.sum()
        else f"{who} succeeds nearly always in {sure} of {int(known.sum())} settings, nearly "
        f"never in {never}, and sometimes in {between}."
    )


def _impossible(config: SweepConfig) -> list[str]:
    """List the reasons for empty cells, and what no diagram can show."""
    reasons = {obstacle(config, cell) for cell in range(config.n_cells)} - {None}
    notes = [f"Empty cells have no result: {reason}." for reason in sorted(map(str, reasons))]
    if "poisoned_fraction" in config.axes:
        notes.append(
            "From a poisoned fraction of one half on the poisoned clients are the majority, and "
            "any rule that trusts a majority must fail: nothing in the updates says which group is "
            "the honest one."
        )
    return notes


def _by_hand(config: SweepConfig) -> None:
    """Draw the controls that open a cell without a mouse."""
    with st.expander("Open a cell without clicking"):
        columns = st.columns([2, 2, 1], vertical_alignment="bottom")
        chosen: list[int] = []
        for place, axis in zip(columns, (config.x, config.y), strict=False):
            title = AXIS_TITLES[axis.name][0]
            with place:
                chosen.append(
                    st.selectbox(
                        title,
                        range(len(axis.values)),
                        format_func=axis.texts.__getitem__,
                        key=f"theory_cell_{axis.name}",
                    )
                )
        cell = chosen[1] * config.shape[1] + chosen[0]
        columns[2].button(
            "Open in the lab",
            key="theory_open",
            on_click=_open,
            args=(config, cell),
            disabled=obstacle(config, cell) is not None,
        )
