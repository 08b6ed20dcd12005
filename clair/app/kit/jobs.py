"""Running jobs on the screen: who is asking, the live panel, the badge, the way back by link.

Every trained task uses the same panel. A task's kind is the stem of its page's file, so a job knows
which page shows it. Worker threads never touch Streamlit; pages look at the pool twice a second
while a job lives and at no other time.

The pool belongs to this module, not to one of Streamlit's caches: any visitor can empty those, and
would end everybody's jobs.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from clair.app.kit.page_list import PAGES, STAGE_NAMES
from clair.federated import STAGE_LABELS
from clair.jobs import JobPool, JobState, JobView, QueueFull, UnknownJob, Work

POLL_SECONDS = 0.5
JOB_PARAM = "job"

#: Cookie that identifies the tabs of one browser as one visitor.
VISITOR_COOKIE = "clair_visitor"

# Names in the session state, in this order: who is asking, if the browser sends no cookie; the
# latest job of each kind; kinds whose job has vanished, which their page reports; the latest result
# of each kind; jobs whose end was seen on their own page; a message to show once.
_VISITOR = "_visitor"
_JOBS = "_jobs"
_GONE = "_jobs_gone"
_RESULTS = "_job_results"
_SEEN = "_jobs_seen"
_MESSAGE = "_job_message"

ENDED: dict[JobState, str] = {
    JobState.DONE: "the result is there",
    JobState.FAILED: "the run failed",
    JobState.CANCELLED: "cancelled",
}


GONE = (
    "Your run is not kept any more: results are forgotten after some hours, after many later runs, "
    "or when the server restarts. Its settings are still here, so Run computes it again."
)

_POOL = JobPool()
_LOADING: dict[str, threading.Timer] = {}
_LOADING_LOCK = threading.Lock()


def pool() -> JobPool:
    """Return the server's one pool of jobs, which outlives sessions."""
    return _POOL


def warm_up(kind: str, load: Callable[[], object], delay: float = 1.5) -> threading.Timer:
    """Import what a task's runs need before the first one starts, once for the server.

    Parameters
    ----------
    kind : str
        The task's kind.
    load : callable
        Imports what takes seconds to import.
    delay : float
        Seconds until it starts, so that the page is painted first.
    """
    with _LOADING_LOCK:
        if kind not in _LOADING:
            _LOADING[kind] = threading.Timer(delay, load)
            _LOADING[kind].daemon = True
            _LOADING[kind].start()
        return _LOADING[kind]


@dataclass(frozen=True)
class JobKind:
    """A task as the job panel and the badge need to know it.

    Attributes
    ----------
    kind : str
        Stem of the page's file and the jobs' kind.
    title : str
        Name of the page.
    stages : tuple of str
        Stages a run passes through, in order, keys of `STAGE_NAMES`.
    waiting : str
        What becomes of a waiting run when its visitor leaves.
    badge : bool
        Whether the other pages show how far it is.
    """

    kind: str
    title: str
    stages: tuple[str, ...]
    waiting: str = (
        "You may look at the other pages: the run keeps its place as long as this app is open in "
        "a tab."
    )
    badge: bool = True

    @property
    def page(self) -> str:
        """File of the page."""
        return f"pages/{self.kind}.py"


STAY = "Stay on this page: the run of who leaves it loses its place."

JOB_KINDS: dict[str, JobKind] = {
    **{page.stem: JobKind(page.stem, page.title, page.stages) for page in PAGES if page.stages},
    "refined": JobKind(
        "refined",
        "Refined adapters",
        ("read", "detect", "split", "report", "write"),
        STAY,
        badge=False,
    ),
}


# -- who asks, and which job is theirs ---------------------------------------------------------


def visitor() -> str:
    """Name this visitor for the queue: by browser, or by tab if the browser sends no cookie."""
    cookie = str(st.context.cookies.to_dict().get(VISITOR_COOKIE, ""))[:64]
    return cookie or str(st.session_state.setdefault(_VISITOR, uuid.uuid4().hex))


def restore() -> None:
    """Take up the job named in the address, once a session."""
    if _JOBS in st.session_state:
        return
    st.session_state[_JOBS] = {}
    st.session_state[_GONE] = set()
    st.session_state[_RESULTS] = {}
    st.session_state[_SEEN] = set()
    job_id = st.query_params.get(JOB_PARAM)
    if not job_id:
        return
    try:
        job = pool().get(job_id)
        if job.private:
            raise UnknownJob(job_id)
    except UnknownJob:
        del st.query_params[JOB_PARAM]
        st.session_state[_MESSAGE] = (
            "The run in this link is not kept any more: results are forgotten after some hours, "
            "after many later runs, or when the server restarts. Its settings are still in the "
            "link, so Run computes it again."
        )
        return
    st.session_state[_JOBS][job.kind] = job.id


def current(kind: str) -> JobView | None:
    """Return this visitor's latest job of a kind; keep the address pointing at it if it may.

    Where the job has vanished, `message` says so.
    """
    restore()
    job = _look_up(_JOBS, kind)
    if kind in st.session_state[_GONE]:
        st.session_state[_GONE].discard(kind)
        st.session_state.setdefault(_MESSAGE, GONE)
        if JOB_PARAM in st.query_params:
            del st.query_params[JOB_PARAM]
    if job is not None and not job.private and st.query_params.get(JOB_PARAM) != job.id:
        st.query_params[JOB_PARAM] = job.id
    if job is not None and not job.state.live:
        st.session_state[_SEEN].add(job.id)
    return job


def latest_result(kind: str) -> JobView | None:
    """Return the latest job of a kind that ended with a result, while it is kept."""
    job = current(kind)
    if job is not None and job.state is JobState.DONE:
        st.session_state[_RESULTS][kind] = job.id
    return _look_up(_RESULTS, kind)


def forget(kind: str) -> None:
    """Show neither job nor result of a kind any more; call from a callback."""
    restore()
    st.session_state[_RESULTS].pop(kind, None)
    job_id = st.session_state[_JOBS].pop(kind, None)
    if job_id is not None and st.query_params.get(JOB_PARAM) == job_id:
        del st.query_params[JOB_PARAM]


def drop(kind: str) -> None:
    """Stop this visitor's job of a kind and keep nothing of it."""
    restore()
    job_id = st.session_state[_JOBS].pop(kind, None)
    if job_id is not None:
        _cancel(job_id)
        pool().forget(job_id)


def start(
    kind: str,
    work: Work,
    *,
    config: Any,
    key: Any = None,
    expected_seconds: float | None = None,
    private: bool = False,
) -> None:
    """Submit a job for this visitor; a full queue becomes a message."""
    restore()
    st.session_state.pop(_MESSAGE, None)
    try:
        job_id = pool().submit(
            visitor(),
            work,
            kind=kind,
            key=key,
            config=config,
            expected_seconds=expected_seconds,
            # None for a visitor on this machine, which counts as one address
            address=st.context.ip_address or "here",
            private=private,
        )
    except QueueFull as full:
        st.session_state[_MESSAGE] = str(full)
        return
    st.session_state[_JOBS][kind] = job_id
    st.session_state[_GONE].discard(kind)


def message() -> None:
    """Say once what went wrong with a link, a full queue or a vanished job, if anything did."""
    restore()
    text = st.session_state.pop(_MESSAGE, None)
    if text:
        st.warning(text, icon=":material/info:")


def _look_up(table: str, kind: str) -> JobView | None:
    job_id = st.session_state[table].get(kind)
    if job_id is None:
        return None
    try:
        return pool().get(job_id)
    except UnknownJob:
        del st.session_state[table][kind]
        if table == _JOBS:
            st.session_state[_GONE].add(kind)
        return None


# -- what is shown while it lives --------------------------------------------------------------


@st.fragment(run_every=POLL_SECONDS)
def watch(job_kind: JobKind, seen: JobView, draw: Callable[[JobView], None]) -> None:
    """Draw the live panel of a waiting or running job; rerun the page once its state changes.

    Parameters
    ----------
    job_kind : JobKind
        The task.
    seen : JobView
        The job as the page saw it when it drew itself.
    draw : callable
        Draws what the task has to show of its progress.
    """
    try:
        job = pool().get(seen.id)
    except UnknownJob:
        st.rerun()
    if job.state is not seen.state:
        st.rerun()
    with st.container(border=True, key=f"{job_kind.kind}_live"):
        words, button = st.columns([5, 1], vertical_alignment="center")
        with words:
            st.markdown(f"**{headline(job)}**")
        with button:
            st.button(
                "Cancel",
                key=f"{job_kind.kind}_cancel",
                icon=":material/close:",
                on_click=_cancel,
                args=(job.id,),
                disabled=job.stopping,
                width="stretch",
            )
        if job.state is JobState.QUEUED:
            st.caption(
                f"This machine makes one run at a time, and visitors take turns. {job_kind.waiting}"
            )
            return
        st.progress(job.fraction, text=" → ".join(_stages(job_kind, job)))
        draw(job)


def headline(job: JobView) -> str:
    """Describe the state of a live job in one line."""
    if job.state is JobState.QUEUED:
        runs = "1 run" if job.ahead == 1 else f"{job.ahead} runs"
        wait = "" if job.wait is None else f"; starts in about {duration(job.wait)}"
        return f"Waiting: number {job.position} in the queue, {runs} before yours{wait}"
    if job.stopping:
        return "Stopping at the next step"
    seen = job.progress
    if seen is None:
        return "Starting"
    label = getattr(seen, "label", None) or STAGE_LABELS.get(seen.stage, seen.stage)
    step = f", step {seen.step} of {seen.total_steps}" if seen.total_steps > 1 else ""
    left = "" if job.seconds_left is None else f" · about {duration(job.seconds_left)} left"
    return f"{label}{step}{left}"


def duration(seconds: float) -> str:
    """Write seconds in words, as precisely as an estimate deserves."""
    whole = max(1, round(seconds))
    if whole < 90:
        return f"{whole} s"
    return f"{round(whole / 60)} min"


def _cancel(job_id: str) -> None:
    with contextlib.suppress(UnknownJob):
        pool().cancel(job_id)


def _stages(job_kind: JobKind, job: JobView) -> list[str]:
    now = getattr(job.progress, "stage", None)
    return [
        f"**{STAGE_NAMES[stage]}**" if stage == now else STAGE_NAMES[stage]
        for stage in job_kind.stages
    ]


# -- the badge on every page -------------------------------------------------------------------


def job_badge() -> None:
    """Show the visitor's jobs in the sidebar of other pages, each with a link back to it.

    A job that ended unseen is announced until its page is looked at.
    """
    restore()
    here = (st.context.url or "").split("?")[0].rstrip("/").rsplit("/", 1)[-1]
    for kind, job_kind in JOB_KINDS.items():
        if kind == here or not job_kind.badge:
            continue
        job = _look_up(_JOBS, kind)
        if kind in st.session_state[_GONE]:
            with st.sidebar:
                _link(job_kind, "the run is not kept any more")
        elif job is None:
            continue
        elif job.state.live:
            with st.sidebar:
                _live_badge(job.id)
        elif job.id not in st.session_state[_SEEN]:
            with st.sidebar:
                _badge(job)


@st.fragment(run_every=2 * POLL_SECONDS)
def _live_badge(job_id: str) -> None:
    try:
        job = pool().get(job_id)
    except UnknownJob:
        st.rerun()
    if not job.state.live:
        st.rerun()
    _badge(job)


def _badge(job: JobView) -> None:
    job_kind = JOB_KINDS[job.kind]
    if job.state is JobState.QUEUED:
        text = f"waiting, number {job.position}"
    elif job.state is JobState.RUNNING:
        left = "" if job.seconds_left is None else f", {duration(job.seconds_left)} left"
        text = f"{job.fraction:.0%}{left}"
    else:
        text = ENDED[job.state]
    _link(job_kind, text)


def _link(job_kind: JobKind, text: str) -> None:
    st.page_link(
        job_kind.page, label=f"**{job_kind.title}:** {text}", icon=":material/model_training:"
    )
