"""Safetensors files that are broken, huge or hostile, and good ones against the reference."""

import json
import pickle

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clair.adapters import AdapterError, Limits
from clair.adapters.tensorfile import open_tensors

FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def pack(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2, 3), start=0, end=24):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def refused(tmp_path, data, limits=None):
    path = tmp_path / "t.safetensors"
    path.write_bytes(data)
    with pytest.raises(AdapterError) as caught:
        open_tensors(path, "site/t.safetensors", limits or Limits())
    assert str(caught.value).startswith("site/t.safetensors")
    return caught.value.problem


@settings(max_examples=40, deadline=None, suppress_health_check=FUZZ.suppress_health_check)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8).filter(
            lambda s: s != "__metadata__"
        ),
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from("fde")),
        max_size=4,
    )
)
def test_reads_what_the_reference_library_writes(tmp_path, layout):
    rng = np.random.default_rng(0)
    tensors = {n: rng.standard_normal((a, b)).astype(k) for n, (a, b, k) in layout.items()}
    path = tmp_path / "ok.safetensors"
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    opened = open_tensors(path, "ok")
    assert set(opened.tensors) == set(tensors)
    for name, array in tensors.items():
        np.testing.assert_array_equal(opened.read(name), array)


def test_reads_bfloat16_exactly(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    values = torch.tensor([[1.0, -2.5, 3e38], [1e-38, 0.0, -0.15625]]).to(torch.bfloat16)
    save_file({"x": values}, tmp_path / "b.safetensors")
    np.testing.assert_array_equal(
        open_tensors(tmp_path / "b.safetensors", "b").read("x"), values.float().numpy()
    )


BROKEN = {
    "empty": (b"", "0 bytes"),
    "short prefix": (b"\x10\x00", "2 bytes"),
    "huge header": (pack({}, length=1 << 62), "announces a header of"),
    "header beyond the file": (pack({}, length=500), "truncated"),
    "not JSON": (pack(b"{nonsense"), "not valid JSON"),
    "not UTF-8": (pack(b'{"\xff": 1}'), "not valid JSON in UTF-8"),
    "deep JSON": (pack(b"[" * 100_000), "not valid JSON"),
    "long number": (pack(b'{"a": ' + b"9" * 5000 + b"}"), "not valid JSON"),
    "a list": (pack([1]), "not a JSON object"),
    "twice": (pack(b'{"a": 1, "a": 2}'), "names a twice"),
    "entry is a number": (pack({"a": 3}), "lacks dtype"),
    "no offsets": (pack({"a": {"dtype": "F32", "shape": [1]}}), "lacks dtype"),
    "three offsets": (pack({"a": {**entry(), "data_offsets": [0, 1, 2]}}), "lacks dtype"),
    "text offset": (pack({"a": {**entry(), "data_offsets": ["0", 24]}}), "whole numbers"),
    "boolean shape": (pack({"a": {**entry(), "shape": [True, 6]}}), "whole numbers"),
    "negative": (pack({"a": entry(shape=(-2, -3))}, bytes(24)), "whole numbers"),
    "shape is text": (pack({"a": {**entry(), "shape": "23"}}), "whole numbers"),
    "unknown dtype": (pack({"a": entry(dtype="F3")}, bytes(24)), "unknown dtype"),
    "dtype is a list": (pack({"a": {**entry(), "dtype": ["F32"]}}, bytes(24)), "unknown dtype"),
    "wrong size": (pack({"a": entry(shape=(2, 4))}, bytes(24)), "does not fill"),
    "many axes": (pack({"a": entry(shape=(1,) * 50)}, bytes(24)), "does not fill"),
    "overflow": (pack({"a": entry(shape=(1 << 63, 1 << 63))}, bytes(24)), "does not fill"),
    "truncated data": (pack({"a": entry()}, bytes(20)), "truncated"),
    "surplus data": (pack({"a": entry()}, bytes(30)), "belong to no tensor"),
    "overlap": (pack({"a": entry(), "b": entry(start=12, end=36)}, bytes(36)), "overlaps"),
    "gap": (pack({"a": entry(), "b": entry(start=28, end=52)}, bytes(52)), "leaves a gap"),
    "pickle": (pickle.dumps({"weight": [1.0] * 20}), "pickle"),
    "zip": (b"PK\x03\x04" + b"\xff" * 40, "pickle or zip"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_names_the_file_and_what_is_wrong_with_it(tmp_path, case):
    data, words = BROKEN[case]
    assert words in refused(tmp_path, data)


def test_limits_are_checked_before_anything_is_read(tmp_path):
    many = pack({f"t{i}": entry(start=24 * i, end=24 * i + 24) for i in range(5)}, bytes(120))
    assert "more than 4" in refused(tmp_path, many, Limits(tensors=4))
    assert "more than 50" in refused(tmp_path, many, Limits(file_bytes=50))
    assert "header" in refused(tmp_path, many, Limits(header_bytes=20))
    assert "longer than 1" in refused(tmp_path, many, Limits(name_length=1))


def test_a_sparse_file_of_a_terabyte_costs_nothing(tmp_path):
    path = tmp_path / "t.safetensors"
    with open(path, "wb") as file:
        file.write(pack({"a": entry(shape=(1 << 40,), end=1 << 42)}))
        file.truncate(1 << 42)
    with pytest.raises(AdapterError, match="more than"):
        open_tensors(path, "t")


def test_links_and_folders_are_no_tensor_files(tmp_path):
    real = tmp_path / "real.safetensors"
    real.write_bytes(pack({}))
    assert dict(open_tensors(real, "t").tensors) == {}
    (tmp_path / "link.safetensors").symlink_to(real)
    (tmp_path / "folder").mkdir()
    for name, words in (("link.safetensors", "is a link"), ("folder", "not a regular file")):
        with pytest.raises(AdapterError, match=words):
            open_tensors(tmp_path / name, "t")
    with pytest.raises(AdapterError, match="cannot be read"):
        open_tensors(tmp_path / "missing", "t")


def test_nan_infinity_and_integers_are_refused_when_read(tmp_path):
    path = tmp_path / "t.safetensors"
    arrays = {
        "nan": np.array([1.0, np.nan, np.inf], dtype=np.float16),
        "whole": np.arange(3),
        "fine": np.array([1.0, np.finfo(np.float64).max, np.finfo(np.float64).max]),
    }
    safetensors.numpy.save_file(arrays, path)
    opened = open_tensors(path, "site/t")
    with pytest.raises(AdapterError, match="site/t: nan: 2 of 3 entries are NaN or infinite"):
        opened.read("nan")
    with pytest.raises(AdapterError, match="site/t: whole: dtype I64 is not supported"):
        opened.read("whole")
    np.testing.assert_array_equal(opened.read("fine"), arrays["fine"])


def test_a_file_that_shrinks_after_the_check_is_noticed(tmp_path):
    path = tmp_path / "t.safetensors"
    path.write_bytes(pack({"a": entry()}, bytes(24)))
    opened = open_tensors(path, "t")
    path.write_bytes(pack({"a": entry()}, bytes(4)))
    with pytest.raises(AdapterError, match="ended inside"):
        opened.read("a")


VALID = pack({"a": entry(), "b": entry(start=24, end=48)}, bytes(range(48)))


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_by_name(tmp_path, data):
    _try(tmp_path, data)


@FUZZ
@given(
    st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(VALID)),
)
def test_any_damage_to_a_good_file_is_read_or_refused_by_name(tmp_path, changes, length):
    data = bytearray(VALID)
    for position, value in changes:
        data[position] = value
    _try(tmp_path, bytes(data))
    _try(tmp_path, bytes(data[:length]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["dtype", "shape", "data_offsets", "a", "__metadata__"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@FUZZ
@given(JSON, st.integers(0, 60))
def test_any_json_header_is_read_or_refused_by_name(tmp_path, header, size):
    _try(tmp_path, pack(header, bytes(size)))


def _try(tmp_path, data):
    path = tmp_path / "fuzz.safetensors"
    path.write_bytes(data)
    said = "site/fuzz"
    try:
        opened = open_tensors(path, "site/fuzz")
        for name in opened.tensors:
            assert opened.read(name).size * 2 <= len(data)
    except AdapterError as error:
        said = str(error)
    assert said.startswith("site/fuzz")
