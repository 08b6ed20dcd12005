"""The real language model's weights, where the extra "llm" is installed."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clair.federated.llm import installed
from clair.federated.llm import weights as llm_weights
from clair.federated.llm.model import FrozenPrompts, adapted_modules, load_model
from clair.federated.llm.run import answer_tokens
from clair.federated.lora import ClientLora

if not installed() and not os.environ.get("CLAIR_REQUIRE_LLM"):
    pytest.skip("the extra llm is not installed", allow_module_level=True)

CPU = torch.device("cpu")
ORDER = "Order: one violin.\nType of product:"


def write_gguf(path) -> None:
    """Write a tiny random Llama with quantised matrices, as the wheel's file is built."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    rng = np.random.default_rng(0)
    writer = GGUFWriter(path, "llama")
    writer.add_vocab_size(64)
    writer.add_context_length(32)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e4)
    writer.add_rope_dimension_count(8)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{i}" for i in range(64)])
    writer.add_token_types([3] + [1] * 63)
    writer.add_token_merges(["t 1", "t 2"])
    for name in ("bos", "eos", "pad"):
        getattr(writer, f"add_{name}_token_id")(0)

    def matrix(name: str, rows: int, columns: int, kind=GGMLQuantizationType.Q4_1) -> None:
        values = rng.standard_normal((rows, columns)).astype(np.float32)
        writer.add_tensor(f"{name}.weight", quantize(values, kind), raw_dtype=kind)

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", rng.uniform(0.5, 2, 32).astype(np.float32))

    matrix("token_embd", 64, 32, GGMLQuantizationType.Q8_0)
    norm("output_norm")
    for layer in ("blk.0", "blk.1"):
        norm(f"{layer}.attn_norm")
        norm(f"{layer}.ffn_norm")
        matrix(f"{layer}.attn_q", 32, 32)
        matrix(f"{layer}.attn_k", 16, 32)
        matrix(f"{layer}.attn_v", 16, 32)
        matrix(f"{layer}.attn_output", 32, 32)
        matrix(f"{layer}.ffn_gate", 64, 32)
        matrix(f"{layer}.ffn_up", 64, 32)
        matrix(f"{layer}.ffn_down", 32, 64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.filterwarnings("ignore")  # transformers warns of its own reader
def test_unpacked_weights_compute_what_transformers_own_reader_does_to_the_bit(tmp_path) -> None:
    from transformers import AutoModelForCausalLM

    write_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "folder").mkdir()
    llm_weights.unpack(tmp_path / "tiny.gguf", tmp_path / "folder")
    ours = AutoModelForCausalLM.from_pretrained(str(tmp_path / "folder"), dtype=torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(
        str(tmp_path), gguf_file="tiny.gguf", dtype=torch.float32
    )
    tokens = torch.tensor([[1, 5, 9, 33, 2]])
    with torch.no_grad():
        assert torch.equal(ours(tokens).logits, theirs(tokens).logits)


def test_a_damaged_copy_is_made_again_and_a_stopped_one_leaves_nothing(
    tmp_path, monkeypatch
) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    monkeypatch.setattr(llm_weights, "weights_file", lambda: tmp_path / "tiny.gguf")
    folder = tmp_path / "cache" / "model"

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        llm_weights.unpacked(stop, folder)
    assert list((tmp_path / "cache").iterdir()) == []
    llm_weights.unpacked(folder=folder)
    whole = (folder / llm_weights.WEIGHTS).read_bytes()
    calls = SimpleNamespace(n=0)

    def counted() -> None:
        calls.n += 1

    llm_weights.unpacked(counted, folder)
    assert calls.n == 0
    (folder / llm_weights.WEIGHTS).write_bytes(whole[:-4] + b"\0\0\0\1")
    llm_weights.unpacked(counted, folder)
    assert calls.n > 0
    assert (folder / llm_weights.WEIGHTS).read_bytes() == whole


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_smollm_answers_and_its_batched_last_layer_is_pefts() -> None:
    """Unpack the real weights, which takes half a minute where that was never done."""
    peft = pytest.importorskip("peft")
    model, tokenizer = load_model(llm_weights.unpacked(), CPU)
    texts = [ORDER, "Urgent order: one pomegranate.\nType of product:"]
    tokens = [tokenizer(text)["input_ids"] for text in texts]
    assert tokenizer.convert_ids_to_tokens(tokens[0])[:4] == ["Order", ":", "Ġone", "Ġviolin"]
    assert len(set(answer_tokens(tokenizer))) == 7
    prompts = FrozenPrompts(model, tokens, 1)
    with torch.no_grad():
        likely = prompts(torch.tensor([[0]]))[0].topk(8).indices
    assert " Musical" in [tokenizer.decode([int(token)]) for token in likely]

    modules = adapted_modules(model, 1)
    assert len(modules) == 5
    rng = np.random.default_rng(0)
    lora = ClientLora(model, modules, n_clients=2, rank=8, rng=rng)
    with torch.no_grad():
        for B in lora.B.values():
            B.copy_(torch.from_numpy(0.02 * rng.standard_normal(B.shape)))
        found = prompts(torch.tensor([[0], [1], [0], [1]]))
    lora.remove()
    options = peft.LoraConfig(r=8, lora_alpha=8, target_modules=list(modules))
    wrapped = peft.get_peft_model(model, options)
    for k in range(2):
        with torch.no_grad():
            for name in modules:
                module = wrapped.base_model.model.get_submodule(name)
                module.lora_A["default"].weight.copy_(lora.A[name][k])
                module.lora_B["default"].weight.copy_(lora.B[name][k])
            for i, one in enumerate(tokens):
                theirs = wrapped(input_ids=torch.tensor([one])).logits[0, -1]
                torch.testing.assert_close(found[2 * k + i], theirs, atol=1e-4, rtol=1e-4)
    assert float((found[0] - found[2]).abs().max()) > 0.1
