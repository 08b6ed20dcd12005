r"""Names of tensors in the common formats of LoRA adapters: which are the factors of which module.

=========  ================================================  =====================================
format     tensors of a module X                             update
=========  ================================================  =====================================
PEFT       X.lora_A.weight, X.lora_B.weight                  alpha / r * B A, by its configuration
kohya      X.lora_down.weight, X.lora_up.weight, X.alpha     alpha / r * up down
diffusers  as PEFT or kohya, or X.lora.down/up.weight        the same, without alpha: B A
mlx-lm     X.lora_a, X.lora_b                                scale * lora_b' lora_a'
=========  ================================================  =====================================

References
----------
kohya-ss/sd-scripts, networks/lora.py (``LoRAModule``); huggingface/diffusers,
loaders/lora_conversion_utils.py; ml-explore/mlx-lm, tuner/lora.py (``LoRALinear.fuse``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from clair.adapters.errors import AdapterError, printable

PEFT, KOHYA, DIFFUSERS, MLX = "PEFT", "kohya", "diffusers", "mlx-lm"
PREFIX = "base_model.model."

_NAME = r"(?P<module>.+)"
#: Names of LoRA factors as PEFT writes them.
LORA_WEIGHT = re.compile(_NAME + r"\.lora_(?P<side>[AB])(\.[^.]+)?\.weight")
_FACTORS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (PEFT, LORA_WEIGHT),
    (PEFT, re.compile(_NAME + r"\.lora_embedding_(?P<side>[AB])(\.[^.]+)?")),
    (KOHYA, re.compile(_NAME + r"\.lora_(?P<side>down|up)(\.[^.]+)?\.weight")),
    (DIFFUSERS, re.compile(_NAME + r"[._]lora\.(?P<side>down|up)\.weight")),
    (MLX, re.compile(_NAME + r"\.lora_(?P<side>[ab])")),
)
_SIDES = {"A": "A", "B": "B", "a": "A", "b": "B", "down": "A", "up": "B"}
_ALPHA = re.compile(_NAME + r"\.(alpha|lora_alpha)")
_DORA = "is adapted by DoRA, which also rescales the base weights, so its update is not B A"
_LYCORIS = "is adapted by LoHa, LoKr or another kind of LyCORIS, so its update is not B A"
_OTHER_UPDATES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(_NAME + r"\.(lora_magnitude_vector(\..+)?|dora_scale|m)"), _DORA),
    (re.compile(_NAME + r"\.(hada|lokr|oft|boft|glora)_.+"), _LYCORIS),
    (re.compile(_NAME + r"\.(diff|diff_b|on_input|a1\.weight|w_norm|b_norm)"), _LYCORIS),
    (re.compile(_NAME + r"\.lora_mid(\..+)?"), "is a convolution in three factors"),
    (re.compile(_NAME + r"\.lora_diag(\..+)?"), "is adapted by KaSA, so its update is not B A"),
)


@dataclass
class Pair:
    """Tensors of one module.

    Attributes
    ----------
    factors : dict of str to str
        Names of the tensors by side, "A" and "B" in PEFT's sense.
    alpha : str
        Name of the tensor with its alpha, "" if there is none.
    layout : str
        The format that names factors like this.
    embedding : bool
    """

    factors: dict[str, str] = field(default_factory=dict)
    alpha: str = ""
    layout: str = PEFT
    embedding: bool = False


@dataclass
class Keys:
    """All tensors of a file, sorted out.

    Attributes
    ----------
    pairs : dict of str to Pair
        By module name, without PEFT's prefix.
    skipped : dict of str to str
        Modules changed by something else than B A, and by what.
    others : list of str
        Tensors that are no factors.
    """

    pairs: dict[str, Pair] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    @property
    def layout(self) -> str:
        """The first format that names any factors here."""
        return next((pair.layout for pair in self.pairs.values()), PEFT)


def sort_keys(names: Iterable[str], where: str) -> Keys:
    """Sort the names of a file's tensors.

    Raises
    ------
    AdapterError
        If two tensors name the same factor.
    """
    keys = Keys()
    alphas: dict[str, str] = {}
    for name in names:
        for layout, pattern in _FACTORS:
            match = pattern.fullmatch(name)
            if match is not None:
                _add(keys, match, layout, where)
                break
        else:
            if (match := _ALPHA.fullmatch(name)) is not None:
                alphas[own_name(match["module"])] = name
                continue
            _sort_other(keys, name)
    for module, name in alphas.items():
        if module in keys.pairs:
            keys.pairs[module].alpha = name
        elif module not in keys.skipped:
            keys.others.append(name)
    for module in keys.skipped:
        keys.pairs.pop(module, None)
    return keys


def _add(keys: Keys, match: re.Match[str], layout: str, where: str) -> None:
    name, side = match[0], _SIDES[match["side"]]
    pair = keys.pairs.setdefault(own_name(match["module"]), Pair(layout=layout))
    if side in pair.factors:
        raise AdapterError(
            f"{where}: {printable(name)}",
            f"names the same factor as {printable(pair.factors[side])}",
        )
    pair.factors[side] = name
    pair.embedding |= ".lora_embedding_" in name


def _sort_other(keys: Keys, name: str) -> None:
    for pattern, reason in _OTHER_UPDATES:
        match = pattern.fullmatch(name)
        if match is not None:
            keys.skipped.setdefault(own_name(match["module"]), reason)
            return
    keys.others.append(name)


def own_name(module: str) -> str:
    """Name a module without the prefix that PEFT writes once."""
    return module.removeprefix(PREFIX)
