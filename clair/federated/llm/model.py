"""A causal language model whose first layers are frozen and computed once for each prompt."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from clair.federated.lora import is_linear

CHUNK = 24  # prompts of one forward pass, to bound memory and to cancel in between
NEVER_ADAPTED = ("k_proj", "v_proj")  # so that keys and values of the last layer stay
NORMS = ("norm", "ln_f", "final_layernorm", "final_layer_norm")
TOLERANCE = 1e-3


def load_model(folder: Path, device: torch.device) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer from a folder, frozen, in float32.

    Nothing is fetched from anywhere, and no code or pickle of the folder is run.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If transformers cannot load it.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"model must be a folder with a config.json, got {str(folder)!r}")
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours is shown instead
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **options)
        model = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=torch.float32, use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"model must be a causal language model that transformers can load, got "
            f"{str(folder)!r}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error
    return model.requires_grad_(False).eval().to(device), tokenizer


def layers_of(model: Any) -> tuple[str, nn.ModuleList]:
    """Find the list of the model's layers, and its name.

    Raises
    ------
    ValueError
        If there is none.
    """
    lists = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m)]
    depth = getattr(model.config, "num_hidden_layers", None)
    for name, layers in lists:
        if len(layers) == depth:
            return name, layers
    raise ValueError(f"model must have a list of {depth} layers, got {type(model).__name__}")


def adapted_modules(model: Any, depth: int) -> tuple[str, ...]:
    """Name the linear modules of the last `depth` layers, without those of keys and values.

    Raises
    ------
    ValueError
        If the model has fewer layers.
    """
    name, layers = layers_of(model)
    if depth > len(layers):
        raise ValueError(f"depth must be at most the model's {len(layers)} layers, got {depth}")
    return tuple(
        f"{name}.{i}.{part}"
        for i in range(len(layers) - depth, len(layers))
        for part, module in layers[i].named_modules()
        if is_linear(module) and not part.endswith(NEVER_ADAPTED)
    )


class _Reached(Exception):  # noqa: N818 - ends a forward pass that has gone far enough
    """The first adapted layer has been reached."""


class FrozenPrompts(nn.Module):
    """Next-token logits of a fixed list of prompts, of which the frozen layers run only once.

    Prompts are padded on the right: attention is causal, so no token that matters sees the padding.
    In the last layer of a Llama, keys and values are not adapted, so that only the last token of a
    prompt has to pass through it; other architectures run their layers on all tokens.

    Parameters
    ----------
    model : nn.Module
        From `load_model`.
    tokens : sequence of sequence of int
        One list a prompt.
    depth : int
        How many of the last layers are adapted.
    store : Path, optional
        File that keeps what the frozen layers make of the prompts, so that they run but once.
    on_chunk : callable
        Receives how many prompts are done; may raise to stop.
    """

    def __init__(
        self,
        model: Any,
        tokens: Sequence[Sequence[int]],
        depth: int,
        *,
        store: Path | None = None,
        on_chunk: Callable[[int], None] = lambda done: None,
    ) -> None:
        super().__init__()
        self._parts: Any = _Parts(model, depth)
        device = next(model.parameters()).device
        lengths = torch.tensor([len(one) for one in tokens], device=device)
        padded = torch.zeros(len(tokens), int(lengths.max()), dtype=torch.int64, device=device)
        for row, one in zip(padded, tokens, strict=True):
            row[: len(one)] = torch.tensor(one, device=device)
        self._last = lengths - 1
        self._answers: Tensor | None = None
        self._settings = self._parts.settings(padded[:1])
        hidden = _stored(store, padded)
        if hidden is None:
            chunks, done = [], 0
            for part in padded.split(CHUNK):
                chunks.append(self._parts.before(part))
                done += len(part)
                on_chunk(done)
            hidden = torch.cat(chunks)
            _keep(store, padded, hidden)
        self._hidden = hidden  # (n_prompts, length, hidden)
        self._known = self._parts.keys_and_values(self._hidden, self._settings)
        self._parts.check(
            self(torch.zeros(1, 1, dtype=torch.int64, device=device)), padded[:1, : lengths[0]]
        )

    def answering(self, answers: Tensor) -> FrozenPrompts:
        """Restrict the answers to some tokens, the last axis of the logits."""
        fewer = copy(self)
        fewer._answers = answers
        return fewer

    def forward(self, prompts: Tensor) -> Tensor:
        """Compute logits with the updates attached, of prompts of shape (n, 1) of int64."""
        return self._logits(self._final(prompts.flatten()))

    def likeliest(self, prompts: Tensor) -> Tensor:
        """Find the likeliest token after each prompt, (n_models, n) as the prompts.

        Where all models agree to the last bit, as they do on a common average, the costly head
        answers for one of them.
        """
        final = self._final(prompts.flatten()).view(*prompts.shape, -1)
        alike = all(torch.equal(one, final[0]) for one in final[1:])
        few = final[:1] if alike else final
        tokens = self._logits(few.flatten(0, 1)).argmax(1).view(few.shape[:2])
        return tokens.expand(prompts.shape)

    def _logits(self, final: Tensor) -> Tensor:
        head = self._parts.head
        if self._answers is None:
            logits: Tensor = head(final)
            return logits
        bias = None if head.bias is None else head.bias[self._answers]
        return nn.functional.linear(final, head.weight[self._answers], bias)

    def _final(self, rows: Tensor) -> Tensor:
        """Compute the last token's final hidden state, (n, hidden)."""
        parts, last = self._parts, self._last[rows]
        if self._known is not None:
            hidden = self._hidden[rows, last]
            known = tuple(part[rows] for part in self._known)
            return parts.norm(parts.last_layer(hidden, *known, last, self._settings))
        hidden = self._hidden[rows]
        for layer in parts.layers[:-1]:
            hidden = parts.through(layer, hidden, self._settings)
        if parts.llama:
            known = parts.keys_and_values(hidden, self._settings, deep=True)
            hidden = hidden[torch.arange(len(rows), device=rows.device), last]
            return parts.norm(parts.last_layer(hidden, *known, last, self._settings))
        hidden = parts.through(parts.layers[-1], hidden, self._settings)
        return parts.norm(hidden[torch.arange(len(rows), device=rows.device), last])


def _stored(store: Path | None, tokens: Tensor) -> Tensor | None:
    """Read what the frozen layers made of exactly these prompts, if it was kept."""
    if store is None:
        return None
    try:
        kept = load_file(store, device=str(tokens.device))
    except (OSError, SafetensorError):
        return None
    same = torch.equal(kept["tokens"], tokens)
    return kept["hidden"] if same else None


def _keep(store: Path | None, tokens: Tensor, hidden: Tensor) -> None:
    """Write the whole file or nothing; where that is impossible, it is computed again next time."""
    if store is None:
        return
    partial = store.with_name(f".{store.name}-{os.getpid()}-{threading.get_ident()}")
    with suppress(OSError):
        save_file({"tokens": tokens.cpu(), "hidden": hidden.cpu()}, partial)
        partial.replace(store)


class _Parts:
    """The adapted layers of a model, its final norm and its head."""

    def __init__(self, model: Any, depth: int) -> None:
        self._model = model
        name, layers = layers_of(model)
        self.layers = list(layers[len(layers) - depth :])
        around = model.get_submodule(name.rpartition(".")[0])
        norms = [getattr(around, norm) for norm in NORMS if hasattr(around, norm)]
        self.norm: Any = norms[0] if norms else nn.Identity()
        self.head = model.get_output_embeddings()
        self.llama = type(self.layers[-1]).__name__ == "LlamaDecoderLayer"

    def before(self, tokens: Tensor) -> Tensor:
        """Run the frozen layers, (n, length, hidden)."""
        return self._reach(tokens)[0]

    def settings(self, tokens: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Collect what the model gives a layer besides the hidden states, for a single prompt."""
        _, rest, named = self._reach(tokens)
        return rest, named

    def _reach(self, tokens: Tensor) -> tuple[Tensor, tuple[Any, ...], dict[str, Any]]:
        seen: list[tuple[Tensor, tuple[Any, ...], dict[str, Any]]] = []

        def keep(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            seen.append((given[0].clone(), given[1:], named))
            raise _Reached

        handle = self.layers[0].register_forward_pre_hook(keep, with_kwargs=True)
        try:
            with torch.no_grad(), suppress(_Reached):
                self._model(input_ids=tokens, use_cache=False)
        finally:
            handle.remove()
        return seen[0]

    @staticmethod
    def through(layer: nn.Module, hidden: Tensor, settings: Any) -> Tensor:
        """Run a layer as the model does, on all tokens."""
        rest, named = settings
        out = layer(hidden, *rest, **named)
        result: Tensor = out[0] if isinstance(out, tuple) else out
        return result

    def keys_and_values(
        self, hidden: Tensor, settings: Any, deep: bool = False
    ) -> tuple[Tensor, Tensor] | None:
        """Compute the last layer's keys, turned by position, and values, (n, length, heads, size).

        None where they are not known before the training: in a deeper adaptation, or in another
        architecture than Llama.
        """
        if not self.llama or (len(self.layers) > 1 and not deep):
            return None
        layer: Any = self.layers[-1]
        attention = layer.self_attn
        normed = layer.input_layernorm(hidden)
        shape = (*hidden.shape[:2], -1, attention.head_dim)
        cos, sin = (part[0][:, None] for part in settings[1]["position_embeddings"])
        keys = attention.k_proj(normed).view(shape)
        return _turned(keys, cos, sin), attention.v_proj(normed).view(shape)

    def last_layer(
        self, hidden: Tensor, keys: Tensor, values: Tensor, last: Tensor, settings: Any
    ) -> Tensor:
        """Run the last layer of a Llama on the last token of each prompt, (n, hidden)."""
        layer: Any = self.layers[-1]
        attention = layer.self_attn
        cos, sin = (part[0][last][:, None] for part in settings[1]["position_embeddings"])
        query = attention.q_proj(layer.input_layernorm(hidden)).view(
            len(hidden), -1, attention.head_dim
        )
        query = _turned(query, cos, sin)  # (n, heads, size)
        grouped = query.view(len(hidden), keys.shape[2], -1, attention.head_dim)
        scores = torch.einsum("nhgd,nlhd->nhgl", grouped, keys) * attention.scaling
        unseen = torch.arange(keys.shape[1], device=keys.device) > last[:, None]
        scores = scores.masked_fill(unseen[:, None, None], -torch.inf)
        mixed = torch.einsum("nhgl,nlhd->nhgd", torch.softmax(scores, -1), values)
        hidden = hidden + attention.o_proj(mixed.flatten(1))
        result: Tensor = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        return result

    def check(self, logits: Tensor, tokens: Tensor) -> None:
        """Compare with the whole model on one prompt.

        Raises
        ------
        ValueError
            If it computes something else, so that this architecture is not understood here.
        """
        with torch.no_grad():
            expected = self._model(input_ids=tokens, use_cache=False).logits[:, -1]
        size = float(expected.abs().max())
        if not torch.allclose(logits, expected, atol=TOLERANCE * max(size, 1.0), rtol=0.0):
            raise ValueError(
                "model must be a plain stack of layers with a norm and a head, got "
                f"{type(self._model).__name__}"
            )


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn queries or keys by their positions."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin
