"""Configurations and tensors of one adapter: what is accepted, refused, or noted."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clair.adapters import AdapterError, read_adapter
from clair.adapters.config import ModuleRules, parse_config
from clair.adapters.errors import printable
from clair.adapters.reader import natural_key

BASE = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}


def rules(**change):
    return ModuleRules(parse_config({**BASE, **change}, "c"), "c")


def test_scaling_follows_alpha_rank_rslora_and_patterns():
    name = "model.layers.1.q_proj"
    assert rules().scaling(name, 4) == 2
    assert rules().scaling(name, 8) == 1  # the tensor's rank counts
    assert rules(use_rslora=True).scaling(name, 16) == 2
    for key in ("q_proj", "layers.1.q_proj", r".*\.1\.q_proj", "[qv]_proj", name):
        assert rules(alpha_pattern={"v_proj": 1, key: 12}).scaling(name, 4) == 3
    for key in ("_proj", "layers.2.q_proj", "q", "model.layers.1"):
        assert rules(alpha_pattern={key: 12}).scaling(name, 4) == 2


REFUSED = {
    "another method": ({"peft_type": "IA3"}, "only LORA"),
    "no method": ({"peft_type": None}, "only LORA"),
    "pissa": ({"init_lora_weights": "pissa_niter_4"}, "changes the base weights"),
    "raw parameters": ({"target_parameters": ["experts.w"]}, "target_parameters"),
    "text rank": ({"r": "8"}, "without quotes"),
    "half rank": ({"r": 2.5}, "whole number"),
    "zero rank": ({"r": 0}, "r must be"),
    "infinite alpha": ({"lora_alpha": float("inf")}, "lora_alpha must be"),
    "NaN alpha": ({"lora_alpha": float("nan")}, "lora_alpha must be"),
    "endless alpha": ({"lora_alpha": 10**400}, "lora_alpha must be"),
    "patterns in a list": ({"rank_pattern": [1]}, "must map"),
    "pattern of text": ({"alpha_pattern": {"q": "x"}}, "alpha_pattern"),
    "base model is a number": ({"base_model_name_or_path": 7}, "not a text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_configurations_that_are_refused_by_the_setting_that_rules_them_out(case):
    change, words = REFUSED[case]
    with pytest.raises(AdapterError, match=words) as caught:
        parse_config({**BASE, **change}, "site/adapter_config.json")
    assert str(caught.value).startswith("site/adapter_config.json: ")


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            (
                *BASE,
                *("rank_pattern", "alpha_pattern", "bias", "use_dora", "modules_to_save"),
                *("base_model_name_or_path", "init_lora_weights", "use_rslora"),
            )
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.lists(st.text(max_size=3), max_size=2)
        | st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=2), max_size=3),
    )
)
def test_any_configuration_is_parsed_or_refused_by_name(raw):
    said = "site: "
    try:
        config = parse_config({**BASE, **raw}, "site")
        assert np.isfinite(ModuleRules(config, "site").scaling("model.layers.0.q_proj", 4))
    except AdapterError as error:
        said = str(error)
    assert said.startswith("site: ")


def test_files_that_are_missing_or_pickled_or_no_configuration(site):
    folder = site.add("c")
    config = folder / "adapter_config.json"
    good = config.read_text()
    for text, words in (("{", "not valid JSON"), ("[]", "not a JSON object"), ("", "is empty")):
        config.write_text(text)
        with pytest.raises(AdapterError, match=words):
            read_adapter(folder)
    config.write_text("[" * 50_000)
    with pytest.raises(AdapterError, match="not valid JSON"):
        read_adapter(folder)
    config.write_text(" " * (2 << 20))
    with pytest.raises(AdapterError, match="larger than"):
        read_adapter(folder)
    config.unlink()
    with pytest.raises(AdapterError, match=r"c: has no adapter_config.json"):
        read_adapter(folder)
    (folder / "real.json").write_text(good)
    config.symlink_to(folder / "real.json")
    with pytest.raises(AdapterError, match="is a link"):
        read_adapter(folder)
    config.unlink()
    config.write_text(good)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(AdapterError, match=r"c/adapter_model.bin: is a pickle"):
        read_adapter(folder)
    (folder / "adapter_model.bin").unlink()
    with pytest.raises(AdapterError, match=r"has no adapter_model.safetensors"):
        read_adapter(folder)


Q = "base_model.model.model.layers.0.q_proj"
A, B = np.ones((4, 10), np.float32), np.ones((12, 4), np.float32)
MISFITS = {
    "no LoRA": ({"weight": A}, "no LoRA tensors"),
    "one factor": ({f"{Q}.lora_A.weight": A}, "has lora_A but no lora_B"),
    "other ranks": ({f"{Q}.lora_A.weight": A, f"{Q}.lora_B.weight": B[:, :3]}, "do not fit"),
    "convolution": (
        {f"{Q}.lora_A.weight": A[..., None, None], f"{Q}.lora_B.weight": B[..., None, None]},
        "is a convolution",
    ),
    "rank 0": ({f"{Q}.lora_A.weight": A[:0], f"{Q}.lora_B.weight": B[:, :0]}, "ZeRO-3"),
    "no rows": ({f"{Q}.lora_A.weight": A, f"{Q}.lora_B.weight": B[:0]}, "ZeRO-3"),
    "DoRA": (
        {
            f"{Q}.lora_A.weight": A,
            f"{Q}.lora_B.weight": B,
            f"{Q}.lora_magnitude_vector.weight": A[0],
        },
        "DoRA",
    ),
    "twice": (
        {
            f"{Q}.lora_A.weight": A,
            f"{Q}.lora_A.default.weight": 2 * A,
            f"{Q}.lora_B.weight": B,
        },
        "names the same factor",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_tensors_that_make_no_adapter(site, case):
    tensors, words = MISFITS[case]
    with pytest.raises(AdapterError, match=words) as caught:
        read_adapter(site.add("c", tensors=tensors))
    assert str(caught.value).startswith("c/adapter_model.safetensors")


def test_what_is_not_judged_is_said(site):
    extra = {f"{Q}.bias": A[0], **site.tensors(0)}
    notes = read_adapter(site.add("a", tensors=extra)).notes
    assert len(notes) == 1
    assert f"{Q}.bias" in notes[0]
    assert "not judged" in notes[0]
    config = {"bias": "all", "modules_to_save": ["head"], "trainable_token_indices": [1]}
    notes = read_adapter(site.add("b", tensors=extra, config=config)).notes
    assert [word in note for word, note in zip(("biases", "head", "tokens"), notes, strict=True)]
    notes = read_adapter(site.add("c", config={"r": 7})).notes
    assert "the tensors count (2 modules)" in notes[0]


def test_names_are_shown_without_control_characters():
    assert printable("klinik-zürich-医院") == "klinik-zürich-医院"
    assert "\x1b" not in printable("a\x1b[2Jb")
    assert "\u202e" not in printable("a\u202eb")
    assert printable("\udcff") == "\\udcff"
    assert len(printable("x" * 1000)) == 120


def test_layers_are_in_natural_order():
    names = ["l.10.q", "l.2.q", "l.1.v", "l.1.q"]
    assert sorted(names, key=natural_key) == ["l.1.q", "l.1.v", "l.2.q", "l.10.q"]
    assert json.dumps(sorted(["1a", "a1", "²"], key=natural_key))
