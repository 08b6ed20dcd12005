"""Uploads: zips and loose files, honest, broken and hostile."""

import io
import json
import struct
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from clair.adapters import AdapterError, archive, audit
from clair.adapters.archive import UPLOAD_LIMITS, read_uploads
from clair.adapters.options import AuditOptions

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def zipped(entries, compression=zipfile.ZIP_DEFLATED):
    """Write a zip in memory from (name or ZipInfo, bytes) pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, data in entries:
            target.writestr(name, data)
    buffer.seek(0)
    return buffer


def files(site, name, **options):
    folder = site.root / name
    if not folder.exists():
        site.add(name, **options)
    return {n: (folder / n).read_bytes() for n in (CONFIG, WEIGHTS)}


def entries(site, name, prefix=""):
    return [(prefix + n, data) for n, data in files(site, name).items()]


def problems(found):
    return " | ".join(map(str, found.set_aside))


def test_one_zip_of_all_one_zip_each_and_pairs_give_the_same_adapters(site, tmp_path):
    names = ["c1", "c2", "c3", "c4"]
    together = [e for n in names for e in entries(site, n, f"all/{n}/")]
    each = [(f"{n}.zip", zipped(entries(site, n, f"{n}/"))) for n in names]
    pairs = []
    for n in names:
        pairs += [
            (f"{n}.safetensors", io.BytesIO(files(site, n)[WEIGHTS])),
            (f"{n}.json", io.BytesIO(files(site, n)[CONFIG])),
        ]
    shared = [pair for pair in pairs if pair[0].endswith("safetensors")] + [pairs[1]]
    uploads = {"together": [("all.zip", zipped(together))], "each": each, "pairs": pairs}
    uploads["shared"] = [(n, io.BytesIO(f.getvalue())) for n, f in shared]
    scores = []
    for kind, sent in uploads.items():
        target = tmp_path / kind
        target.mkdir()
        found = read_uploads(sent, target)
        assert found.set_aside == ()
        assert [adapter.name for adapter in found.adapters] == names
        result = audit(found, AuditOptions(rank=2))
        scores.append([client.score for client in result.judged_clients])
    assert scores[0] == scores[1] == scores[2] == scores[3]


def test_folders_that_tell_clients_apart_stay_in_their_names(site, tmp_path):
    inside = [*entries(site, "c1", "in/a/c1/"), *entries(site, "c2", "in/b/c1/")]
    found = read_uploads([("all.zip", zipped(inside))], tmp_path)
    assert [adapter.name for adapter in found.adapters] == ["a/c1", "b/c1"]


def test_nobody_in_a_zip_is_left_out_without_a_word(site, tmp_path):
    contents = [e for k in range(4) for e in entries(site, f"c{k}", f"in/c{k}/")]
    tensors = {}
    for key, value in site.tensors(9).items():
        name = key.removeprefix("base_model.model.").split(".lora_")[0].replace(".", "_")
        side = "down" if "lora_A" in key else "up"
        tensors[f"lora_unet_{name}.lora_{side}.weight"] = value
    contents += [
        ("in/kohya/é" + "x" * 200 + ".safetensors", save(tensors)),
        ("in/nemo/a.nemo", b"x"),
        ("in/note/README.md", b"upload failed"),
        ("in/c0/checkpoint-5/adapter_model.bin", b"x"),
        ("__MACOSX/in/c0/._adapter_model.safetensors", b"x"),
    ]
    found = read_uploads([("all.zip", zipped(contents))], tmp_path)
    assert [adapter.name for adapter in found.adapters] == ["c0", "c1", "c2", "c3", "kohya"]
    assert all(len(adapter.modules) == 2 for adapter in found.adapters)
    assert "in/nemo/a.nemo: is a NeMo archive" in problems(found)
    assert "in/note: holds no adapter" in problems(found)
    assert len(found.set_aside) == 2


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def method(name, number):
    info = zipfile.ZipInfo(name)
    info.compress_type = number
    return info


HOSTILE = {
    "climbs out": ([("../../etc/adapter_config.json", b"{}")], "leads out"),
    "absolute": ([("/etc/adapter_config.json", b"{}")], "leads out"),
    "backslashes": ([("..\\..\\adapter_config.json", b"{}")], "leads out"),
    "drive": ([("C:/adapter_config.json", b"{}")], "leads out"),
    "climbs inside": ([("a/../../b/adapter_config.json", b"{}")], "leads out"),
    "link": ([(link("a/adapter_model.safetensors"), b"/etc/passwd")], "is a link"),
    "nothing of use": ([("readme.txt", b"hello")], "holds no adapter"),
    "pickle": ([("a/adapter_model.bin", b"\x80\x04.")], "is a pickle"),
    "huge config": (
        [("a/adapter_model.safetensors", b"x"), ("a/adapter_config.json", b" " * (1 << 20))],
        "unpacks to more than",
    ),
    "packed by bzip2": ([(method("a/adapter_model.safetensors", 12), b"x" * 99)], "method 12"),
    "packed by LZMA": ([(method("a/adapter_model.safetensors", 14), b"x" * 99)], "method 14"),
    "too deep": ([("a/" * 5_000 + "adapter_config.json", b"{}")], "folders deep"),
    "many files": ([(f"{i}", b"") for i in range(4_001)], "more than 4,000"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_zip_is_refused_by_name_and_costs_nobody_else(site, tmp_path, case):
    contents, words = HOSTILE[case]
    good = [(f"c{k}.zip", zipped(entries(site, f"c{k}"))) for k in range(3)]
    target = tmp_path / "in"
    target.mkdir()
    found = read_uploads([("bad.zip", zipped(contents)), *good], target)
    assert [adapter.name for adapter in found.adapters] == ["c0", "c1", "c2"]
    assert words in problems(found)
    assert "bad.zip" in problems(found)
    outside = {p.name for p in tmp_path.iterdir()}
    assert outside == {"in", "site"}
    assert {p.name for p in target.rglob("*") if p.is_file()} <= {CONFIG, WEIGHTS}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_entries_and_duplicate_clients(site, tmp_path):
    twice = zipped([*entries(site, "c0"), *entries(site, "c0")])
    sent = [("a.zip", twice), ("b.zip", zipped(entries(site, "c1")))]
    sent.append(("b.zip", zipped(entries(site, "c2"))))
    found = read_uploads(sent, tmp_path)
    assert [adapter.name for adapter in found.adapters] == ["b"]
    assert "is in the archive twice" in problems(found)
    assert "two uploads hold a client b" in problems(found)


def test_a_zip_bomb_is_stopped_while_it_unpacks(tmp_path, monkeypatch):
    bomb = zipped([(f"{k}/{WEIGHTS}", bytes(3 << 20)) for k in range(20)])
    assert len(bomb.getvalue()) < 100_000
    monkeypatch.setattr(archive, "UNPACKED_BYTES", 10 << 20)
    with pytest.raises(AdapterError, match="unpacks to more than 10 MB in all"):
        read_uploads([("bomb.zip", bomb)], tmp_path)
    assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) <= 10 << 20


def test_a_lying_size_in_the_archive_does_not_matter(site, tmp_path):
    data = zipped(entries(site, "c0"), zipfile.ZIP_STORED).getvalue()
    size = len(files(site, "c0")[WEIGHTS]).to_bytes(4, "little")
    lying = data.replace(size, (1 << 31).to_bytes(4, "little"))
    assert lying != data
    found = read_uploads([("lying.zip", io.BytesIO(lying))], tmp_path)
    assert found.adapters == ()
    assert "lying.zip" in problems(found)


def test_uploads_as_a_whole_are_bounded(site, tmp_path, monkeypatch):
    one = zipped(entries(site, "c0"))
    monkeypatch.setattr(archive, "UPLOAD_BYTES", 1000)
    with pytest.raises(AdapterError, match="larger than"):
        read_uploads([("a.zip", one)], tmp_path)
    monkeypatch.undo()
    many = [(f"c{k}.zip", zipped(entries(site, "c0"))) for k in range(UPLOAD_LIMITS.clients + 1)]
    found = read_uploads(many, tmp_path)
    assert len(found.adapters) == UPLOAD_LIMITS.clients
    assert "more than 64 adapters" in problems(found)


def test_an_encrypted_zip_and_a_directory_that_is_too_long(site, tmp_path):
    secret = bytearray(zipped(entries(site, "c0"), zipfile.ZIP_STORED).getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := secret.find(signature, at + 1)) >= 0:
            secret[at + offset] |= 1
    long = bytearray(zipped(entries(site, "c0")).getvalue())
    at = long.rfind(b"PK\x05\x06")
    long[at + 12 : at + 16] = (64 << 20).to_bytes(4, "little")
    sent = [("secret.zip", io.BytesIO(secret)), ("long.zip", io.BytesIO(long))]
    found = read_uploads(sent, tmp_path)
    assert "is encrypted" in problems(found)
    assert "table of contents" in problems(found)


def zip64(entries, comment=b""):
    """Write the same zip with its table of contents named by a zip64 record alone."""
    data = zipped(entries).getvalue()
    at = data.rfind(b"PK\x05\x06")
    count, length, start = struct.unpack("<HII", data[at + 10 : at + 20])
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, 60, 0, len(comment))
    return io.BytesIO(data[:at] + record + locator + end + comment)


@pytest.mark.parametrize("comment", [b"", b"x" * 65_535])
def test_a_table_of_contents_behind_a_zip64_record_is_not_read(site, tmp_path, comment):
    sent = zip64(entries(site, "c0"), comment)
    with zipfile.ZipFile(sent) as archive:  # apart from that, the archive is valid
        assert len(archive.namelist()) == 2
    found = read_uploads([("a.zip", sent)], tmp_path)
    assert found.adapters == ()
    assert "zip64" in problems(found)


def test_a_colon_in_a_folders_name_leads_nowhere(site, tmp_path):
    sent = [e for k in range(3) for e in entries(site, f"c{k}", f"site: {k}/")]
    found = read_uploads([("a.zip", zipped(sent))], tmp_path)
    assert [adapter.name for adapter in found.adapters] == ["site: 0", "site: 1", "site: 2"]


def test_loose_files_that_do_not_pair_up(site, tmp_path):
    good = files(site, "c0")
    sent = [
        ("x.safetensors", io.BytesIO(good[WEIGHTS])),
        ("a.json", io.BytesIO(good[CONFIG])),
        ("b.json", io.BytesIO(good[CONFIG])),
        ("notes.txt", io.BytesIO(b"hello")),
        ("b.json", io.BytesIO(good[CONFIG])),
    ]
    said = problems(read_uploads(sent, tmp_path / "1"))
    assert "x: has no adapter_config.json" in said
    assert "notes.txt: is neither" in said
    assert "b.json: was uploaded twice" in said
    said = problems(read_uploads([("a.json", io.BytesIO(b"{}"))], tmp_path / "2"))
    assert "without a .safetensors" in said


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_damage_to_a_zip_is_survived(site, tmp_path, data):
    raw = bytearray(zipped(entries(site, "c0")).getvalue())
    for _ in range(data.draw(st.integers(0, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for k, sent in enumerate((bytes(raw), bytes(raw[:cut]), data.draw(st.binary(max_size=80)))):
        target = tmp_path / f"{k}"
        found = read_uploads([("a.zip", io.BytesIO(sent))], target)
        assert found.adapters or found.set_aside
        assert all("a" in aside.where for aside in found.set_aside)


def test_names_in_archives_may_be_in_any_script(site, tmp_path):
    sent = [e for k in range(3) for e in entries(site, f"c{k}", f"клиника {k}/")]
    found = read_uploads([("医院.zip", zipped(sent))], tmp_path)
    assert [adapter.name for adapter in found.adapters] == [f"клиника {k}" for k in range(3)]
    assert json.dumps([adapter.name for adapter in found.adapters])
