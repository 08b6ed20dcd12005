"""Frames of the solver's iterations: the history itself, the words, what is honest to say."""

import json
from dataclasses import replace

import numpy as np
import pytest

from clair.figures.steps import VISIBLE, settled, solver_steps
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.scenario import Scenario, run_scenario

SPEC = ProblemSpec(n_clients=9, d_out=14, d_in=10, seed=4)


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(SPEC),
        Scenario(SPEC, side="input"),
        Scenario(replace(SPEC, noise=0.0)),
        Scenario(SPEC, solver="irls"),
    ],
)
def test_frames_are_the_history_of_the_fit(scenario):
    result = run_scenario(scenario)
    steps = solver_steps(result, "light")
    frames = [frame for frame in steps.frames if frame.iteration > 0]
    assert len(frames) == result.fit.n_iter
    for frame, record in zip(frames, result.fit.history, strict=True):
        assert frame.iteration == record.iteration
        np.testing.assert_array_equal(frame.singular_values, record.singular_values)
        np.testing.assert_array_equal(frame.block_norms, record.block_norms)
        assert frame.objective == record.objective
    sent = steps.data["norms"][-1]
    np.testing.assert_allclose(sent, result.fit.contamination_norms, rtol=1e-4)
    assert {len(steps.data[key]) for key in ("iterations", "values", "words")} == {
        len(steps.frames)
    }


@pytest.mark.parametrize("side", ["output", "input"])
def test_the_convex_solver_starts_with_everything_in_l(side):
    result = run_scenario(Scenario(replace(SPEC, noise=0.0), side=side))
    start = solver_steps(result, "dark").frames[0]
    assert start.iteration == 0
    assert start.objective is None
    assert set(start.block_norms) == {0.0}
    blocks = result.problem.updates
    stacked = np.hstack(list(blocks if side == "output" else blocks.transpose(0, 2, 1)))
    wanted = np.linalg.svd(stacked, compute_uv=False)
    n = len(start.singular_values)
    np.testing.assert_allclose(start.singular_values, wanted[:n], atol=1e-9)
    # rounding is no direction
    assert sum(v > 0 for v in start.singular_values) == np.linalg.matrix_rank(stacked)


def test_words_count_what_the_record_holds():
    result = run_scenario(Scenario(replace(SPEC, noise=0.0)))
    for frame, record in zip(
        solver_steps(result, "light").frames[1:], result.fit.history, strict=True
    ):
        positive, off = int(sum(record.singular_values > 0)), int(sum(record.block_norms == 0))
        assert frame.words.startswith(f"{positive} of {len(record.singular_values)} directions")
        assert 0 < off < 9
        assert f"{off} of 9 clients have nothing in S" in frame.words
    assert "Finished" in frame.words
    noisy = run_scenario(Scenario(SPEC))
    assert "every client has something in S" in solver_steps(noisy, "light").frames[-1].words
    assert "With noise" in solver_steps(noisy, "light").caption


def test_irls_has_no_start_and_says_who_counts_less():
    result = run_scenario(Scenario(SPEC, solver="irls"))
    frames = solver_steps(result, "light").frames
    assert frames[0].iteration == 1
    assert frames[0].primal_residual is None
    assert "plain PCA" in frames[0].words
    assert {frame.penalty for frame in frames} == {None}
    distances = result.fit.history[0].block_norms
    far = int(distances.argmax())
    share = f"{distances.min() / distances[far]:.0%}"
    assert f"client {far + 1}, the farthest, counting {share}" in frames[1].words


def test_rounding_is_drawn_as_nothing():
    spec = replace(SPEC, noise=0.0, poisoned_fraction=0.0)
    result = run_scenario(Scenario(spec, solver="irls"))
    assert (result.fit.history[-1].block_norms > 0).any()
    steps = solver_steps(result, "light")
    assert {value for row in steps.data["norms"] for value in row} == {0.0}
    assert settled(result) == 1


def test_after_settling_nothing_visible_moves():
    result = run_scenario(Scenario(SPEC))
    history, seen = result.fit.history, settled(result)
    end = history[-1].block_norms, history[-1].singular_values

    def moves(record):
        return any(
            np.abs(now - last).max() > VISIBLE * last.max()
            for now, last in zip((record.block_norms, record.singular_values), end, strict=True)
        )

    assert 1 < seen < len(history)
    assert moves(history[seen - 2])
    assert not any(moves(record) for record in history[seen - 1 :])
    assert f"{seen} of {len(history)} iterations" in solver_steps(result, "light").title


def test_a_single_iteration_and_an_unfinished_fit_are_named():
    result = run_scenario(Scenario(SPEC))
    single = replace(result, fit=replace(result.fit, history=result.fit.history[:1], n_iter=1))
    assert "nothing to play" in solver_steps(single, "light").title
    same = tuple(replace(result.fit.history[-1], iteration=k) for k in (1, 2, 3))
    still = replace(result, fit=replace(result.fit, history=same, n_iter=3))
    assert solver_steps(still, "light").title.endswith("; two more only confirm it")
    stopped = replace(result, fit=replace(result.fit, status="max_iter"))
    steps = solver_steps(stopped, "light")
    assert "unfinished" in steps.title
    assert steps.frames[-1].words.endswith("before reaching its tolerance.")


def test_the_largest_scenario_is_light_enough_to_send_once():
    result = run_scenario(Scenario(ProblemSpec(n_clients=50, d_out=64, d_in=64)))
    text = json.dumps(solver_steps(result, "dark").data, allow_nan=False)
    assert len(text) < 200_000
