"""On a dask cluster: the same bytes as here, also when a worker is killed half way."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import replace

import pytest

from clair import ProblemSpec
from clair.adapters import audit, audit_json, read_folder
from clair.adapters.simulate import SimulatedSet, write_simulated
from clair.executors import SCHEDULER_VARIABLE, WorkerFailed, open_workers
from clair.redteam import RedTeamConfig, search
from clair.redteam.words import result_json
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
    # One worker more than are killed.
    with distributed.LocalCluster(
        n_workers=4, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def kill(address):
    """Return a function that kills a worker that has something to do, once; it has to be called."""
    killed = []
    with distributed.Client(address, set_as_default=False) as client:
        pids = client.run(os.getpid)

        def kill():
            # a worker that took the place of a killed one came too late to be known
            busy = [one for one, tasks in client.processing().items() if tasks and one in pids]
            if busy and not killed:
                killed.append(busy[0])
                os.kill(pids[busy[0]], signal.SIGKILL)
            return killed

        yield kill
    assert killed


def test_a_killed_worker_costs_no_cell_and_no_byte(address, kill, tmp_path, monkeypatch):
    monkeypatch.setenv(SCHEDULER_VARIABLE, address)
    there = run_sweep(CONFIG, folder=tmp_path / "there", progress=lambda p: p.step < 8 or kill())
    monkeypatch.delenv(SCHEDULER_VARIABLE)
    here = run_sweep(CONFIG, workers=1, folder=tmp_path / "here")
    assert there.complete
    assert there.error.tobytes() == here.error.tobytes()
    assert there.f1.tobytes() == here.f1.tobytes()


def test_a_killed_worker_costs_a_search_nothing(address, kill):
    spec = ProblemSpec(n_clients=8, d_out=12, d_in=10, poisoned_fraction=0.4)
    config = RedTeamConfig(spec, "median", budget=80)
    there = search(config, lambda p: p.step < 20 or kill(), scheduler=address)
    assert result_json(there) == result_json(search(config))


def test_a_killed_worker_costs_an_audit_nothing(address, kill, tmp_path):
    write_simulated(tmp_path, SimulatedSet(layers=8))
    found = read_folder(tmp_path)

    class Fatal:
        def __init__(self, executor):
            self.executor = executor

        def submit(self, *call):
            task = self.executor.submit(*call)
            while not (kill() or task.done()):
                time.sleep(0)
            return task

    here = audit_json(audit(found))
    with open_workers(scheduler=address) as workers:
        fatal = replace(workers, executor=Fatal(workers.executor))
        there = audit_json(audit(found, workers=fatal))
    del here["seconds"], there["seconds"]
    assert there == here


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
    monkeypatch.setattr("clair.executors._PATIENCE", 0.2)
    if by_variable:
        monkeypatch.setenv(SCHEDULER_VARIABLE, nobody)
    with pytest.raises(WorkerFailed, match=re.escape(nobody)):
        run_sweep(CONFIG, scheduler=None if by_variable else nobody, folder=tmp_path)
