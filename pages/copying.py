"""Text copying: a small Transformer fine-tuned live by many clients, some of them poisoned."""

from __future__ import annotations

import numpy as np
import streamlit as st

from clair.figures.comparison import Measure
from clair.jobs import JobState, JobView
from clair.tasks.copytask import CopyTaskConfig
from clair.tasks.copytask.data import make_federation
from clair.ui import copying, copying_words, jobs, results
from clair.ui.controls import show_all
from clair.ui.layout import current_theme, guard, header, sentence, toolbar

MEASURES = {
    "exact_match": Measure("exact copies of unseen texts"),
    "token": Measure("right characters"),
}

guard()
header("Text copying")
theme = current_theme()
room = jobs.ROOMS[copying.KIND]
job = jobs.current(copying.KIND)
live = job is not None and job.state.live
kept = jobs.latest_result(copying.KIND)
outcome = kept.result if kept is not None else copying.default_outcome()
shown = CopyTaskConfig(**outcome.config)

with st.sidebar:
    values = show_all(copying.CONTROLS)
config = copying.config_of(values)


def draw_live(view: JobView) -> None:
    """Loss curves of the running job."""
    seen = [p for p in view.history if p.losses is not None]
    if not seen:
        st.caption("The curves start with the first training step.")
        return
    truth = make_federation(view.config).contaminated if reveal == "start" else None
    results.loss_panel(
        copying.KIND,
        np.array([p.losses for p in seen]),
        theme,
        total_steps=view.config.steps,
        steps=np.array([p.step for p in seen]),
        contaminated=truth,
    )


said = st.container()  # filled below, once the controls have spoken
jobs.message()
st.markdown(copying_words.setting_words(config))
with st.expander("The words used on this page"):
    st.markdown(copying_words.GLOSSARY)
toolbar(copying.KIND, copying.CONTROLS, copying.PRESETS, values)

with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    st.button(
        "Run",
        key="copying_run",
        type="primary",
        icon=":material/play_arrow:",
        disabled=live,
        on_click=jobs.start,
        args=(copying.KIND, copying.job(config)),
        kwargs={
            "config": config,
            "key": config,
            "expected_seconds": copying.expected_seconds(config),
        },
    )
    reveal = show_all((copying.REVEAL,))[copying.REVEAL.key]
    loading = jobs.warm_up(copying.KIND, copying.load)
    st.caption(copying_words.duration_words(config, loaded=not loading.is_alive()))

with said:
    if live:
        sentence(copying_words.running_words(job))
    elif reveal == "never":
        sentence(copying_words.guess_words(outcome))
    else:
        sentence(outcome.sentence)
if live:
    jobs.watch(room, job, draw_live)
    if job.state is JobState.RUNNING:
        st.stop()
elif job is not None and job.state is JobState.FAILED:
    st.error(job.message, icon=":material/error:")
elif job is not None and job.state is JobState.CANCELLED:
    st.info("Cancelled; nothing of that run is kept.", icon=":material/info:")
changed = copying.differences(config, shown)
st.caption(copying_words.shown_words(kept, changed, waiting=live))

truth_shown = reveal != "never"
st.subheader("Whom CLAIR flagged", anchor=False)
results.verdict_panel(copying.KIND, outcome, theme, reveal=truth_shown)
st.subheader("What it is worth to the honest clients", anchor=False)
results.comparison_panel(copying.KIND, outcome, theme, MEASURES)
st.subheader("What the models write", anchor=False)
results.samples_panel(copying.KIND, outcome.samples, theme)
left, right = st.columns(2, gap="large")
with left:
    st.subheader("How the clients learned", anchor=False)
    results.loss_panel(
        copying.KIND,
        outcome.losses,
        theme,
        total_steps=len(outcome.losses),
        contaminated=outcome.contaminated if truth_shown else None,
    )
with right:
    st.subheader("Where it does not hold", anchor=False)
    st.markdown("\n".join(f"* {note}" for note in copying_words.caveats(outcome)))
st.subheader("Time, and the numbers to take away", anchor=False)
results.time_panel(copying.KIND, outcome, file_name=f"clair-copying-seed-{shown.seed}.json")
