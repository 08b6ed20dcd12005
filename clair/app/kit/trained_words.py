"""What the page of a trained task says in words: settings, progress, duration, origin."""

from __future__ import annotations

from typing import Any

from clair.app.kit import jobs
from clair.federated.config import RoundsConfig
from clair.federated.results import STAGE_LABELS
from clair.federated.task_result import TaskResult
from clair.figures.verdict import listed
from clair.jobs import JobState, JobView
from clair.method.detection import FLAGGED, SUSPECT


def rounds_of(config: Any) -> int:
    """Look up how many rounds a run has; one where a task has no such setting."""
    return int(getattr(config, "rounds", 1))


def rounds_words(config: Any) -> str:
    """Say what several rounds mean; empty where there is one, or a page says it itself."""
    rounds = rounds_of(config)
    if rounds == 1 or not isinstance(config, RoundsConfig):
        return ""
    since = config.poison_from
    told = f"**They train over {rounds} rounds**"
    if config.n_poisoned and since > 1:
        told += f", and whoever is poisoned is honest before round {since}"
    return (
        f"{told}. After each round clients train on from what their method hands out: kept and "
        "suspect clients from their own refined update, flagged ones from the kept clients' "
        "average. The flagged are judged again in the next round. *CLAIR if it pays* keeps what "
        "the tests of the first round favour: later, models have seen all of the data."
    )


def time_words(outcome: TaskResult) -> str:
    """Say how many seconds each stage took, and on what."""
    total = sum(outcome.seconds.values())
    stages = (
        f"{STAGE_LABELS[stage][0].lower()}{STAGE_LABELS[stage][1:]} {outcome.seconds[stage]:.1f} s"
        for stage in STAGE_LABELS
        if outcome.seconds.get(stage, 0.0) >= 0.05
    )
    told = f"**{total:.1f} s** in all on {outcome.device}: {', '.join(stages)}."
    if "clair" not in outcome.seconds:
        return told
    share = outcome.seconds["clair"] / total if total else 0.0
    return f"{told} CLAIR itself took {share:.0%} of it."


def guess_words(outcome: TaskResult) -> str:
    """Write the sentence of a result whose truth is still hidden."""
    flagged, suspect = listed(outcome.degrees, FLAGGED), listed(outcome.degrees, SUSPECT)
    told = f"CLAIR flagged {flagged or 'nobody'}" + f" and suspects {suspect}" * bool(suspect)
    ask = "Who is truly poisoned?" if flagged else "Is anybody poisoned?"
    return f"{told}. {ask} Guess, then reveal it."


def running_words(job: JobView) -> str:
    """Write the sentence for a run that waits or is under way."""
    config = job.config
    bad = config.n_poisoned
    waits = job.state is JobState.QUEUED
    if bad == 0:
        verb = "wait for their turn to be trained" if waits else "are being trained at once"
        return f"{config.n_clients} honest clients {verb}."
    if waits:
        return f"{config.n_clients} clients, {bad} of them poisoned, wait for their turn."
    return (
        f"{config.n_clients} clients are being trained at once, {bad} of them poisoned: "
        "can you tell which?"
    )


def duration_words(config: Any, seconds: float, *, loaded: bool) -> str:
    """Write the expected duration, and the device once the training libraries are loaded."""
    words = f"Takes about {jobs.duration(seconds)} on two CPU cores."
    if loaded:
        from clair.federated.device import describe_device, resolve_device

        device = describe_device(resolve_device(config.device), config.threads)
        words += f" This machine trains on: {device}."
    return words


def shown_words(kept: JobView | None, changed: list[str], *, waiting: bool) -> str:
    """Say where the result below comes from, and whether it has the settings on the screen."""
    if kept is None:
        words = (
            "a run made beforehand with the page's first settings, so there is something to see."
        )
    elif kept.reused:
        words = "your settings; somebody had just run exactly these, so the result is the same."
    else:
        words = f"your run, {kept.seconds:.0f} s."
    words = f"{'While you wait' if waiting else 'Below'}: {words}"
    if changed:
        words += (
            f" **The settings have changed since:** {'; '.join(changed)}. Run shows the effect."
        )
    return words
