"""LoRA in other formats than PEFT's, held against what each format's own code computes."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from clair.adapters import (
    AdapterError,
    AuditOptions,
    audit,
    read_adapter,
    read_folder,
    write_refined,
)
from clair.adapters.formats import recognise
from clair.adapters.layouts import sort_keys

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
D_OUT, D_IN, RANK = 12, 10, 4


def draw(seed):
    """Draw A (rank, d_in), B (d_out, rank) and inputs of shape (3, d_in)."""
    rng = np.random.default_rng(seed)
    shapes = ((RANK, D_IN), (D_OUT, RANK), (3, D_IN))
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


def kohya(alpha):
    """Add what kohya's ``LoRAModule.forward`` does: up(down(x)) * alpha / dim."""

    def make(seed):
        down, up, x = draw(seed)
        name = "lora_unet_model_layers_0_q_proj"
        tensors = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        if alpha is not None:
            tensors[f"{name}.alpha"] = np.array(alpha, np.float32)
        scale = (alpha or RANK) / RANK  # there an alpha of 0 or none stands for the rank
        return tensors, None, x, (x @ down.T) @ up.T * scale

    return make, "site.safetensors"


def diffusers(metadata=None, scale=1.0, old=False):
    """Add what diffusers does: PEFT's B A, scaled by alpha / r of its metadata, or by 1."""

    def make(seed):
        A, B, x = draw(seed)
        names = ("lora.down", "lora.up") if old else ("lora_A", "lora_B")
        tensors = {f"unet.m.0.q.{n}.weight": v for n, v in zip(names, (A, B), strict=True)}
        return tensors, metadata, x, scale * (x @ A.T) @ B.T

    return make, "pytorch_lora_weights.safetensors"


def mlx(parameters, scale):
    """Add what mlx-lm's ``LoRALinear.__call__`` does: scale * (x @ lora_a) @ lora_b."""

    def make(seed):
        A, B, x = draw(seed)
        lora_a, lora_b = np.ascontiguousarray(A.T), np.ascontiguousarray(B.T)
        tensors = {"model.layers.0.q_proj.lora_a": lora_a, "model.layers.0.q_proj.lora_b": lora_b}
        config = {"fine_tune_type": "lora", "lora_parameters": parameters, "num_layers": 4}
        return tensors, config, x, scale * (x @ lora_a) @ lora_b

    return make, "adapters.safetensors"


TOLD = {"lora_adapter_metadata": json.dumps({"unet.r": RANK, "unet.lora_alpha": 10})}
FORMATS = {
    "kohya": kohya(10.0),
    "kohya, no alpha": kohya(None),
    "kohya, alpha 0": kohya(0.0),
    "diffusers": diffusers(),
    "diffusers, old names": diffusers(old=True),
    "diffusers, alpha in the header": diffusers(TOLD, 10 / RANK),
    "mlx-lm": mlx({"rank": RANK, "scale": 2.5, "dropout": 0.0}, 2.5),
    "mlx-lm of 2024": mlx({"rank": RANK, "alpha": 6, "scale": 2.0}, 2.0 * 6 / RANK),
}


def save(folder, tensors, told, weights):
    """Write a folder; what is told goes into the header or into a configuration."""
    folder.mkdir(parents=True)
    metadata = told if told is TOLD else None
    save_file(tensors, folder / weights, metadata=metadata)
    if told is not None and told is not TOLD:
        (folder / CONFIG).write_text(json.dumps(told))


@pytest.mark.parametrize("kind", FORMATS)
def test_updates_are_what_the_formats_own_code_adds(tmp_path, kind):
    make, weights = FORMATS[kind]
    tensors, told, x, expected = make(1)
    save(tmp_path / "c", tensors, told, weights)
    adapter = read_adapter(tmp_path / "c")
    ((name, module),) = adapter.modules.items()
    B, A = adapter.factors(name)
    assert module.shape == (D_OUT, D_IN)
    np.testing.assert_allclose(x @ A.T @ B.T, expected, rtol=1e-5, atol=1e-5)
    assert kind.split(",")[0].split(" of ")[0] in " ".join(adapter.notes)


@pytest.mark.parametrize("kind", FORMATS)
def test_refined_adapters_come_back_in_the_format_they_came_in(tmp_path, kind):
    make, weights = FORMATS[kind]
    for seed in range(5):
        tensors, told, _, _ = make(seed)
        save(tmp_path / "in" / f"c{seed}", tensors, told, weights)
    result = audit(read_folder(tmp_path / "in"), AuditOptions(rank=1))
    written = write_refined(result, tmp_path / "out", rank=3)
    plan_names = {name for name in load_file(written[0].folder / weights) if "alpha" not in name}
    assert plan_names == {name for name in tensors if "alpha" not in name}
    again = {a.name: a for a in read_folder(tmp_path / "out").adapters}
    full = write_refined(result, tmp_path / "full", energy=1.0)
    whole = {a.name: a for a in read_folder(tmp_path / "full").adapters}
    assert set(again) == set(whole) == {entry.name for entry in full}
    for entry in written:
        (name,) = whole[entry.name].modules
        X, Y = (np.matmul(*found[entry.name].factors(name)) for found in (whole, again))
        lost = np.linalg.norm(X - Y) / np.linalg.norm(X)
        assert lost == pytest.approx(entry.truncation_error, abs=1e-5)


def test_flattened_names_are_matched_with_the_others(tmp_path, site):
    site.fill(5)
    tensors = {}
    for key, value in site.tensors(9).items():
        name = key.removeprefix("base_model.model.").split(".lora_")[0].replace(".", "_")
        side = "down" if "lora_A" in key else "up"
        tensors[f"lora_unet_{name}.lora_{side}.weight"] = value
    save(site.root / "kohya", tensors, None, "kohya.safetensors")
    found = read_folder(site.root)
    assert found.set_aside == ()
    assert all(set(a.modules) == set(site.modules) for a in found.adapters)


def test_shards_of_one_adapter_are_read_as_one(site):
    whole = site.add("whole", 3)
    shards = site.root / "shards"
    shards.mkdir()
    (shards / CONFIG).write_text((whole / CONFIG).read_text())
    keys = sorted(site.tensors(3))
    for number, part in ((1, keys[:1]), (2, keys[1:])):
        last = f"adapter_model-{number:05d}-of-00002.safetensors"
        save_file({key: site.tensors(3)[key] for key in part}, shards / last)
    one, two = read_adapter(whole), read_adapter(shards)
    assert list(one.modules) == list(two.modules)
    for name in one.modules:
        np.testing.assert_array_equal(one.factors(name)[0], two.factors(name)[0])
    save_file({keys[0]: site.tensors(3)[keys[0]]}, shards / last)
    with pytest.raises(AdapterError, match="another shard holds too"):
        read_adapter(shards)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"fine_tune_type": "dora", "lora_parameters": {}}, "only lora"),
        ({"fine_tune_type": "lora"}, "lora_parameters"),
        ({"lora_parameters": {"rank": 4}}, "scale is null"),
        ({"lora_parameters": {"rank": 0, "scale": 1}}, "rank must be at least 1"),
        (None, "scaling"),
    ],
)
def test_what_does_not_say_the_size_of_its_updates_is_refused(tmp_path, config, words):
    tensors = FORMATS["mlx-lm"][0](1)[0]
    save(tmp_path / "c", tensors, config, "adapters.safetensors")
    with pytest.raises(AdapterError, match=words):
        read_adapter(tmp_path / "c")


NAMES = st.lists(
    st.sampled_from(
        (
            *("a", "a.b", "lora_unet_a", "", "base_model.model.a", "é", "a" * 200),
            *("adapter_model", "model", "checkpoint-1"),
        )
    ),
    max_size=4,
)
ENDS = st.sampled_from(
    (
        *(".lora_A.weight", ".lora_B.weight", ".lora_A.x.weight", ".lora_down.weight"),
        *(
            ".lora_up.weight",
            ".alpha",
            ".lora_a",
            ".lora_b",
            ".lora.up.weight",
            "_lora.down.weight",
        ),
        *(
            ".lora_magnitude_vector",
            ".dora_scale",
            ".m",
            ".hada_w1_a",
            ".lora_mid.weight",
            ".weight",
        ),
    )
)
FUZZ = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(st.lists(st.tuples(NAMES.map(".".join), ENDS), max_size=12, unique=True))
def test_every_tensor_is_a_factor_or_named(parts):
    names = [name + end for name, end in parts]
    try:
        keys = sort_keys(names, "c")
    except AdapterError as error:
        assert "names the same factor" in error.problem  # noqa: PT017
        return
    assert not set(keys.pairs) & set(keys.skipped)
    used = [key for pair in keys.pairs.values() for key in (*pair.factors.values(), pair.alpha)]
    assert len([key for key in used if key]) + len(keys.others) <= len(names)


@FUZZ
@given(st.data())
def test_any_folder_of_another_format_is_read_or_refused_in_words(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("odd") / "c"
    kind = data.draw(st.sampled_from(sorted(FORMATS)))
    tensors, told, _, _ = FORMATS[kind][0](2)
    for name in list(tensors):
        change = data.draw(st.sampled_from(("keep", "keep", "drop", "cut", "flat", "nan", "zero")))
        value = tensors.pop(name)
        if change == "cut":
            tensors[name] = np.ascontiguousarray(value[:-1]) if value.ndim else value
        elif change == "flat":
            tensors[name] = value.ravel()
        elif change in ("nan", "zero"):
            tensors[name] = np.full_like(value, np.nan if change == "nan" else 0)
        elif change == "keep":
            tensors[name] = value
    if isinstance(told, dict) and told is not TOLD:
        value = st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.none())
        told = {key: data.draw(st.just(old) | value) for key, old in told.items()}
    save(folder, tensors, told, FORMATS[kind][1])
    try:
        adapter = read_adapter(folder)
        for name in adapter.modules:
            assert all(np.isfinite(factor).all() for factor in adapter.factors(name))
    except AdapterError as error:
        assert str(error).startswith("c")  # noqa: PT017


@FUZZ
@given(
    st.lists(
        st.text(min_size=1, max_size=30)
        | st.sampled_from(
            (
                WEIGHTS,
                CONFIG,
                "a.gguf",
                "adapter_model-00001-of-00002.safetensors",
                "x-000010.safetensors",
                "x.safetensors",
            )
        ),
        max_size=8,
        unique=True,
    )
)
def test_a_folders_files_are_chosen_among_its_own_or_a_problem_is_said(names):
    found = recognise(names)
    if found is not None:
        assert set(found.files) <= set(names)
        assert bool(found.problem) != bool(found.weights)
        assert set(found.others) <= set(names) - set(found.files)
