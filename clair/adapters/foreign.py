"""How other formats than PEFT's say the scaling of an update: mlx-lm, diffusers, kohya.

References
----------
ml-explore/mlx-lm, tuner/lora.py and tuner/utils.py; huggingface/diffusers, loaders/lora_base.py
(``lora_adapter_metadata``) and utils/peft_utils.py (``get_peft_kwargs``: alpha is the rank where
nothing is said); kohya-ss/sd-scripts, networks/lora.py (the same, also where alpha is 0).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from clair.adapters.config import AdapterConfig, number, parse_config
from clair.adapters.errors import AdapterError, printable
from clair.adapters.layouts import DIFFUSERS, KOHYA, MLX, Keys

_MLX_KEYS = ("fine_tune_type", "lora_parameters", "lora_layers", "num_layers")
#: Parts of a pipeline that diffusers and kohya adapt; their names come before the module's.
COMPONENTS = ("unet", "transformer", "transformer_2", "text_encoder", "text_encoder_2", "prior")
_METADATA = "lora_adapter_metadata"


def config_of(raw: dict[str, Any] | None, keys: Keys, shown: str, where: str) -> AdapterConfig:
    """Read the configuration that goes with tensors of any format.

    Parameters
    ----------
    raw : dict or None
        Contents of ``adapter_config.json``.
    keys : Keys
        Of the tensors.
    shown : str
        What to call the configuration in messages.
    where : str
        What to call the client.

    Raises
    ------
    AdapterError
        If the scaling of the updates is not said, or the update is not plain LoRA.
    """
    if raw is not None and keys.layout == MLX and "peft_type" not in raw:
        return _mlx(raw, shown)
    if raw is None or (keys.layout == KOHYA and raw.get("peft_type") != "LORA"):
        if keys.layout in (KOHYA, DIFFUSERS) or _self_contained(keys):
            layout = KOHYA if keys.layout == KOHYA else DIFFUSERS
            return AdapterConfig("", 0, math.nan, False, {}, {}, {}, (), layout)
        words = (
            "has no adapter_config.json (or, for a loose file, no json of the same name), so the "
            "scaling of its updates is not known"
        )
        raise AdapterError(where, words)
    if "peft_type" not in raw and any(key in raw for key in _MLX_KEYS):
        words = "is mlx-lm's, but the tensors beside it are not (lora_a, lora_b)"
        raise AdapterError(shown, words)
    return parse_config(raw, shown)


def _self_contained(keys: Keys) -> bool:
    """Tell whether all modules have an alpha of their own, or are parts of a pipeline."""
    return all(
        pair.alpha or name.split(".", 1)[0] in COMPONENTS for name, pair in keys.pairs.items()
    )


def _mlx(raw: dict[str, Any], shown: str) -> AdapterConfig:
    kind = raw.get("fine_tune_type", "lora")
    if kind != "lora":
        raise AdapterError(
            shown, f"fine_tune_type is {printable(repr(kind), 40)}; only lora is judged"
        )
    told = raw.get("lora_parameters")
    if not isinstance(told, dict):
        raise AdapterError(shown, "says no lora_parameters, so the update's size is not known")
    scale = number(told.get("scale"), "lora_parameters.scale", shown)
    rank = number(told.get("rank"), "lora_parameters.rank", shown, minimum=1)
    if told.get("alpha") is not None:  # versions up to 2024 multiply by alpha / rank
        scale *= number(told["alpha"], "lora_parameters.alpha", shown) / rank
    base = raw.get("model")
    base = base if isinstance(base, str) else ""
    return AdapterConfig(base, int(rank), scale * rank, False, {}, {}, raw, (), MLX)


def metadata_scalings(
    metadata: Mapping[str, Any], modules: Iterable[str], shown: str
) -> dict[str, AdapterConfig]:
    """Read what diffusers says about each component of a pipeline, by the component's name.

    Raises
    ------
    AdapterError
        If that is not what diffusers writes.
    """
    text = metadata.get(_METADATA)
    if text is None:
        return {}
    try:
        told = json.loads(text)
        entries = dict(told)
    except (TypeError, ValueError, RecursionError):
        raise AdapterError(shown, f"its {_METADATA} is not a JSON object") from None
    found = {}
    for part in {name.split(".", 1)[0] for name in modules}:
        own = {k[len(part) + 1 :]: v for k, v in entries.items() if k.startswith(f"{part}.")}
        if own:
            found[part] = parse_config({**own, "peft_type": "LORA"}, shown)
    return found
