"""Hostile uploads: audited and written back, or refused in words, and stoppable."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from clair.adapters import AdapterError, AuditOptions, audit, read_folder, write_refined
from clair.adapters.archive import UPLOAD_LIMITS, read_uploads
from clair.adapters.limits import Limits
from clair.adapters.simulate import SimulatedSet, write_simulated
from clair.adapters.work import audit_work
from clair.adapters.writer import safe_folder
from clair.cancellation import Cancelled

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE = {"peft_type": "LORA", "base_model_name_or_path": "b", "r": 2, "lora_alpha": 4}
LONG = ["\U0001f600" * 64, "a/" * 5_000, "x" * 300, "/".join(["é" * 90] * 9)]
INSIDE = ["a", "A", "a/b", CONFIG, f"x/{CONFIG}", WEIGHTS, "truncation.json", "con"]
STRANGE = ["..", "a:b", "\ud800", "\udcff", "a\nb", "\u202ea", " ", "a.", "-rf"]
NAMES = st.one_of(st.sampled_from([*LONG, *INSIDE, *STRANGE]), st.text(max_size=6))
PATTERNS = [{"rank_pattern": {"(?!x)q": 3}}, {"alpha_pattern": {"q": 1e9, ".*": -3}}]
VALUES = [{"lora_alpha": 0}, {"lora_dropout": float("nan")}, {"task_type": [[]]}]
ODD = st.sampled_from([{}, {}, *PATTERNS, *VALUES, {"revision": "\ud800"}])
SIZES = st.sampled_from([1.0, 1.0, 1.0, 1.0, 0.0, 1e-8, 1e-40, 1e12, 1e38, 1e-160, 1e160])


def weights(seed, size, modules, rank, dtype):
    rng, tensors = np.random.default_rng(seed), {}
    for name in modules:
        B = size * rng.standard_normal((5, rank))
        with np.errstate(over="ignore", under="ignore"):
            tensors[f"base_model.model.{name}.lora_B.weight"] = B.astype(dtype)
        tensors[f"base_model.model.{name}.lora_A.weight"] = rng.standard_normal((rank, 4)).astype(
            dtype
        )
    return save(tensors)


@st.composite
def uploads(draw):
    buffer, seen = io.BytesIO(), set()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(draw(st.integers(1, 7))):
            # zipfile itself fails to write a name that begins with a zero byte
            name = draw(NAMES).encode("utf-8", "replace").decode().replace("\0", "")
            if name in seen:
                continue
            seen.add(name)
            modules = draw(st.sampled_from([["m.0.q"], ["m.0.q", "m.1.q"], ["m.1.q"]]))
            dtype = draw(st.sampled_from([np.float32, np.float16, np.float64]))
            data = weights(k // 2, draw(SIZES), modules, draw(st.integers(1, 3)), dtype)
            archive.writestr(f"{name}/{CONFIG}", json.dumps({**BASE, **draw(ODD)}))
            archive.writestr(f"{name}/{WEIGHTS}", data)
    return buffer


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(uploads(), st.sampled_from(["auto", 1]), st.sampled_from(["none", "eb"]), st.data())
def test_any_upload_ends_in_a_result_or_a_clear_error(tmp_path_factory, sent, rank, pooling, data):
    folder = tmp_path_factory.mktemp("upload")
    try:
        found = read_uploads([("a.zip", sent)], folder / "in")
        result = audit(found, AuditOptions(rank, pooling=pooling), limits=UPLOAD_LIMITS)
        assert result.sentence()
        if result.judged is not None:
            size = data.draw(st.sampled_from([{}, {"rank": 3}, {"energy": 0.9}]))
            written = write_refined(result, folder / "out", **size, limits=UPLOAD_LIMITS)
            assert len({entry.folder for entry in written}) == result.judged.kept.sum()
            with zipfile.ZipFile(io.BytesIO(), "w") as archive:
                for entry in written:
                    inside = sorted(entry.folder.iterdir())
                    assert [path.name for path in inside] == [CONFIG, WEIGHTS]
                    for path in inside:
                        archive.write(path, path.relative_to(folder / "out").as_posix())
    except AdapterError as error:
        assert error.problem  # noqa: PT017
        assert not (folder / "out").exists()


@settings(max_examples=200, deadline=None)
@given(st.lists(NAMES | st.sampled_from(["a", "a/b", "a/b/c", "A"]), max_size=8))
def test_folders_of_refined_adapters_fit_everywhere_and_hold_no_other(names):
    taken: set[str] = set()
    paths = [safe_folder(name, taken) for name in names]
    assert len({path.casefold() for path in paths}) == len(names)
    for path in paths:
        assert len(path.encode()) < 400
        assert not {"", ".", "..", CONFIG, WEIGHTS} & set(path.split("/"))
        assert not any(other.startswith(f"{path}/") for other in paths)


def test_what_would_take_too_long_or_too_much_is_said_before_it_starts(site, tmp_path):
    found = read_folder(site.fill(6))
    result = audit(found, AuditOptions(rank=2))
    with pytest.raises(AdapterError, match="choose a smaller rank"):
        write_refined(result, tmp_path / "out", rank=10_000, limits=Limits(written_bytes=1 << 20))
    assert not (tmp_path / "out").exists()


def test_the_estimate_follows_ranks_and_sides(tmp_path):
    work = []
    for rank, d in ((4, 200), (16, 200), (16, 800)):
        root = tmp_path / f"{rank}-{d}"
        write_simulated(root, SimulatedSet(n_clients=6, layers=1, rank=rank, d_out=d, d_in=d))
        work.append(audit_work(read_folder(root)))
    assert work[0].seconds < work[1].seconds < work[2].seconds
    assert work[0].nbytes < work[1].nbytes < work[2].nbytes


def test_writing_can_be_cancelled_and_leaves_nothing_behind(site, tmp_path):
    result, asked = audit(read_folder(site.fill(6)), AuditOptions(rank=2)), []
    with pytest.raises(Cancelled):
        write_refined(
            result, tmp_path / "out", cancelled=lambda: bool(asked), progress=asked.append
        )
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_unpacking_can_be_cancelled(site, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"c/{WEIGHTS}", bytes(1 << 20))
    with pytest.raises(Cancelled):
        read_uploads([("a.zip", buffer)], tmp_path / "in", cancelled=lambda: True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_neither_opened_nor_taken_for_one(site):
    site.fill(3)
    site.add("pipe")
    (site.root / "pipe" / CONFIG).unlink()
    os.mkfifo(site.root / "pipe" / CONFIG)  # opening it would wait for ever
    site.add(f"{CONFIG}/inside")
    found = read_folder(site.root)
    assert [adapter.name for adapter in found.adapters] == [f"{CONFIG}/inside", "c0", "c1", "c2"]
    assert [aside.problem for aside in found.set_aside] == ["is not a regular file"]
