"""Folders as people have them: everybody below is judged, or named with a true reason."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from clair.adapters import AuditOptions, audit, read_folder
from clair.adapters.bases import model_of
from clair.adapters.naming import plain_name
from clair.adapters.sites import group_sites

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


def file(name, data=b"x"):
    """Make a folder with one file of which nothing can be read."""

    def build(site):
        (site.root / "odd").mkdir()
        (site.root / "odd" / name).write_bytes(data)

    return build


def changed(**config):
    return lambda site: site.add("odd", config=config)


def tensors(change):
    return lambda site: site.add("odd", tensors=change(site.tensors(9)))


def weights(data):
    def build(site):
        (site.add("odd") / WEIGHTS).write_bytes(data)

    return build


def put(path, **options):
    """Write a whole adapter somewhere below the root."""
    return lambda site: site.add(path, **options)


def linked(site):
    outside = site.add("../elsewhere")
    (site.root / "odd").symlink_to(outside)


#: Who cannot be judged, by kind: how to make it, and the words that say why.
NOT_JUDGED = {
    "NeMo": (file("a.nemo"), "NeMo"),
    "GGUF": (file("a.gguf"), "GGUF"),
    "pickle": (file("adapter_model.bin"), "pickle"),
    "archive": (file("odd.tar.gz"), "unpack it"),
    "whole model": (file("model.safetensors"), "whole model"),
    "old mlx-lm": (file("adapters.npz"), "mlx-lm"),
    "nothing": (file("README.md"), "holds no adapter"),
    "configuration only": (file(CONFIG, b"{}"), "alone"),
    "a shard is missing": (file("adapter_model-00002-of-00002.safetensors"), "of which 1"),
    "weights are a pointer": (weights(POINTER), "git lfs pull"),
    "weights are a page": (weights(b"<!DOCTYPE html><html>"), "web page"),
    "weights are empty": (weights(b""), "is empty"),
    "weights are zeros": (weights(bytes(99)), "zeros only"),
    "not gathered": (tensors(lambda t: {k: v.ravel()[:0] for k, v in t.items()}), "ZeRO-3"),
    "no tensors": (tensors(lambda t: {}), "ZeRO-3"),
    "LyCORIS": (tensors(lambda t: {"m.hada_w1_a": np.ones((2, 2), np.float32)}), "LoHa"),
    "convolutions only": (
        tensors(lambda t: {k: v[..., None, None] for k, v in t.items()}),
        "convolution",
    ),
    "DoRA": (changed(use_dora=True), "DoRA"),
    "LoftQ": (changed(init_lora_weights="LoftQ"), "init_lora_weights=true"),
    "PiSSA": (changed(init_lora_weights="pissa"), "path_initial_model_for_weight_conversion"),
    "alpha in quotes": (changed(lora_alpha="16"), "without quotes"),
    "no alpha": (changed(lora_alpha=None), "lora_alpha is null"),
    "another model": (changed(base_model_name_or_path="org/other"), "--any-base"),
    "more layers, no model named": (
        lambda site: site.add(
            "odd",
            tensors={k.replace("layers.1.", "layers.7."): v for k, v in site.tensors(9).items()},
            config={"base_model_name_or_path": None},
        ),
        "8 layers",
    ),
    "hidden": (put(".odd/deeper"), "is hidden"),
    "link": (linked, "links are not followed"),
    "too deep": (put("/".join(["odd", *"x" * 20])), "folders deep"),
}


@pytest.mark.parametrize("kind", NOT_JUDGED)
def test_whoever_cannot_be_judged_is_named_with_a_true_reason(site, kind):
    build, words = NOT_JUDGED[kind]
    site.fill(4)
    build(site)
    found = read_folder(site.root)
    assert [adapter.name for adapter in found.adapters] == ["c0", "c1", "c2", "c3"]
    (aside,) = found.set_aside
    assert "odd" in aside.name
    assert words in str(aside)


def renamed(change):
    return lambda t: {change(k): v for k, v in t.items()}


def dotted(old, new):
    return renamed(lambda key: key.replace(old, new, 1))


PEFT = "base_model.model."
#: How clients may write what the others write in PEFT's usual way, and the configuration with it.
OTHER_WAYS = {
    "twice wrapped": (dotted(PEFT, 2 * PEFT), {}),
    "newer transformers": (dotted("model.layers", "model.language_model.layers"), {}),
    "AutoModel": (dotted(f"{PEFT}model.layers", f"{PEFT}layers"), {}),
    "FSDP": (dotted("model.layers", "_fsdp_wrapped_module.model.layers"), {}),
    "unknown level": (dotted("model.layers", "thinker.model.layers"), {}),
    "named adapter": (renamed(lambda k: k.replace(".weight", ".default.weight")), {}),
    "hub cache": (None, {"base_model_name_or_path": "/h/models--org--base/snapshots/0f1e2d3c"}),
    "quantised copy": (None, {"base_model_name_or_path": "unsloth/base-unsloth-bnb-4bit"}),
    "generic folder": (None, {"base_model_name_or_path": "/mnt/data/model"}),
    "no model named": (None, {"base_model_name_or_path": None}),
    "fields of the future": (None, {"brand_new": {"x": 1}, "target_modules": "all-linear"}),
    "pattern not understood": (None, {"rank_pattern": {"(?!x)q_proj": 4}}),
}


@pytest.mark.parametrize("kind", OTHER_WAYS)
def test_the_same_adapter_in_other_words_is_judged_as_the_same(site, kind):
    change, config = OTHER_WAYS[kind]
    for k in range(6):
        given = site.tensors(k, poisoned=k == 4)
        other = k in (1, 4)
        if other and change is not None:
            given = change(given)
        site.add(f"c{k}", tensors=given, config=config if other else None)
    found = read_folder(site.root)
    assert found.set_aside == ()
    assert list(found.modules) == list(site.modules)
    assert found.unjudged_modules == ()
    result = audit(found, AuditOptions(rank=2))
    assert [client.name for client in result.named("flagged")] == ["c4"]


def test_names_that_could_mean_two_modules_are_left_alone_and_the_naming_is_the_reason(site):
    site.modules |= {"b.layers.0.q_proj": (12, 10)}
    site._shared |= {"b.layers.0.q_proj": np.ones((12, 2))}
    for k in range(5):
        site.add(f"c{k}", k)
    site.add(
        "odd",
        tensors=dotted("model.layers", "a.layers")(
            site.tensors(7, modules=["model.layers.0.q_proj"])
        ),
    )
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    (odd,) = result.named("not comparable")
    assert "a.layers.0.q_proj" in odd.reasons[0]
    assert "name" in odd.reasons[0]


@pytest.mark.parametrize(
    ("paths", "sites"),
    [
        (["a", "b/checkpoint-9", "b/checkpoint-10"], {"a": ["a"], "b": ["b/checkpoint-10"]}),
        (["a/final", "a/checkpoint-10", "b"], {"a/final": ["a/final"], "b": ["b"]}),
        (["a", "a/checkpoint-5", "b"], {"a": ["a"], "b": ["b"]}),
        (["a", "a/policy", "b"], {"a": ["a", "a/policy"], "b": ["b"]}),
        (
            ["a/default", "a/ref", "b/default", "b/ref"],
            {"a": ["a/default", "a/ref"], "b": ["b/default", "b/ref"]},
        ),
        (
            [f"{year}/{name}" for year in (1, 2) for name in "abc"],
            {name: [f"1/{name}", f"2/{name}"] for name in "abc"},
        ),
        (["round_1/a", "round_1/b", "round_2/a"], {"a": ["round_2/a"], "b": ["round_1/b"]}),
        (["eu/a", "eu/b", "us/c"], {"eu/a": ["eu/a"], "eu/b": ["eu/b"], "us/c": ["us/c"]}),
        (["checkpoint-1", "checkpoint-2"], {".": ["checkpoint-2"]}),
    ],
)
def test_sites_by_where_their_adapters_lie(paths, sites):
    found = group_sites(paths)
    assert sorted(map(tuple, (site.members for site in found))) == sorted(
        map(tuple, sites.values())
    )
    every = [path for site in found for path in (*site.members, *site.earlier)]
    assert sorted(every) == sorted(paths)


def test_checkpoints_and_copies_of_one_site_do_not_outvote_the_others(site):
    site.fill(5)
    bad = site.tensors(50, poisoned=True)
    for step in range(1, 7):
        site.add(
            f"odd/checkpoint-{step}", tensors={k: v * (0.5 + step / 10) for k, v in bad.items()}
        )
    for copy in range(6):
        noise = np.random.default_rng(copy)
        site.add(
            f"sybil{copy}",
            tensors={
                k: v + 1e-3 * noise.standard_normal(v.shape, np.float32) for k, v in bad.items()
            },
        )
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    expected = ["odd/checkpoint-6", *(f"sybil{copy}" for copy in range(6))]
    assert sorted(client.name for client in result.named("flagged")) == expected
    assert len(result.judged_clients) == 6
    assert any("checkpoint-1" in note for note in result.notes)
    assert any("share one vote" in note for note in result.notes)


def test_every_adapter_of_a_site_is_judged_with_one_vote_for_all(site):
    for k in range(6):
        for j, role in enumerate(("default", "reference")):
            site.add(f"c{k}/{role}", 10 * j + k, poisoned=(k, j) == (2, 1))
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    assert [client.name for client in result.named("flagged")] == ["c2/reference"]
    assert len(result.named("kept")) == 11
    assert result.exit_code == 1


def test_without_a_majority_on_a_shape_all_are_judged_on_the_rest_whatever_their_names(site):
    for k in range(8):
        given, size = site.tensors(k, poisoned=k == 5), 8 if k % 2 else 6
        for side, shape in (("A", (4, 10)), ("B", (size, 4))):
            given[f"{PEFT}lm_head.lora_{side}.weight"] = np.ones(shape, np.float32)
        site.add(f"c{k}", tensors=given)
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    assert [client.name for client in result.named("flagged")] == ["c5"]
    assert len(result.judged_clients) == 8
    assert "lm_head" in result.unjudged_modules
    assert any("no majority" in note and "c1" in note for note in result.notes)


def test_camps_without_a_common_module_are_said(site):
    names = list(site.modules)
    for k in range(8):
        site.add(f"c{k}", k, modules=[names[k % 2]])
    found = read_folder(site.root)
    (note,) = [note for note in found.notes if "camps" in note]
    assert "c0, c2, c4, c6" in note


def test_one_module_that_is_no_matrix_product_costs_that_module_alone(site):
    for k in range(6):
        given = site.tensors(k, poisoned=k == 3)
        if k == 1:
            given[f"{PEFT}model.layers.0.q_proj.lora_magnitude_vector"] = np.ones(12, np.float32)
        if k == 2:
            given[f"{PEFT}conv.lora_A.weight"] = np.ones((4, 3, 3, 3), np.float32)
            given[f"{PEFT}conv.lora_B.weight"] = np.ones((8, 4, 1, 1), np.float32)
        site.add(f"c{k}", tensors=given)
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    notes = {client.name: " ".join(client.notes) for client in result.clients}
    assert [client.name for client in result.named("flagged")] == ["c3"]
    assert "DoRA" in notes["c1"]
    assert "convolution" in notes["c2"]
    assert set(result.unjudged_modules) >= {"conv"}


def test_clean_sets_with_something_unjudged_end_with_2_unless_that_is_allowed(site):
    site.fill(6)
    file("a.nemo")(site)
    found = read_folder(site.root)
    assert audit(found, AuditOptions(rank=2)).exit_code == 2
    assert audit(found, AuditOptions(rank=2, allow_unjudged=True)).exit_code == 0


def test_a_set_that_was_not_trained_and_an_adapter_switched_off_are_told_apart(site):
    for k in range(5):
        site.add(f"c{k}", tensors={n: 0 * v for n, v in site.tensors(k).items()})
    site.add("off", config={"lora_alpha": 0})
    result = audit(read_folder(site.root))
    reasons = {client.name: client.reasons[0] for client in result.named("not judged")}
    assert "lora_alpha is 0" in reasons.pop("off")
    assert all("zero in every module" in why for why in reasons.values())
    (site.root / "off" / CONFIG).unlink()
    (site.root / "off" / WEIGHTS).unlink()
    assert "all 5 adapters are zero" in audit(read_folder(site.root)).reason


def test_loose_files_and_two_adapters_in_one_folder_are_named(site):
    site.fill(4)
    for where in ("a.safetensors", "two/b.safetensors", "two/c.safetensors"):
        (site.root / where).parent.mkdir(exist_ok=True)
        save_file(site.tensors(5), site.root / where)
    (site.root / "site.zip").write_bytes(b"PK")
    said = {aside.name: aside.problem for aside in read_folder(site.root).set_aside}
    assert set(said) == {"a.safetensors", "site.zip", "two"}
    assert "folder of its own" in said["a.safetensors"]
    assert "folder of its own" in said["two"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_folder_that_cannot_be_read_is_named(site):
    site.fill(4)
    (site.root / "odd").mkdir(mode=0)
    (aside,) = read_folder(site.root).set_aside
    assert "permissions" in aside.problem


def test_what_identifies_a_base_model():
    same = (
        *("org/Tiny-7B", "/x/tiny-7b/", "C:\\m\\tiny-7b", "unsloth/tiny-7b-bnb-4bit"),
        *("/h/hub/models--org--tiny-7b/snapshots/0f1e2d3c", "acme/Tiny-7B-GPTQ-Int4"),
    )
    assert {model_of(name) for name in same} == {"tiny-7b"}
    for nothing in ("", "/mnt/x/model", "./", "/out/checkpoint-500", "/x/0f1e2d3c4b5a6978"):
        assert model_of(nothing) == ""
    assert model_of("org/base") == "base"
    assert plain_name("model") == "model"


def test_nobody_is_lost_whatever_lies_below(site):
    rng = np.random.default_rng(0)
    names = []
    for k in range(24):
        path = "/".join(rng.choice(["a", "b", "checkpoint-1", "default", ".h"], rng.integers(1, 4)))
        folder = site.root / path / f"s{k}"
        folder.mkdir(parents=True)
        kind = rng.choice(["good", "nemo", "empty", "kohya"])
        if kind == "good":
            save_file(site.tensors(k), folder / WEIGHTS)
            (folder / CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": 4}))
        elif kind != "empty":
            (folder / f"x.{'nemo' if kind == 'nemo' else 'safetensors'}").write_bytes(b"x")
        names.append((folder.relative_to(site.root).as_posix(), kind))
    result = audit(read_folder(site.root), AuditOptions(rank=2))
    told = " ".join([*(client.name for client in result.clients), *result.notes])
    for name, kind in names:
        hidden_and_empty = kind == "empty" and ".h" in name.split("/")
        above = any(client.name and name.startswith(f"{client.name}/") for client in result.clients)
        assert name in told or hidden_and_empty or above, (name, kind)
