"""Sweeps: what determines a cell, resuming, cancelling, broken workers, and the shipped diagram."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clair
from clair import ProblemSpec
from clair.executors import WorkerFailed, Workers
from clair.figures.phase import agreement
from clair.method.metrics import detection_scores, subspace_error
from clair.simulation.attacks import ATTACKS
from clair.simulation.sweeps import store
from clair.simulation.sweeps.grid import (
    METHODS,
    SEEDS,
    Axis,
    SweepConfig,
    cell_spec,
    obstacle,
    trial_seed,
)
from clair.simulation.sweeps.run import run_sweep
from clair.simulation.sweeps.store import KEPT, cache_dir, load, read_result, write_result
from clair.simulation.sweeps.trial import run_cell, run_trial
from clair.theory.boundary import predicted
from clair.theory.sets import exact_set_probability

BASE = ProblemSpec(n_clients=8, d_out=14, d_in=11, rank=2)
SMALL = SweepConfig(
    BASE, (Axis("noise", (0.02, 0.3)), Axis("poisoned_fraction", (0.0, 0.25, 0.4))), trials=2
)
SHIPPED = Path(__file__).parents[2] / "assets" / "theory" / "phase_default.jsonl"


def test_equal_descriptions_have_equal_digests_and_axes_hide_their_base_value():
    assert SMALL.digest == replace(SMALL, base=replace(BASE, noise=0.2)).digest
    assert SMALL.digest != replace(SMALL, base=replace(BASE, seed=1)).digest
    assert SMALL.digest != replace(SMALL, trials=3).digest
    assert SMALL.digest != replace(SMALL, options=METHODS["norms"]).digest
    assert SweepConfig.from_json(json.loads(json.dumps(SMALL.to_json()))) == SMALL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 0}, "trials must be at least 1, got 0"),
        ({"methods": ("copy",)}, "method must be one of"),
        ({"options": {"detector": "krum"}}, "detector must be one of"),
        ({"along": (Axis("rank", (1, 2)),) * 2}, "axes must differ, got rank"),
    ],
)
def test_bad_descriptions_are_refused_in_words(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_axes_are_checked():
    with pytest.raises(ValueError, match="axis must be one of"):
        Axis("color", (1, 2))
    with pytest.raises(ValueError, match="must increase"):
        Axis("noise", (0.2, 0.1))
    with pytest.raises(ValueError, match="version must be"):
        SweepConfig.from_json({"version": 0})


def test_every_trial_is_a_plain_problem_with_a_seed_of_its_own():
    specs = [cell_spec(SMALL, cell, trial) for cell in range(6) for trial in range(2)]
    assert len({spec.seed for spec in specs}) == 12
    assert max(spec.seed for spec in specs) < SEEDS
    assert [spec.noise for spec in specs[::2]] == [0.02, 0.3] * 3
    assert [spec.poisoned_fraction for spec in specs[::4]] == [0.0, 0.25, 0.4]
    assert {spec.n_clients for spec in specs} == {8}
    with pytest.raises(ValueError, match="cell must be at most 5, got 6"):
        cell_spec(SMALL, 6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 5), st.integers(0, 9))
def test_seeds_depend_on_root_cell_and_trial_only(seed, cell, trial):
    config = replace(SMALL, base=replace(BASE, seed=seed))
    other = replace(config, options=METHODS["norms"], trials=50)
    assert trial_seed(config, cell, trial) == trial_seed(other, cell, trial)
    assert 0 <= trial_seed(config, cell, trial) < SEEDS


@pytest.mark.parametrize("method", ["residual", "norms"])
@pytest.mark.parametrize("noise", [0.0, 0.04, 0.2])
def test_trial_is_what_fit_returns(method, noise):
    spec = replace(BASE, noise=noise, seed=4)
    problem = clair.sample_problem(spec)
    options = {"detector": "norms", "polish": False} if method == "norms" else {}
    result = clair.fit(problem.updates, spec.rank, **options)
    config = SweepConfig(spec, (Axis("seed", (4,)),), 1, METHODS[method])
    exact, f1, error = run_trial(config, 0)
    scores = detection_scores(result.flagged, problem.contaminated)
    assert (exact, f1) == (scores.exact, scores.f1)
    assert error == pytest.approx(subspace_error(result.subspace, problem.subspace), abs=1e-9)


def test_impossible_cells_are_explained_and_left_empty(tmp_path):
    config = SweepConfig(
        replace(BASE, d_out=3),
        (Axis("rank", (1, 3, 5)), Axis("n_clients", (4, 9))),
        trials=1,
    )
    assert obstacle(config, 0) is None
    assert "nothing lies outside" in obstacle(config, 1)
    assert "rank must be at most" in obstacle(config, 2)
    assert run_cell(config, 2) == ()
    sides = (Axis("noise", (0.1,)), Axis("n_clients", (3, 9)))
    few = replace(config, base=replace(BASE, poisoned_fraction=0.45), along=sides)
    assert "only 2 honest clients" in obstacle(few, 0)
    result = run_sweep(config, workers=1, folder=tmp_path)
    assert result.complete
    assert np.isnan(result.success("exact", 0)).tolist() == [[False, True, True]] * 2


def test_workers_compute_what_one_cell_alone_gives_in_any_order(tmp_path):
    seen = []
    result = run_sweep(SMALL, workers=2, folder=tmp_path, progress=seen.append)
    assert result.complete
    for cell in range(SMALL.n_cells):
        trials = run_cell(SMALL, cell)
        row, column = divmod(cell, 2)
        assert result.exact[row, column].tolist() == [t[0] for t in trials]
        assert result.error[row, column] == pytest.approx([t[2] for t in trials], rel=1e-9)
    assert [p.step for p in seen] == list(range(7))
    assert seen[0].seconds_left is None
    assert seen[-1].seconds_left == 0
    assert seen[-1].fraction == 1
    assert result.success("exact", 0).tolist() == result.success("f1", 1.0).tolist()
    assert (result.success("error", 1.0) == 1).all()
    assert (result.success("error", 0.0) == 0).all()


def test_any_executor_computes_the_same_and_stays_open(tmp_path):
    seen = []
    with ThreadPoolExecutor(2) as pool:
        workers = Workers(pool, 2, cells=4)
        result = run_sweep(SMALL, workers=workers, folder=tmp_path, progress=seen.append)
        assert pool.submit(int).result() == 0
    assert [p.step for p in seen] == list(range(7))  # every cell once
    assert result.complete
    alone = run_sweep(SMALL, workers=1, folder=tmp_path / "other")
    assert result.error.tobytes() == alone.error.tobytes()


def test_a_bounded_number_of_tasks_is_under_way(tmp_path):
    class Counting(ThreadPoolExecutor):
        most = under_way = 0

        def submit(self, *call):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            return super().submit(*call)

    with Counting(1) as pool:

        def seen(progress):
            pool.under_way -= progress.step > 0

        run_sweep(SMALL, workers=Workers(pool, 3), folder=tmp_path, progress=seen)
    assert pool.most == 3


def test_stopped_sweep_goes_on_where_it_was(tmp_path):
    steps = []
    first = run_sweep(
        SMALL,
        workers=1,
        folder=tmp_path,
        progress=lambda p: steps.append(p.step),
        cancelled=lambda: len(steps) > 3,
    )
    assert not first.complete
    assert first.done.sum() == 3
    path = tmp_path / f"{SMALL.digest}.jsonl"
    before = path.read_text()
    path.write_text(before + '{"cell": 5, "tri')  # a line cut off by a crash
    assert load(SMALL, tmp_path).result.done.sum() == 3
    path.write_text(before + '{"cell": 999, "trials": []}\n')
    steps.clear()
    again = run_sweep(SMALL, workers=1, folder=tmp_path, progress=lambda p: steps.append(p.step))
    assert steps == [3, 4, 5, 6]
    assert again.complete
    whole = run_sweep(SMALL, workers=1, folder=tmp_path / "other")
    assert np.array_equal(again.error, whole.error)


def test_sweep_without_a_place_to_keep_it_still_runs(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert run_sweep(SMALL, workers=1, folder=blocked / "inside").complete
    kept = load(SMALL, blocked / "inside")
    assert kept.result.complete
    assert not kept.on_disk


def test_a_disk_that_fills_up_loses_no_cell(tmp_path, monkeypatch):
    path = store.path_of(SMALL, tmp_path)
    opened = type(path).open

    def full(self, mode="r", **options):
        if mode == "a" and self == path and path.exists() and path.stat().st_size > 200:
            with opened(self, "ab") as file:
                file.write(b'{"cell": 0, "tri')  # what had still room
            raise OSError(28, "No space left on device")
        return opened(self, mode, **options)

    monkeypatch.setattr(type(path), "open", full)
    whole = run_sweep(SMALL, workers=1, folder=tmp_path)
    assert load(SMALL, tmp_path).on_disk is False
    assert np.array_equal(load(SMALL, tmp_path).result.error, whole.error)
    monkeypatch.undo()
    assert run_sweep(SMALL, workers=1, folder=tmp_path).complete
    for line in path.read_bytes().splitlines():
        store.cell_of(line, SMALL)


GOOD = '{"cell": 1, "trials": [[1.0, 1.0, 0.25], [0.0, 0.5, 1.0]]}'


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe" + GOOD.encode(),
        GOOD.replace("0.25", '"0.25"').encode(),
        GOOD.replace("0.25", "1e999").encode(),
        GOOD.replace("0.25", "NaN").encode(),
        GOOD.replace("0.25", "-3").encode(),
        GOOD.replace("0.25", "9" * 5000).encode(),
        GOOD.replace("[[1.0", "[[true").encode(),
        GOOD.replace("[[1.0, ", "[[").encode(),
        GOOD.replace(" 1,", " 1.5,").encode(),
        GOOD.replace(" 1,", " true,").encode(),
        GOOD.replace(" 1,", ' "1",').encode(),
        GOOD.replace(" 1,", " 999,").encode(),
        b'{"cell": 1, "trials": []}',
        b'{"cell": 1, "trials": {"0": 1, "1": 2}}',
        b'{"cell": 1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[1, 2]",
        b"null",
        GOOD[:25].encode(),
        b"\x00" * 300,
    ],
)
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_damaged_line_is_skipped_said_and_taken_out_of_the_file(tmp_path, line, end):
    path = store.path_of(SMALL, tmp_path)
    path.write_bytes(GOOD.replace(" 1,", " 4,").encode() + b"\n" + line + end)
    kept = load(SMALL, tmp_path)
    assert kept.damaged == 1
    assert np.flatnonzero(kept.result.done).tolist() == [4]
    assert load(SMALL, tmp_path).damaged == 0
    assert path.read_text() == GOOD.replace(" 1,", " 4,") + "\n"


@pytest.mark.parametrize("tail", [GOOD, GOOD[:25]])
def test_a_last_line_without_an_end_swallows_no_cell(tmp_path, tail):
    store.path_of(SMALL, tmp_path).write_text(tail)
    run_sweep(SMALL, workers=1, folder=tmp_path, cancelled=_after(3))
    run_sweep(SMALL, workers=1, folder=tmp_path)
    kept = load(SMALL, tmp_path)
    assert kept.result.complete
    assert kept.damaged == 0


def test_what_cannot_be_mended_is_skipped_all_the_same(tmp_path):
    store.path_of(SMALL, tmp_path).mkdir(parents=True)
    assert run_sweep(SMALL, workers=1, folder=tmp_path).complete
    kept = load(SMALL, tmp_path)
    assert kept.result.complete
    assert not kept.on_disk


def test_memory_is_bounded(tmp_path):
    folders = [tmp_path / str(n) for n in range(store.KEPT_IN_MEMORY + 1)]
    for folder in folders:
        folder.write_text("")
        with store.Keeper(SMALL, folder) as keeper:
            keeper.add(0, run_cell(SMALL, 0))
    done = [int(load(SMALL, folder).result.done.sum()) for folder in folders]
    assert done == [0] + [1] * store.KEPT_IN_MEMORY


def test_broken_worker_is_an_error_and_finished_cells_stay(tmp_path, monkeypatch):
    run_sweep(SMALL, workers=2, folder=tmp_path, cancelled=_after(3))
    kept = int(load(SMALL, tmp_path).result.done.sum())
    assert 0 < kept < 6
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(WorkerFailed, match="broke down"):
        run_sweep(SMALL, workers=2, folder=tmp_path)
    assert load(SMALL, tmp_path).result.done.sum() == kept


def _after(n):
    calls = iter(range(1000))
    return lambda: next(calls) >= n


def test_cache_is_where_the_environment_says_and_stays_bounded(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAIR_CACHE_DIR", str(tmp_path))
    assert cache_dir() == tmp_path / "sweeps"
    monkeypatch.delenv("CLAIR_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "clair-explorer" / "sweeps"
    repository = Path(__file__).parents[2]
    assert repository not in cache_dir().parents
    for index in range(KEPT + 5):
        (tmp_path / f"{index}.jsonl").write_text("")
    run_sweep(SMALL, workers=1, folder=tmp_path, cancelled=_after(1))
    assert len(list(tmp_path.glob("*.jsonl"))) <= KEPT + 1


def test_file_round_trip(tmp_path):
    result = run_sweep(SMALL, workers=1, folder=tmp_path)
    write_result(result, tmp_path / "out.jsonl")
    again = read_result(tmp_path / "out.jsonl")
    assert again.config == SMALL
    assert np.array_equal(again.exact, result.exact)
    assert again.error == pytest.approx(result.error, abs=1e-5)


def test_shipped_diagram_is_what_its_description_gives():
    shipped = read_result(SHIPPED)
    assert shipped.complete
    assert shipped.config.shape == (25, 20)
    assert (shipped.config.base.n_clients, shipped.config.trials) == (20, 10)
    # Cells on the boundary, where a changed draw or rule would show first, and two plain ones.
    share = shipped.success("exact", 0).ravel()
    unclear = np.flatnonzero((share > 0.1) & (share < 0.9))
    for cell in [*unclear[::4].tolist(), 0, 499]:
        row, column = divmod(cell, 20)
        trials = run_cell(shipped.config, cell)
        assert [t[0] for t in trials] == shipped.exact[row, column].tolist()
        assert [t[2] for t in trials] == pytest.approx(shipped.error[row, column], abs=2e-5)


def test_predicted_boundary_separates_the_shipped_diagram():
    shipped = read_result(SHIPPED)
    share = shipped.success("exact", 0)
    predicted = np.array(
        [exact_set_probability(cell_spec(shipped.config, cell)) for cell in range(500)]
    ).reshape(25, 20)
    same, known = agreement(share, predicted >= 0.5)
    assert known == 500
    assert same >= 485
    assert np.abs(predicted - share).mean() < 0.03


def test_a_boundary_is_predicted_for_every_attack_and_only_where_there_is_a_formula():
    sides = (Axis("attack", tuple(ATTACKS)), Axis("noise", (0.02, 0.2)))
    known = SweepConfig(BASE, sides, 1)
    found = predicted(known, "exact")
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()
    assert np.isfinite(predicted(known, "subspace_error")).all()
    assert predicted(known, "f1") is None
    uneven = replace(known, along=(Axis("unevenness", (0.0, 1.0)), sides[1]))
    assert predicted(uneven, "exact") is None
    assert np.isfinite(predicted(uneven, "subspace_error")).all()
    for changes in (
        {"options": {"threshold": 1.0}},
        {"base": replace(BASE, data_spread=1.0)},
        {"along": (Axis("screen_coefficients", (False, True)), sides[1])},
    ):
        assert predicted(replace(known, **changes), "exact") is None
