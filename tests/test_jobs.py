"""The job pool: order, fairness, limits, cancel, failure, memory. No test sleeps."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from clair.federated import Cancelled
from clair.jobs import JobPool, JobState, Limits, QueueFull, UnknownJob

PATIENCE = 10.0  # seconds until a test that would hang fails instead


@dataclass(frozen=True)
class Seen:
    """A progress record, as the tasks report them."""

    step: int
    fraction: float = 0.0
    seconds_left: float | None = None


class Gate:
    """Work that starts, says so, and ends when told to."""

    def __init__(self, result: object = None, seen: Seen | None = None) -> None:
        self.started = threading.Event()
        self.finish = threading.Event()
        self.result = result
        self.seen = seen

    def __call__(self, report: Callable[[object], None], cancelled: Callable[[], bool]) -> object:
        if self.seen is not None:
            report(self.seen)
        self.started.set()
        assert self.finish.wait(PATIENCE)
        if cancelled():
            raise Cancelled
        return self.result


class Clock:
    """Time that passes when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def make_pool() -> Iterator[Callable[..., JobPool]]:
    pools: list[JobPool] = []

    def make(clock: Clock | None = None, **limits: float) -> JobPool:
        pools.append(JobPool(Limits(**limits), clock=clock or Clock()))  # type: ignore[arg-type]
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def busy(pool: JobPool, owner: str = "first", **options: object) -> tuple[Gate, str]:
    """Occupy a worker until the returned gate is told to finish."""
    gate = Gate()
    job_id = pool.submit(owner, gate, kind="test", **options)  # type: ignore[arg-type]
    assert gate.started.wait(PATIENCE)
    return gate, job_id


def release(pool: JobPool, gate: Gate, job_id: str) -> None:
    gate.finish.set()
    pool.wait(job_id, timeout=PATIENCE)


def noting(order: list[str], name: str) -> Callable[..., str]:
    def work(report: object, cancelled: object) -> str:
        order.append(name)
        return name

    return work


def test_a_job_runs_to_its_result(make_pool):
    pool = make_pool()
    job_id = pool.submit("a", lambda report, cancelled: 42, kind="test", config={"x": 1})
    view = pool.wait(job_id, timeout=PATIENCE)
    assert (view.state, view.result, view.config) == (JobState.DONE, 42, {"x": 1})
    assert view.position == view.ahead == 0
    assert not view.state.live


def test_ids_cannot_be_guessed(make_pool):
    pool = make_pool(finished=200)
    ids = set()
    for _ in range(50):
        ids.add(pool.submit("a", noting([], ""), kind="test"))
        pool.wait(next(reversed(list(ids))), timeout=PATIENCE)
        for job_id in ids:
            pool.wait(job_id, timeout=PATIENCE)
    assert len(ids) == 50
    assert all(len(job_id) >= 12 for job_id in ids)  # 72 random bits


def test_turns_go_round_the_visitors(make_pool):
    pool = make_pool(per_owner=4)
    gate, first = busy(pool, "ann")
    order: list[str] = []
    ids = [
        pool.submit(owner, noting(order, name), kind="test")
        for owner, name in [
            ("ann", "ann 2"),
            ("ann", "ann 3"),
            ("bob", "bob 1"),
            ("bob", "bob 2"),
            ("cid", "cid 1"),
        ]
    ]
    assert [pool.get(i).position for i in ids] == [3, 5, 1, 4, 2]
    assert [pool.get(i).ahead for i in ids] == [3, 5, 1, 4, 2]
    release(pool, gate, first)
    for job_id in ids:
        pool.wait(job_id, timeout=PATIENCE)
    assert order == ["bob 1", "cid 1", "ann 2", "bob 2", "ann 3"]


def test_who_comes_later_does_not_overtake_a_whole_round(make_pool):
    """Check that after ann's first run her second one waits for bob, who had none yet."""
    pool = make_pool()
    gate, first = busy(pool, "ann")
    second = Gate()
    second_id = pool.submit("ann", second, kind="test")
    bob = Gate()
    bob_id = pool.submit("bob", bob, kind="test")
    release(pool, gate, first)
    assert bob.started.wait(PATIENCE)
    assert pool.get(second_id).position == 1
    release(pool, bob, bob_id)
    assert second.started.wait(PATIENCE)
    release(pool, second, second_id)


def test_position_moves_up_as_jobs_end_and_are_cancelled(make_pool):
    pool = make_pool()
    gate, first = busy(pool, "a")
    nxt = Gate()
    next_id = pool.submit("b", nxt, kind="test")
    third = pool.submit("c", noting([], ""), kind="test")
    fourth = pool.submit("d", noting([], ""), kind="test")
    assert [pool.get(i).position for i in (first, next_id, third, fourth)] == [0, 1, 2, 3]
    pool.cancel(third)
    assert pool.get(third).state is JobState.CANCELLED
    assert pool.get(fourth).position == 2
    release(pool, gate, first)
    assert nxt.started.wait(PATIENCE)
    assert pool.get(fourth).position == pool.get(fourth).ahead == 1
    release(pool, nxt, next_id)
    assert pool.wait(fourth, timeout=PATIENCE).state is JobState.DONE


def test_two_workers_run_two_jobs(make_pool):
    pool = make_pool(workers=2)
    one, first = busy(pool, "a")
    two, second = busy(pool, "b")  # would hang if it had to wait for the first
    third = pool.submit("c", noting([], ""), kind="test")
    assert (pool.get(third).position, pool.get(third).ahead) == (1, 2)
    release(pool, two, second)
    assert pool.wait(third, timeout=PATIENCE).state is JobState.DONE
    assert pool.get(first).state is JobState.RUNNING
    release(pool, one, first)


def test_the_queue_is_capped_in_plain_words(make_pool):
    pool = make_pool(queued=2)
    gate, first = busy(pool, "a")
    for owner in ("b", "c"):
        pool.submit(owner, noting([], ""), kind="test")
    with pytest.raises(QueueFull, match="busy: 2 runs are waiting"):
        pool.submit("d", noting([], ""), kind="test")
    release(pool, gate, first)


def test_one_visitor_cannot_fill_the_queue(make_pool):
    pool = make_pool(per_owner=2)
    gate, first = busy(pool, "a")
    pool.submit("a", noting([], ""), kind="test")
    with pytest.raises(QueueFull, match="already have 2 runs"):
        pool.submit("a", noting([], ""), kind="test")
    pool.submit("b", noting([], ""), kind="test")
    release(pool, gate, first)


def test_cancel_while_waiting_never_starts_the_work(make_pool):
    pool = make_pool()
    gate, first = busy(pool)
    order: list[str] = []
    job_id = pool.submit("b", noting(order, "b"), kind="test")
    pool.cancel(job_id)
    last = pool.submit("c", noting(order, "c"), kind="test")
    release(pool, gate, first)
    pool.wait(last, timeout=PATIENCE)
    assert order == ["c"]
    assert pool.get(job_id).state is JobState.CANCELLED


def test_cancel_while_running_stops_at_the_next_step(make_pool):
    pool = make_pool()
    steps: list[int] = []
    ready = threading.Event()
    go_on = threading.Event()

    def work(report, cancelled):
        for step in range(100):
            if cancelled():
                raise Cancelled
            steps.append(step)
            ready.set()
            assert go_on.wait(PATIENCE)

    job_id = pool.submit("a", work, kind="test")
    assert ready.wait(PATIENCE)
    pool.cancel(job_id)
    view = pool.get(job_id)
    assert (view.state, view.stopping) == (JobState.RUNNING, True)  # asked, not killed
    go_on.set()
    assert pool.wait(job_id, timeout=PATIENCE).state is JobState.CANCELLED
    assert steps == [0]


def test_cancelling_a_finished_job_changes_nothing(make_pool):
    pool = make_pool()
    job_id = pool.submit("a", lambda report, cancelled: 1, kind="test")
    pool.wait(job_id, timeout=PATIENCE)
    pool.cancel(job_id)
    assert pool.get(job_id).state is JobState.DONE


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("rank must be >= 1, got 0"), "rank must be >= 1, got 0"),
        (MemoryError(), "more memory"),
        (RuntimeError("secret /path"), "stopped on an error"),
    ],
)
def test_a_failure_is_told_plainly_and_logged(make_pool, caplog, error, message):
    pool = make_pool()

    def work(report, cancelled):
        raise error

    with caplog.at_level(logging.ERROR, "clair.jobs"):
        view = pool.wait(pool.submit("a", work, kind="test"), timeout=PATIENCE)
    assert view.state is JobState.FAILED
    assert message in view.message
    assert "Traceback" not in view.message
    assert "secret" not in view.message
    assert caplog.records[0].exc_info is not None
    # the worker survives
    after = pool.wait(pool.submit("a", lambda r, c: "fine", kind="test"), timeout=PATIENCE)
    assert after.result == "fine"


def test_progress_is_kept_with_a_bounded_history(make_pool):
    pool = make_pool(history=16)

    def work(report, cancelled):
        for step in range(1000):
            report(Seen(step, fraction=step / 999, seconds_left=float(999 - step)))

    view = pool.wait(pool.submit("a", work, kind="test"), timeout=PATIENCE)
    steps = [seen.step for seen in view.history]
    assert (steps[0], steps[-1]) == (0, 999)
    assert len(steps) <= 17
    assert steps == sorted(set(steps))
    gaps = {b - a for a, b in itertools.pairwise(steps[:-1])}
    assert len(gaps) == 1  # thinned evenly
    assert (view.fraction, view.seconds_left) == (1.0, 0.0)


def test_reports_are_seen_while_the_job_runs(make_pool):
    pool = make_pool()
    gate = Gate(seen=Seen(3, fraction=0.25, seconds_left=9.0))
    job_id = pool.submit("a", gate, kind="test")
    assert gate.started.wait(PATIENCE)
    view = pool.get(job_id)
    assert (view.progress.step, view.fraction, view.seconds_left) == (3, 0.25, 9.0)
    waiting = pool.submit("b", noting([], ""), kind="test", expected_seconds=20.0)
    behind = pool.submit("c", noting([], ""), kind="test")
    assert pool.get(waiting).wait == 9.0
    assert pool.get(behind).wait == 29.0
    unknown = pool.submit("d", noting([], ""), kind="test")
    assert pool.get(unknown).wait is None  # the job before has no expected duration
    release(pool, gate, job_id)


def test_the_same_visitor_pressing_twice_gets_the_same_job(make_pool):
    pool = make_pool()
    gate, first = busy(pool, "a", key="settings")
    assert pool.submit("a", gate, kind="test", key="settings") == first
    assert pool.submit("b", gate, kind="test", key="settings") != first  # else a could cancel it
    release(pool, gate, first)


def test_a_job_that_had_to_wait_takes_an_equal_result(make_pool):
    pool = make_pool()
    gate = Gate(result="the result", seen=Seen(1))
    first = pool.submit("a", gate, kind="test", key="k")
    assert gate.started.wait(PATIENCE)
    computed: list[str] = []
    second = pool.submit("b", noting(computed, "b"), kind="test", key="k")
    other_kind = pool.submit("c", noting(computed, "c"), kind="else", key="k")
    release(pool, gate, first)
    view = pool.wait(second, timeout=PATIENCE)
    assert (view.state, view.result, view.reused) == (JobState.DONE, "the result", True)
    assert view.history == (Seen(1),)
    pool.wait(other_kind, timeout=PATIENCE)
    assert computed == ["c"]
    # on a free machine it is computed again
    again = pool.wait(
        pool.submit("b", noting(computed, "again"), kind="test", key="k"), timeout=PATIENCE
    )
    assert (again.result, again.reused) == ("again", False)


def test_an_equal_result_is_given_at_once_when_the_machine_is_busy(make_pool):
    pool = make_pool()
    done = pool.submit("a", lambda r, c: "known", kind="test", key="k")
    pool.wait(done, timeout=PATIENCE)
    gate, running = busy(pool, "b", key="other")
    view = pool.get(pool.submit("c", noting([], ""), kind="test", key="k"))
    assert (view.state, view.result, view.reused) == (JobState.DONE, "known", True)
    release(pool, gate, running)


def test_finished_jobs_are_forgotten_by_count(make_pool):
    pool = make_pool(finished=3)
    ids = []
    for i in range(5):
        ids.append(pool.submit("a", noting([], str(i)), kind="test"))
        pool.wait(ids[-1], timeout=PATIENCE)
    assert [pool.get(i).result for i in ids[2:]] == ["2", "3", "4"]
    for job_id in ids[:2]:
        with pytest.raises(UnknownJob):
            pool.get(job_id)


def test_finished_jobs_are_forgotten_by_age_and_live_ones_never(make_pool):
    clock = Clock()
    pool = make_pool(clock, seconds=60)
    old = pool.submit("a", noting([], ""), kind="test")
    pool.wait(old, timeout=PATIENCE)
    gate, running = busy(pool)
    clock.now += 59
    assert pool.get(old).state is JobState.DONE
    clock.now += 2
    with pytest.raises(UnknownJob):
        pool.get(old)
    view = pool.get(running)
    assert view.state is JobState.RUNNING
    assert view.seconds == 61
    release(pool, gate, running)


def test_an_unknown_id_is_refused_everywhere(make_pool):
    pool = make_pool()
    for call in (pool.get, pool.cancel, pool.wait):
        with pytest.raises(UnknownJob):
            call("made-up")


def test_many_visitors_at_once_all_get_their_own_result(make_pool):
    pool = make_pool(workers=3, queued=100, finished=100)
    barrier = threading.Barrier(20)
    results: dict[int, object] = {}

    def visit(n: int) -> None:
        barrier.wait(PATIENCE)
        job_id = pool.submit(f"visitor {n}", lambda r, c: n * n, kind="test", key=n)
        results[n] = pool.wait(job_id, timeout=PATIENCE).result

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == {n: n * n for n in range(20)}


def test_closing_cancels_and_refuses(make_pool):
    pool = make_pool()
    gate, first = busy(pool, "a")
    second = pool.submit("b", noting([], ""), kind="test")
    gate.finish.set()
    pool.close()
    assert pool.get(second).state is JobState.CANCELLED
    assert not pool.get(first).state.live
    with pytest.raises(QueueFull, match="shutting down"):
        pool.submit("c", noting([], ""), kind="test")


def test_waiting_gives_up_in_time(make_pool):
    pool = make_pool()
    gate, first = busy(pool, "a")
    with pytest.raises(TimeoutError, match="running"):
        pool.wait(first, timeout=0.0)
    release(pool, gate, first)


@pytest.mark.parametrize("name", ["workers", "queued", "per_owner", "per_address", "history"])
def test_limits_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be at least .*, got 0"):
        Limits(**{name: 0})


def test_a_waiting_job_keeps_its_place_only_while_somebody_looks(make_pool):
    clock = Clock()
    pool = make_pool(clock, unseen_waiting=60, unseen_running=1000)
    gate, first = busy(pool, "a")
    left, watched = (pool.submit(who, noting([], who), kind="test") for who in ("b", "c"))
    assert pool.get(watched).position == 2
    clock.now += 59
    assert pool.get(watched).position == 2
    clock.now += 2
    assert pool.get(watched).position == 1  # without anybody asking for the other one
    view = pool.get(left)
    assert view.state is JobState.CANCELLED
    assert "gave up its place" in view.message
    release(pool, gate, first)
    assert pool.wait(watched, timeout=PATIENCE).state is JobState.DONE


def test_abandoned_jobs_take_no_room_from_others(make_pool):
    clock = Clock()
    pool = make_pool(clock, queued=2, unseen_waiting=60, unseen_running=1000)
    gate, first = busy(pool, "a")
    for who in ("b", "c"):
        pool.submit(who, noting([], who), kind="test")
    with pytest.raises(QueueFull, match="busy"):
        pool.submit("d", noting([], "d"), kind="test")
    clock.now += 61
    assert pool.get(pool.submit("d", noting([], "d"), kind="test")).position == 1
    release(pool, gate, first)


@pytest.mark.parametrize(("private", "seconds"), [(False, 300), (True, 60)])
def test_a_running_job_that_nobody_looks_at_is_stopped(make_pool, private, seconds):
    clock = Clock()
    pool = make_pool(clock, unseen_waiting=60, unseen_running=300)
    ask, answer = queue.Queue(), queue.Queue()

    def work(report, cancelled):
        while ask.get(timeout=PATIENCE):
            answer.put(cancelled())
        raise Cancelled

    def stops():
        ask.put(True)
        return answer.get(timeout=PATIENCE)

    job_id = pool.submit("a", work, kind="test", private=private)
    pool.wait(job_id, until=JobState.RUNNING, timeout=PATIENCE)
    clock.now += seconds - 1
    assert not stops()
    assert pool.get(job_id).state is JobState.RUNNING
    clock.now += seconds - 1
    assert not stops()
    clock.now += 2
    assert stops()
    ask.put(False)
    view = pool.wait(job_id, timeout=PATIENCE)
    assert view.state is JobState.CANCELLED
    assert "was stopped" in view.message


def test_a_private_result_is_kept_while_somebody_looks_and_given_to_nobody_else(make_pool):
    clock = Clock()
    pool = make_pool(clock, unseen_waiting=60)
    mine = pool.submit("a", lambda r, c: "mine", kind="test", key="k", private=True)
    pool.wait(mine, timeout=PATIENCE)
    gate, running = busy(pool, "b", key="other")
    waiting = pool.submit("c", noting([], "own"), kind="test", key="k", private=True)
    assert pool.get(waiting).state is JobState.QUEUED
    clock.now += 59
    assert pool.get(mine).result == "mine"
    clock.now += 59
    assert pool.get(mine).result == "mine"
    clock.now += 61
    pool.tidy()
    with pytest.raises(UnknownJob):
        pool.get(mine)
    release(pool, gate, running)


def test_an_idle_worker_holds_nothing_of_its_last_job(make_pool):
    pool = make_pool()
    gate, job_id = busy(pool)
    gate.result = Seen(1)
    freed = [threading.Event(), threading.Event()]
    for held, event in zip((gate, gate.result), freed, strict=True):
        weakref.finalize(held, event.set)
    release(pool, gate, job_id)
    pool.forget(job_id)
    del gate, held
    assert all(event.wait(PATIENCE) for event in freed)


def test_a_result_is_forgotten_when_asked(make_pool):
    pool = make_pool()
    gate, running = busy(pool, "a")
    pool.forget(running)
    assert pool.get(running).state is JobState.RUNNING
    release(pool, gate, running)
    pool.forget(running)
    with pytest.raises(UnknownJob):
        pool.get(running)
    pool.forget("made-up")


def test_many_visitors_of_one_address_share_a_limit_and_leave_room_for_others(make_pool):
    pool = make_pool(queued=6, per_address=4)
    gate, first = busy(pool, "tab 0", address="10.0.0.1")
    for n in range(1, 4):
        pool.submit(f"tab {n}", noting([], ""), kind="test", address="10.0.0.1")
    with pytest.raises(QueueFull, match="from your network"):
        pool.submit("tab 5", noting([], ""), kind="test", address="10.0.0.1")
    for who in ("b", "c"):
        pool.submit(who, noting([], ""), kind="test", address="10.0.0.2")
    pool.submit("d", noting([], ""), kind="test")  # its address is not known
    release(pool, gate, first)
    pool.submit("tab 5", noting([], ""), kind="test", address="10.0.0.1")
