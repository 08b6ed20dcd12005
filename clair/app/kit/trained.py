"""The page of a trained task, the same for every task: run, watch, judge, compare, take away.

A task's page declares what only it has (`TrainedPage`): controls, words, measures, samples. The
order on the page, the job panel and the result panels are here.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import streamlit as st

from clair.app.kit import jobs, results
from clair.app.kit.content import content
from clair.app.kit.controls import show, show_all
from clair.app.kit.explained import blind_spot_link
from clair.app.kit.exports import Export, screen_of
from clair.app.kit.extra import Extra
from clair.app.kit.layout import header, sentence, settings, toolbar
from clair.app.kit.opening import opening_words
from clair.app.kit.presenter import presenting, register_views
from clair.app.kit.scheme import current_theme
from clair.app.kit.shared import shared
from clair.app.kit.state import Control, Preset, accept_ids_from_url
from clair.app.kit.task_controls import chosen
from clair.app.kit.trained_words import (
    duration_words,
    guess_words,
    rounds_of,
    rounds_words,
    running_words,
    shown_words,
    time_words,
)
from clair.federated.progress import further_costs
from clair.federated.task_result import TaskResult
from clair.figures.comparison import Measure
from clair.figures.palette import ThemeName
from clair.jobs import JobState, JobView, Report
from clair.report.blocks import Parts, View, Words, columns
from clair.report.rounds import accuracy_view, verdict_rounds_view
from clair.report.tasks import (
    TaskStory,
    loss_plot,
    task_export,
    task_facts,
    verdict_view,
    worth_view,
)

Work = Callable[[Report, Callable[[], bool]], TaskResult]


@dataclass(frozen=True)
class TrainedPage:
    """What one task's page has of its own.

    Attributes
    ----------
    kind, title : str
        Stem of the page's file, and its heading.
    report_title, command : str
        Heading of the report; name of the command that runs the task.
    prefix : str
        How the keys of its controls begin.
    controls : sequence of Control
        From `clair.app.kit.task_controls.TaskControls`: each sets a field of the config.
    presets : sequence of Preset
    config : type
        The task's frozen config; has `n_clients`, `n_poisoned`, `steps`, `device`, `threads`.
    run : str
        "module:function" of the job, imported when it starts: ``f(config, progress=, cancelled=)``.
    asset : Path
        The precomputed run of the default config.
    result : type
        What the task returns.
    measures : callable
        Maps an outcome to the measures of its scores; the page opens with the first one.
    setting_words : callable
        Maps a config to a description of what happens on this page.
    truth : callable
        Maps a config to who is contaminated, boolean by client.
    load : callable
        Imports what a run needs.
    samples : View or None
        Shows the samples of an outcome.
    caveats : callable
        Maps an outcome to sentences about where it does not hold.
    extra : Extra or None
        What has to be installed before a run is possible.
    views : callable or None
        Maps an outcome, and whether the truth may be told, to what there is to see of it but for
        the losses; by default that of a task with every method.
    """

    kind: str
    title: str
    report_title: str
    command: str
    prefix: str
    controls: Sequence[Control]
    presets: Sequence[Preset]
    config: Callable[..., Any]
    run: str
    asset: Path
    result: type[TaskResult]
    measures: Callable[[TaskResult], Mapping[str, Measure]]
    setting_words: Callable[[Any], str]
    truth: Callable[[Any], np.ndarray]
    load: Callable[[], object]
    samples: View | None
    caveats: Callable[[TaskResult], list[str]]
    extra: Extra | None = None
    views: Callable[[TaskResult, bool], Sequence[View]] | None = None

    @property
    def texts(self) -> dict[str, str]:
        """The words used on the page, and what was seen on fresh runs."""
        return dict(content("tasks")[self.kind])

    @property
    def reveal(self) -> Control:
        """Control that says when the truth is shown."""
        return Control(
            f"{self.prefix}_reveal",
            "Show who is truly poisoned",
            "segment",
            "end",
            "To let an audience guess: keep it hidden, even after the run. CLAIR never sees it.",
            options=(("end", "after the run"), ("start", "from the start"), ("never", "not yet")),
            group="view",
        )

    def config_of(self, values: Mapping[str, Any]) -> Any:
        """Build the settings of a run from the values of the controls."""
        settings = chosen(self.controls, values)
        if "poison_from" in settings:  # a slider does not know how many rounds there are
            settings["poison_from"] = min(settings["poison_from"], settings["rounds"])
        return self.config(**settings)

    def default_outcome(self) -> TaskResult:
        """Read the precomputed run that ships with the app."""
        return _read_default(self.asset, self.result)

    def expected_seconds(self, config: Any) -> float:
        """Estimate a run's seconds from the measured stages of the precomputed run."""
        reference = self.default_outcome()
        base = reference.config
        clients = config.n_clients / base.n_clients
        steps = clients * config.steps / base.steps
        honest = (config.n_clients - config.n_poisoned) / (base.n_clients - base.n_poisoned)
        factors = {"train": steps, "finetune": steps, "clair": clients, "evaluate": honest}
        first = {stage: s * factors.get(stage, 1.0) for stage, s in reference.seconds.items()}
        rounds, before = rounds_of(config), rounds_of(base)
        if before > 1:  # a federation in which all rounds are alike
            return sum(first.values()) * rounds / before
        return sum(first.values()) + (rounds - 1) * sum(further_costs(first).values())

    def differences(self, now: Any, shown: Any) -> list[str]:
        """List in words how the settings on the screen differ from those of a result."""
        words = []
        for control in self.controls:
            new, old = getattr(now, control.field), getattr(shown, control.field)
            if new != old:
                words.append(
                    f"{control.label.lower()} {control.words(new)} instead of {control.words(old)}"
                )
        return words

    def work(self, config: Any) -> Work:
        """Build the work of a run for the job pool; torch loads when it starts."""

        def run(report: Report, cancelled: Callable[[], bool]) -> TaskResult:
            module, name = self.run.split(":")
            function = getattr(importlib.import_module(module), name)
            result: TaskResult = function(config, progress=report, cancelled=cancelled)
            return result.light()

        return run


#: Runs that are expected to take longer are not started from a page.
MOST_SECONDS = 15 * 60.0


def show_page(page: TrainedPage) -> None:
    """Draw the page of a trained task; call `guard` first."""
    register_views()
    place = header(page.title)
    theme = current_theme()
    job = jobs.current(page.kind)
    live = job is not None and job.state.live
    kept = jobs.latest_result(page.kind)
    outcome: TaskResult = kept.result if kept is not None else page.default_outcome()
    with settings(place):
        values = show_all(page.controls)
    config = page.config_of(values)

    said = st.container()  # filled below, once the controls are read
    jobs.message()
    if not presenting():
        st.markdown(_setting(page, config))
        with st.expander("The words used on this page"):
            st.markdown(page.texts["glossary"])
    blind_spot_link(config.attack)
    toolbar(page.kind, page.controls, page.presets, values, take=export_of(page, outcome))
    changed = page.differences(config, outcome.config)
    from_where = shown_words(kept, changed, waiting=live)
    reveal = _run_row(page, config, live, from_where)
    with said:
        sentence(_sentence(job if live else None, outcome, reveal, stale=bool(changed)))

    if job is not None and live:
        jobs.watch(jobs.JOB_KINDS[page.kind], job, _live(page, theme, reveal))
        if job.state is JobState.RUNNING:
            st.stop()
    elif job is not None and job.state is JobState.FAILED:
        st.error(job.message, icon=":material/error:")
    elif job is not None and job.state is JobState.CANCELLED:
        words = job.message or "Cancelled; nothing of that run is kept."
        st.info(words, icon=":material/info:")
    if not presenting():
        first = kept is None and not changed
        st.caption(f"{from_where} {opening_words(page.kind)}" if first else from_where)
    _result(page, outcome, theme, truth_shown=reveal != "never")


def _setting(page: TrainedPage, config: Any) -> str:
    """Describe what happens on the page, and in how many rounds."""
    return f"{page.setting_words(config)} {rounds_words(config)}".strip()


def views(page: TrainedPage, outcome: TaskResult, *, reveal: bool = True) -> tuple[View, ...]:
    """List what there is to see of a run, with or without the truth."""
    losses = loss_plot(
        page.kind,
        outcome.loss_history,
        total_steps=len(outcome.loss_history),
        contaminated=outcome.contaminated if reveal else None,
    )
    shown = (page.views or partial(_task_views, page))(outcome, reveal)
    return (*shown, View("How the clients learned", lambda stage=False: (losses,)))


def _task_views(page: TrainedPage, outcome: TaskResult, reveal: bool) -> tuple[View, ...]:
    kind, measures, rounds = page.kind, page.measures(outcome), outcome.rounds
    # what was seen on fresh runs was seen in one round
    fresh = "" if rounds else page.texts["fresh"]
    return (
        verdict_view(kind, outcome, reveal=reveal),
        worth_view(kind, outcome, measures, fresh),
        *([accuracy_view(kind, rounds, measures)] if rounds else []),
        *([verdict_rounds_view(kind, rounds, reveal=reveal)] if rounds else []),
        *(
            [View(page.samples.title, partial(page.samples.blocks, outcome))]
            if page.samples is not None
            else []
        ),
    )


def export_of(page: TrainedPage, outcome: TaskResult) -> Export:
    """Build the downloads of the run that is shown, whatever the controls say by now."""
    config, measures = outcome.config, page.measures(outcome)

    def story() -> TaskStory:
        return TaskStory(
            page=page.title,
            title=page.report_title,
            sentence=outcome.summary(),
            facts=task_facts(outcome, measures),
            setting=_setting(page, config),
            limits=page.caveats(outcome),
            views=views(page, outcome),
            device=outcome.device,
        )

    values = {one.key: getattr(config, one.field) for one in page.controls}
    screen = screen_of(page.kind, page.controls, values)
    return task_export(page.command, page.run, outcome, measures, story, screen)


def _run_row(page: TrainedPage, config: Any, live: bool, words: str) -> str:
    """Draw the Run button, the choice of what is revealed, the duration and `words`.

    Returns the choice.
    """
    missing = page.extra is not None and not page.extra.installed()
    if page.extra is not None and missing and not presenting():
        st.info(page.extra.words, icon=":material/download:")
        st.code(page.extra.install, language=None, wrap_lines=True)
    alignment: Literal["center", "bottom"] = "center" if presenting() else "bottom"
    with st.container(horizontal=True, vertical_alignment=alignment, gap="medium"):
        seconds = page.expected_seconds(config)
        too_long = seconds > MOST_SECONDS
        st.button(
            "Run",
            key=f"{page.kind}_run",
            type="primary",
            icon=":material/play_arrow:",
            disabled=live or missing or too_long,
            on_click=jobs.start,
            args=(page.kind, page.work(config)),
            kwargs={"config": config, "key": config, "expected_seconds": seconds},
        )
        accept_ids_from_url((page.reveal,))
        reveal = str(show(page.reveal, label=not presenting()))
        loading = jobs.warm_up(page.kind, page.load)
        if presenting():
            st.caption(words)
        else:
            st.caption(duration_words(config, seconds, loaded=not loading.is_alive()))
        if too_long:
            st.caption(
                f":material/timer_off: More than {jobs.duration(MOST_SECONDS)}: choose fewer "
                "rounds, clients or steps, or run the command under *Take it away*."
            )
    return reveal


def _sentence(job: JobView | None, outcome: TaskResult, reveal: str, *, stale: bool) -> str:
    if job is not None:
        return running_words(job)
    told = guess_words(outcome) if reveal == "never" else outcome.summary()
    # the words that follow describe the settings on the screen, not this run's
    return f"The run below had other settings. {told}" if stale else told


def _live(page: TrainedPage, theme: ThemeName, reveal: str) -> Callable[[JobView], None]:
    def draw(view: JobView) -> None:
        """Draw the loss curves of the running job."""
        seen = [p for p in view.history if p.losses is not None]
        if not seen:
            st.caption("The curves start with the first training step.")
            return
        curves = loss_plot(
            page.kind,
            np.array([p.losses for p in seen]),
            total_steps=view.config.steps * rounds_of(view.config),
            steps=np.array([p.step + (p.round - 1) * view.config.steps for p in seen]),
            contaminated=page.truth(view.config) if reveal == "start" else None,
        )
        # curves of a running job are new every time, so they are not kept
        results.show_chart(curves.chart(theme), curves.key)

    return draw


def _result(page: TrainedPage, outcome: TaskResult, theme: ThemeName, *, truth_shown: bool) -> None:
    """Show everything about a run, one thing below the other; on stage one at a time."""
    stage = presenting()
    parts = {
        view.title: tuple(view.blocks(stage=stage))
        for view in views(page, outcome, reveal=truth_shown)
    }
    notes = "\n".join(f"* {note}" for note in page.caveats(outcome))
    parts["Where it does not hold"] = (Words(notes),)
    if stage:
        key = f"{page.kind}_part{'_rounds' * bool(outcome.rounds)}"
        results.draw_blocks((Parts(key, parts),), theme)
        return
    *whole, learned, against = ((Words(title, "heading"), *own) for title, own in parts.items())
    results.draw_blocks((block for part in whole for block in part), theme)
    results.draw_blocks((columns(learned, against),), theme)
    results.draw_blocks((Words("Time", "heading"), Words(time_words(outcome))), theme)


@shared(most=8)
def _read_default(asset: Path, result: type[TaskResult]) -> TaskResult:
    return result.from_json(json.loads(asset.read_text(encoding="utf-8")))
