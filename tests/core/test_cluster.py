"""Sweeps on a dask cluster: the same bytes, also when a worker is killed half way."""

from __future__ import annotations

import os
import re
import signal

import pytest

from clair import ProblemSpec
from clair.simulation.sweeps.executors import SCHEDULER_VARIABLE, WorkerFailed
from clair.simulation.sweeps.grid import Axis, SweepConfig
from clair.simulation.sweeps.run import run_sweep

distributed = pytest.importorskip("distributed", reason="needs dask: tests/requirements-extras.txt")
CONFIG = SweepConfig(
    ProblemSpec(n_clients=8, d_out=14, d_in=11, rank=2),
    (
        Axis("noise", (0.02, 0.05, 0.1, 0.2, 0.3)),
        Axis("poisoned_fraction", (0.0, 0.1, 0.2, 0.25, 0.3, 0.4)),
    ),
    trials=2,
)


@pytest.fixture(scope="module")
def address():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def test_a_killed_worker_costs_no_cell_and_no_byte(address, tmp_path, monkeypatch):
    with distributed.Client(address, set_as_default=False) as client:
        victims = client.run(os.getpid)
    killed = []

    def kill(progress):
        if progress.step >= 8 and not killed:
            killed.append(victims.popitem()[1])
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setenv(SCHEDULER_VARIABLE, address)
    there = run_sweep(CONFIG, folder=tmp_path / "there", progress=kill)
    assert killed
    monkeypatch.delenv(SCHEDULER_VARIABLE)
    here = run_sweep(CONFIG, workers=1, folder=tmp_path / "here")
    assert there.complete
    assert there.error.tobytes() == here.error.tobytes()
    assert there.f1.tobytes() == here.f1.tobytes()


def test_a_cancelled_sweep_goes_on_on_the_cluster(address, tmp_path):
    steps = []
    first = run_sweep(
        CONFIG,
        scheduler=address,
        folder=tmp_path,
        progress=lambda p: steps.append(p.step),
        cancelled=lambda: len(steps) > 5,
    )
    assert not first.complete
    assert first.done.sum() == steps[-1]
    assert run_sweep(CONFIG, workers=1, folder=tmp_path).complete


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch, by_variable):
    nobody = "tcp://127.0.0.1:9"
    monkeypatch.setattr("clair.simulation.sweeps.executors._PATIENCE", 0.2)
    if by_variable:
        monkeypatch.setenv(SCHEDULER_VARIABLE, nobody)
    with pytest.raises(WorkerFailed, match=re.escape(nobody)):
        run_sweep(CONFIG, scheduler=None if by_variable else nobody, folder=tmp_path)
