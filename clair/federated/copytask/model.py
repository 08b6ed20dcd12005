"""The small Transformer that copies text, and its weights, which ship with the project."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from clair._files import ASSETS
from clair.federated.copytask.data import BOS, EOS, PAD, SEQUENCE_LENGTH, VOCAB_SIZE

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

WEIGHTS = ASSETS / "copytask" / "base.safetensors"
ADAPTED_MODULES = ("model.layers.1.self_attn.o_proj", "model.layers.1.mlp.down_proj")

PREFIX_CHUNK = 512  # sequences of one forward pass, to bound memory

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
    # These two submodules are enough and load faster than the whole package.
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**ARCHITECTURE))


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
            "make them with: python -m clair.federated.copytask.pretrain"
        )
    model = build_model()
    state = load_file(weights)
    missing, unexpected = model.load_state_dict(state, strict=False)
    # Tied weights are stored once, so the output layer is the only one that may be missing.
    if set(missing) - {"lm_head.weight"} or unexpected:
        raise ValueError(
            f"weights must fit the architecture, got missing {missing}, unexpected {unexpected}"
        )
    model.tie_weights()
    return model.requires_grad_(False).eval().to(device)


def save_weights(model: LlamaForCausalLM, config: dict[str, Any], weights: Path = WEIGHTS) -> None:
    """Write weights as safetensors with their recorded configuration as JSON beside them."""
    state = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, weights, metadata={"format": "pt"})
    weights.with_suffix(".json").write_text(json.dumps(config, indent=2) + "\n")


def answer_logits(model: LlamaForCausalLM, tokens: Tensor, start: int) -> Tensor:
    """Compute logits for the tokens from position `start` on, by the whole model.

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
    kept = tokens.shape[1] - start
    logits: Tensor = model(input_ids=tokens[:, :-1], use_cache=False, logits_to_keep=kept).logits
    return logits


class _Reached(Exception):  # noqa: N818 - ends a forward pass that has gone far enough
    """The last module before the adapted ones has been reached."""


class FrozenPrefix:
    """All that comes before the first adapted module, computed once.

    The adapted modules come after the last attention, so their inputs and the positions that matter
    do not change in training. At every step only the rest of the model has to run, and only where
    an answer is predicted. The logits are those of `answer_logits`.

    Parameters
    ----------
    model : LlamaForCausalLM
        Frozen.
    tokens : Tensor of shape (n, length)
    start : int
        First position to predict, in [1, length).
    """

    def __init__(self, model: LlamaForCausalLM, tokens: Tensor, start: int) -> None:
        self._model = model
        self._layer = model.model.layers[-1]
        kept: dict[str, list[Tensor]] = {"residual": [], "context": []}

        def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                kept[name].append(inputs[0][:, start - 1 :].clone())
                if name == "context":
                    raise _Reached

            return hook

        handles = [
            self._layer.register_forward_pre_hook(keep("residual")),
            self._layer.self_attn.o_proj.register_forward_pre_hook(keep("context")),
        ]
        try:
            with torch.no_grad():
                for part in tokens.split(PREFIX_CHUNK):
                    # Stop before the adapted modules: a chunk may hold part of a client.
                    with suppress(_Reached):
                        model.model(input_ids=part[:, :-1], use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        self._residual = torch.cat(kept["residual"])  # (n, length - start, hidden)
        self._context = torch.cat(kept["context"])

    def at(self, places: Tensor) -> FrozenPrefix:
        """Select some of the (n * (length - start),) places."""
        chosen = copy(self)
        chosen._residual = self._residual.flatten(0, 1)[places]
        chosen._context = self._context.flatten(0, 1)[places]
        return chosen

    def logits(self) -> Tensor:
        """Compute logits with the updates, (n, length - start, vocab) or (places, vocab)."""
        layer = self._layer
        hidden = self._residual + layer.self_attn.o_proj(self._context)
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        logits: Tensor = self._model.lm_head(self._model.model.norm(hidden))
        return logits
