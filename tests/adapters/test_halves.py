"""Half adapters: refined as `clair.fit` does with halves, bounded, and no way to harm others."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest

import clair
from clair.__main__ import main
from clair.adapters import AuditOptions, audit, read_adapter, read_folder, read_halves
from clair.adapters.archive import read_uploads
from clair.adapters.halves import halves_of
from clair.adapters.writer import write_refined


@pytest.fixture
def three(site, tmp_path):
    """Write full adapters of six clients and two folders of half adapters of other ranks."""
    site.fill(6)
    rng = np.random.default_rng(1)
    for half in ("a", "b"):
        for k in range(6):
            folder = tmp_path / half / f"c{k}"
            made = site.tensors(k)
            for key, value in made.items():
                value += 0.4 * rng.standard_normal(value.shape).astype(np.float32)
                axis = 0 if "lora_A" in key else 1
                made[key] = np.concatenate([value, np.zeros_like(value).take([0], axis)], axis)
            place, site.root = site.root, tmp_path / half
            site.add(folder.name, tensors=made, config={"r": 5, "lora_alpha": 10})
            site.root = place
    return site.root, tmp_path / "a", tmp_path / "b"


def dense(root):
    adapters = read_folder(root).adapters
    return {
        name: np.stack([np.matmul(*a.factors(name)) for a in adapters])
        for name in adapters[0].modules
    }


@pytest.mark.parametrize("side", ["output", "input"])
def test_refined_adapters_are_those_of_fit(three, side, tmp_path):
    options = AuditOptions(rank=2, side=side, pooling="halves")
    result = audit(read_folder(three[0]), options, halves=read_halves(*three[1:]))
    written = write_refined(result, tmp_path / "out", energy=1.0)
    assert result.caveat == ""
    updates, *halves = (dense(root) for root in three)
    fit = clair.fit(updates, 2, side=side, pooling="halves", halves=tuple(halves))
    np.testing.assert_array_equal(fit.benign, result.judged.kept)
    weights = np.concatenate([found.weights for found in fit.direction_weights.values()])
    assert 0 < weights.mean() < 1
    assert fit.benign.any()
    for entry, k in zip(written, np.flatnonzero(fit.benign), strict=True):
        assert entry.name == f"c{k}"
        again = read_adapter(entry.folder)
        for name, refined in fit.refined.items():
            np.testing.assert_allclose(np.matmul(*again.factors(name)), refined[k], atol=1e-4)


def test_a_broken_or_inflated_half_changes_little_and_is_told(three, tmp_path, capsys):
    first, second = (read_folder(three[0]), read_halves(*three[1:]))
    options = AuditOptions(rank=2, pooling="halves")
    write_refined(audit(first, options, halves=second), tmp_path / "honest", energy=1.0)
    (three[1] / "c0" / "adapter_model.safetensors").write_bytes(b"junk")
    shutil.rmtree(three[2] / "c1")
    command = ["audit", str(three[0]), "--rank", "2", "--halves", *map(str, three[1:]), "--quiet"]
    main([*command, "--write", str(tmp_path / "lied"), "--write-energy", "1"])
    assert "Without halves that can be used: c0, c1" in capsys.readouterr().out
    for k in range(2, 6):
        honest, lied = (read_adapter(tmp_path / d / f"c{k}") for d in ("honest", "lied"))
        for name in honest.modules:
            before, after = (np.matmul(*a.factors(name)) for a in (honest, lied))
            assert np.linalg.norm(after - before) < 0.3 * np.linalg.norm(before)
    for k in (2, 3):
        shutil.rmtree(three[2] / f"c{k}")
    assert main(command) == 2
    assert "only 2 of 6 adapters" in capsys.readouterr().out


def test_halves_are_offered_and_wrong_ones_refused(three, tmp_path, capsys):
    root, first, second = map(str, three)
    main(["audit", root, "--out", str(tmp_path / "r.json"), "--quiet"])
    assert "--halves DIR_A DIR_B" in capsys.readouterr().out
    assert "nobody can know" in json.loads((tmp_path / "r.json").read_text())["caveat"]
    assert main(["audit", root, "--halves", first, first]) == 2
    assert "holds both halves" in capsys.readouterr().err
    assert main(["audit", root, "--halves", first, str(tmp_path / "none")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["audit", root, "--pooling", "eb", "--halves", first, second])
    with pytest.raises(ValueError, match='with pooling "halves" and only then, got None'):
        audit(read_folder(three[0]), AuditOptions(pooling="halves"))


def zipped(root, prefix=""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in root.rglob("*.*"):
            archive.write(path, prefix + path.relative_to(root).as_posix())
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("together", [False, True])
def test_uploads_bring_halves_by_the_names_of_folders_or_zips(three, tmp_path, together):
    names = ("all", "half-a", "half-b")
    sent = [(f"{name}.zip", zipped(root)) for name, root in zip(names, three, strict=True)]
    if together:
        for name, root in zip(names, three, strict=True):
            shutil.copytree(root, tmp_path / "one" / name.title())
        sent = [("set.zip", zipped(tmp_path / "one", "deep/"))]
    (tmp_path / "in").mkdir()
    found = read_uploads(sent, tmp_path / "in")
    assert [adapter.name for adapter in found.adapters] == [f"c{k}" for k in range(6)]
    options = AuditOptions(rank=2, pooling="halves")
    mine = audit(found, options, halves=halves_of(*found.halves))
    theirs = audit(read_folder(three[0]), options, halves=read_halves(*three[1:]))
    for result, target in ((mine, "mine"), (theirs, "theirs")):
        write_refined(result, tmp_path / target)
    same = dense(tmp_path / "mine"), dense(tmp_path / "theirs")
    for name, value in same[0].items():
        np.testing.assert_allclose(value, same[1][name], atol=1e-5)


def test_one_half_alone_is_not_used(three, tmp_path):
    (tmp_path / "in").mkdir()
    sent = [("all.zip", zipped(three[0])), ("half-b.zip", zipped(three[2]))]
    found = read_uploads(sent, tmp_path / "in")
    assert found.halves is None
    assert [str(entry) for entry in found.set_aside] == [
        "half-b: came without half-a; halves are used together only"
    ]
