"""Figures show the numbers of the result, in both themes, in colours of their own."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from clair.figures.base import Chart
from clair.figures.halves import direction_weights
from clair.figures.palette import PAPERS, ThemeName, role_style
from clair.figures.pixels import MAX_CELLS, png, strip, thin
from clair.figures.solver import block_paths, certificate, convergence
from clair.figures.split import split_strips
from clair.figures.subspace import angles, client_plane, plane, scree
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.scenario import Scenario, ScenarioResult, run_scenario

FIGURES: tuple[Callable[[ScenarioResult, ThemeName], Chart], ...] = (
    split_strips,
    scree,
    angles,
    plane,
    convergence,
    block_paths,
    certificate,
)


def solve(*, rank: int | str = 3, solver: str = "convex", **spec: object) -> ScenarioResult:
    """Solve a small rectangular problem, so that mixed-up axes cannot go unnoticed."""
    shape = {"n_clients": 12, "d_out": 24, "d_in": 18, "seed": 3}
    return run_scenario(
        Scenario(ProblemSpec(**(shape | spec)), rank=rank, solver=solver)  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def result() -> ScenarioResult:
    return solve()


def trace(chart: Chart, name: str) -> object:
    """Find the one trace of that name."""
    found = [t for t in chart.figure.data if t.name and t.name.startswith(name)]
    assert len(found) == 1, [t.name for t in chart.figure.data]
    return found[0]


def decode(data: bytes) -> np.ndarray:
    """Read back an RGBA PNG written without filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, body, shape = 8, b"", (0, 0)
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at + 8 : at + 8 + length]
        crc = struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0]
        assert crc == zlib.crc32(kind + chunk)
        if kind == b"IHDR":
            width, height = struct.unpack(">II", chunk[:8])
            shape = (height, width)
        if kind == b"IDAT":
            body += chunk
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(shape[0], -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(*shape, 4)


@pytest.mark.parametrize("theme", PAPERS)
@pytest.mark.parametrize("draw", FIGURES, ids=lambda f: f.__name__)
def test_every_chart_is_complete(
    draw: Callable[..., Chart], theme: ThemeName, result: ScenarioResult
) -> None:
    chart = draw(result, theme)
    assert chart.title
    assert chart.caption
    assert chart.alt
    layout = chart.figure.layout.template.layout
    assert layout.font.color == PAPERS[theme].ink
    text = chart.figure.to_json()
    # Placeholders that Streamlit puts into figures without colours of their own: black in exports.
    assert not re.search(r"#0000(0[1-9]|1\d)\b", text)
    assert "$" not in text.replace("data:image", "")
    if draw is not split_strips:
        assert chart.figure.layout.xaxis.title.text
        assert chart.figure.layout.yaxis.title.text


@pytest.mark.parametrize("draw", FIGURES, ids=lambda f: f.__name__)
def test_themes_differ_in_colour_only(draw: Callable[..., Chart], result: ScenarioResult) -> None:
    light, dark = draw(result, "light"), draw(result, "dark")
    assert (light.title, light.caption, light.alt) == (dark.title, dark.caption, dark.alt)
    assert light.figure.to_json() != dark.figure.to_json()
    for first, second in zip(light.figure.data, dark.figure.data, strict=True):
        assert np.array_equal(np.asarray(first.y), np.asarray(second.y))


def test_strips_tell_truth_and_verdict(result: ScenarioResult) -> None:
    chart = split_strips(result, "light")
    clients = {
        name: list(np.floor(trace(chart, name).x).astype(int))
        for name in ("honest", "poisoned", "flagged")
    }
    assert clients["poisoned"] == list(np.flatnonzero(result.problem.contaminated))
    assert clients["honest"] == list(np.flatnonzero(~result.problem.contaminated))
    assert clients["flagged"] == list(np.flatnonzero(result.fit.flagged))
    assert len(chart.figure.layout.images) == 3
    picture = decode(base64.b64decode(chart.figure.layout.images[0].source.split(",")[1]))
    assert picture.shape[1] % 12 == 0


def test_pixels_show_size_as_opacity_and_sign_as_hue() -> None:
    blocks = np.array([[[0.0, 1.0, -2.0]], [[4.0, -1.0, 0.0]]])
    picture = decode(png(strip(blocks, 2.0, "#0072b2", "#c24e00")))
    tile = picture.shape[1] // 2
    scale = picture.shape[0]
    first = picture[0, : 3 * scale : scale]
    assert first[:, 3].astype(int).tolist() == [0, pytest.approx(128, abs=5), 255]
    assert tuple(first[1, :3]) == (0, 0x72, 0xB2)
    assert tuple(first[2, :3]) == (0xC2, 0x4E, 0)
    assert picture[0, tile, 3] == 255
    assert picture[0, tile - 1, 3] == 0


def test_thinning_picks_entries() -> None:
    blocks = np.arange(2 * 40 * 5, dtype=float).reshape(2, 40, 5)
    small = thin(blocks)
    assert small.shape == (2, MAX_CELLS, 5)
    assert set(small.ravel()) <= set(blocks.ravel())
    assert np.array_equal(small[:, [0, -1]], blocks[:, [0, -1]])


def test_scree_holds_singular_values(result: ScenarioResult) -> None:
    chart = scree(result, "light")
    for name, blocks in (("M", result.problem.updates), ("L", result.fit.low_rank)):
        exact = np.linalg.svd(np.hstack(list(blocks)), compute_uv=False)
        assert trace(chart, name).y == pytest.approx(exact[:16], abs=1e-6)


def test_angles_are_those_of_the_result(result: ScenarioResult) -> None:
    bar = angles(result, "light").figure.data[0]
    assert result.angles is not None
    assert bar.y == pytest.approx(result.angles)


def test_no_angles_on_the_side_without_truth() -> None:
    result = run_scenario(Scenario(ProblemSpec(d_out=24, d_in=18), side="input"))
    assert result.angles is None
    with pytest.raises(ValueError, match="side must be 'output'"):
        angles(result, "light")
    assert plane(result, "light").figure.data


def test_plane_splits_the_energy_of_every_client(result: ScenarioResult) -> None:
    points = client_plane(result)
    energy = np.sum(result.problem.updates**2, axis=(1, 2))
    assert np.sum(points**2, axis=1) == pytest.approx(energy)
    truth = result.problem.contaminated
    assert points[truth, 1].min() > points[~truth, 1].max()
    poisoned = trace(plane(result, "light"), "poisoned")
    assert poisoned.x == pytest.approx(points[truth, 0])
    assert poisoned.y == pytest.approx(points[truth, 1])


def test_nobody_is_said_to_lie_on_the_line_where_noise_lifts_all() -> None:
    for fraction in (0.0, 0.25):
        spec = ProblemSpec(noise=0.3, poisoned_fraction=fraction)
        title = plane(run_scenario(Scenario(spec)), "light").title
        assert "oise lifts" in title
    flips = plane(run_scenario(Scenario(ProblemSpec(attack="sign_flip"))), "light").title
    assert flips.startswith("The attackers lie on the subspace")


def test_sign_flips_point_the_other_way() -> None:
    flipped = solve(attack="sign_flip")
    points, truth = client_plane(flipped), flipped.problem.contaminated
    assert np.all(points[truth, 0] < 0)
    assert np.all(points[~truth, 0] > 0)
    assert "height says nothing" in plane(flipped, "light").title


def test_convergence_and_paths_follow_the_history(result: ScenarioResult) -> None:
    chart = convergence(result, "light")
    primal = [record.primal_residual for record in result.fit.history]
    assert trace(chart, "primal").y == pytest.approx(primal)
    assert len(primal) == result.fit.n_iter
    y = np.array(trace(block_paths(result, "light"), "poisoned").y, dtype=float)
    ends = y.reshape(int(result.problem.contaminated.sum()), -1)[:, -2]
    assert ends == pytest.approx(result.fit.contamination_norms[result.problem.contaminated])


def test_certificate_says_what_is_proven() -> None:
    noiseless = solve(noise=0.0)
    assert noiseless.fit.certificate is not None
    assert noiseless.fit.certificate.holds
    assert "Proven" in certificate(noiseless, "light").title
    assert "with noise" in certificate(solve(), "light").title
    with pytest.raises(ValueError, match="convex solver only"):
        certificate(solve(solver="irls"), "light")


def test_titles_hold_where_the_decomposition_is_blind() -> None:
    screened = run_scenario(Scenario(ProblemSpec(attack="sign_flip"), screen_coefficients=True))
    assert screened.detection.exact
    assert "do not stand out in S" in split_strips(screened, "light").title
    everybody = run_scenario(Scenario(ProblemSpec(), threshold=0.0))
    assert "Every client is flagged" in split_strips(everybody, "light").title
    ignored = run_scenario(Scenario(ProblemSpec(), threshold=50.0))
    assert "though the poisoned tiles stand out" in split_strips(ignored, "light").title


def test_rounding_is_no_distance() -> None:
    exact = run_scenario(Scenario(ProblemSpec(attack="scaled", noise=0.0)))
    chart = plane(exact, "light")
    assert "height says nothing" in chart.title
    assert chart.figure.layout.yaxis.range[1] > 1e-3


def test_a_proof_is_of_the_split_not_of_the_verdict() -> None:
    everybody = run_scenario(Scenario(ProblemSpec(noise=0.0), threshold=0.0))
    proof = everybody.fit.certificate
    if proof is not None and proof.holds:
        assert "S holds exactly the poisoned clients" in certificate(everybody, "light").title
    assert "fits the subspace anew" in convergence(solve(solver="irls"), "light").caption


def test_colours_mean_the_same_everywhere(result: ScenarioResult) -> None:
    for draw in (split_strips, plane, certificate):
        mark = trace(draw(result, "light"), "poisoned").marker
        assert mark.color == role_style("contaminated", "light").color


def test_weights_by_direction_are_near_the_best_and_need_halves(result: ScenarioResult) -> None:
    with pytest.raises(ValueError, match='need pooling "halves"'):
        direction_weights(result, "light")
    spec = ProblemSpec(n_clients=20, d_out=24, d_in=18, off_subspace=0.8, seed=3)
    for side in ("output", "input"):
        halved = run_scenario(Scenario(spec, rank=3, side=side, pooling="halves"))
        chart = direction_weights(halved, "dark")
        shown, best = trace(chart, "kept"), trace(chart, "best")
        assert len(shown.y) == (24 if side == "output" else 18)
        np.testing.assert_array_equal(shown.y, halved.fit.direction_weights.weights)
        assert np.abs(np.asarray(shown.y) - np.asarray(best.y)).mean() < 0.1
