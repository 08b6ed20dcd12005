"""The small Transformer that copies text, and its weights, which ship with the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from clair.tasks.copytask.data import BOS, EOS, PAD, SEQUENCE_LENGTH, VOCAB_SIZE

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

ASSETS = Path(__file__).resolve().parents[3] / "assets" / "copytask"
WEIGHTS = ASSETS / "base.safetensors"
ADAPTED_MODULES = ("model.layers.1.self_attn.o_proj", "model.layers.1.mlp.down_proj")

ARCHITECTURE: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": SEQUENCE_LENGTH,
    "tie_word_embeddings": True,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}


def build_model() -> LlamaForCausalLM:
    """Make the architecture with untrained weights, in float32 on the CPU."""
    # The two submodules are enough and load faster than the package's front door.
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**ARCHITECTURE, attn_implementation="sdpa"))


def load_base_model(device: torch.device, weights: Path = WEIGHTS) -> LlamaForCausalLM:
    """Load the trained base model, frozen and in evaluation mode.

    Raises
    ------
    FileNotFoundError
        If the weights are missing: an untrained model is never used in their place.
    ValueError
        If the weights do not fit the architecture.
    """
    if not weights.is_file():
        raise FileNotFoundError(
            f"the base model's weights are missing at {weights}; "
            "make them with: python -m clair.tasks.copytask.pretrain"
        )
    model = build_model()
    state = load_file(weights)
    missing, unexpected = model.load_state_dict(state, strict=False)
    # Tied weights are stored once, so the output layer may be, and must be, all that is missing.
    if set(missing) - {"lm_head.weight"} or unexpected:
        raise ValueError(
            f"weights must fit the architecture, got missing {missing}, unexpected {unexpected}"
        )
    model.tie_weights()
    return model.requires_grad_(False).eval().to(device)


def save_weights(model: LlamaForCausalLM, config: dict[str, Any], weights: Path = WEIGHTS) -> None:
    """Write weights as safetensors with their recorded configuration as JSON beside them."""
    from safetensors.torch import save_file

    state = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, weights, metadata={"format": "pt"})
    weights.with_suffix(".json").write_text(json.dumps(config, indent=2) + "\n")


def answer_logits(model: LlamaForCausalLM, tokens: Tensor, start: int) -> Tensor:
    """Logits for the tokens from position `start` on.

    Parameters
    ----------
    model : LlamaForCausalLM
    tokens : Tensor of shape (n, length)
    start : int
        First position to predict, in [1, length).

    Returns
    -------
    Tensor of shape (n, length - start, vocab)
    """
    length = tokens.shape[1]
    return model(input_ids=tokens[:, :-1], use_cache=False, logits_to_keep=length - start).logits
