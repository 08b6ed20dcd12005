"""`adapter_config.json`: what it says about the update, and what rules an adapter out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clair.adapters.errors import AdapterError, printable
from clair.adapters.expressions import NotUnderstood
from clair.adapters.layouts import PEFT
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.patterns import Patterns
from clair.adapters.signatures import HEAD, what_is

# Settings under which an adapter changes the model by something else than B A.
_OTHER_UPDATES = {
    "use_qalora": "is a QA-LoRA adapter, whose update is not B A of the layer's shape",
    "use_bdlora": "is a block-diagonal LoRA adapter, which is not supported",
    "target_parameters": "adapts raw parameters (target_parameters), which is not supported",
    "alora_invocation_tokens": "is an activated LoRA, whose update depends on the prompt",
    "kasa_config": "is a KaSA adapter, whose update is not B A",
    "monteclora_config": "is a MonteCLoRA adapter, whose update is not B A",
    "arrow_config": "is a router over other adapters, not an update of its own",
    "layer_replication": "replicates layers of the base model, which is not supported",
}
# Initialisations that also change the base weights: B A alone is not what was learned. PEFT can
# subtract the first adapter of some when it saves.
_CONVERTED = ("pissa", "olora", "corda", "lora_ga")
_REWRITTEN_BASE = (*_CONVERTED, "loftq")
_LARGEST = 10**9


@dataclass(frozen=True)
class AdapterConfig:
    """The part of PEFT's configuration that matters here.

    Attributes
    ----------
    base_model : str
        Name or path of the base model, "" if not given.
    r, alpha : int and float
        Defaults for modules without a pattern.
    rslora : bool
        Scaling ``alpha / sqrt(r)`` instead of ``alpha / r``.
    rank_pattern, alpha_pattern : mapping of str to int or float
        By module name or expression; see `ModuleRules`.
    raw : dict
        The whole file, to be written back.
    notes : tuple of str
        What is in the adapter but is not part of the judged update.
    layout : str
        Format of `raw`, see `clair.adapters.layouts`.
    """

    base_model: str
    r: int
    alpha: float
    rslora: bool
    rank_pattern: Mapping[str, float]
    alpha_pattern: Mapping[str, float]
    raw: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    layout: str = PEFT


class ModuleRules:
    """What a configuration says about each module of an adapter.

    Parameters
    ----------
    config : AdapterConfig
    shown : str
        What to call the file in messages.
    limits : Limits
    """

    def __init__(self, config: AdapterConfig, shown: str, limits: Limits = DEFAULT) -> None:
        self._config, self._shown = config, shown
        self._alpha = self._rank = None
        try:
            self._alpha = Patterns(config.alpha_pattern, limits.pattern_steps)
        except NotUnderstood as problem:
            raise AdapterError(shown, f"alpha_pattern {problem}") from None
        self._rank_problem = ""
        try:
            self._rank = Patterns(config.rank_pattern, limits.pattern_steps)
        except NotUnderstood as problem:
            self._rank_problem = str(problem)

    def scaling(self, module: str, rank: int) -> float:
        """Compute the factor of ``B A`` in a module whose tensors have rank `rank`.

        Raises
        ------
        AdapterError
            If the factor depends on a key of ``alpha_pattern`` that is not evaluated.
        """
        assert self._alpha is not None
        try:
            alphas = self._alpha.values(module, self._config.alpha)
        except NotUnderstood as problem:
            raise AdapterError(self._shown, f"alpha_pattern {problem}") from None
        if len(alphas) > 1:
            key, why = next(iter(self._alpha.not_evaluated.items()))
            raise AdapterError(
                self._shown,
                f"alpha_pattern key {printable(repr(key), 60)} {why} and is not evaluated, so the "
                f"scaling of {printable(module, 60)} is not known; name the modules instead",
            )
        return alphas.pop() / (math.sqrt(rank) if self._config.rslora else rank)

    def expected_rank(self, module: str) -> int | None:
        """Look up the rank the configuration announces, None if unknown; the tensors decide."""
        if self._rank is None:
            return None
        try:
            ranks = self._rank.values(module, self._config.r)
        except NotUnderstood as problem:
            self._rank_problem, self._rank = str(problem), None
            return None
        return int(ranks.pop()) if len(ranks) == 1 else None

    def notes(self) -> list[str]:
        """Say which keys of ``rank_pattern`` are not evaluated, which changes no verdict."""
        problems = [f"rank_pattern {self._rank_problem}"] if self._rank_problem else []
        if self._rank is not None:
            problems += [
                f"rank_pattern key {printable(repr(key), 60)} {why}"
                for key, why in list(self._rank.not_evaluated.items())[:1]
            ]
        return [f"{p} and is not evaluated; the ranks of the tensors count" for p in problems]


def read_json(path: Path, shown: str, limits: Limits = DEFAULT) -> dict[str, Any]:
    """Read a JSON object from a file that is not trusted.

    Raises
    ------
    AdapterError
        If it is no regular file, too large, or no JSON object; with what it is instead.
    """
    try:
        if path.is_symlink():
            raise AdapterError(shown, "is a link, and links are not followed; copy the file here")
        if not path.is_file():
            raise AdapterError(shown, "is not a regular file")
        with open(path, "rb") as file:
            data = file.read(limits.config_bytes + 1)
    except OSError as error:
        raise AdapterError(shown, f"cannot be read ({error.strerror})") from None
    if len(data) > limits.config_bytes:
        raise AdapterError(shown, f"is larger than {limits.config_bytes:,} bytes")
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        problem = what_is(data[:HEAD]) or "is not valid JSON in UTF-8"
        raise AdapterError(shown, problem) from None
    if not isinstance(raw, dict):
        raise AdapterError(shown, "is not a JSON object")
    return raw


def parse_config(raw: dict[str, Any], shown: str) -> AdapterConfig:
    """Check the contents of PEFT's ``adapter_config.json``.

    Raises
    ------
    AdapterError
        For anything but a plain LoRA adapter, naming the setting that rules it out.
    """
    kind = raw.get("peft_type")
    if kind != "LORA":
        words = "missing" if kind is None else f"{printable(repr(kind), 40)}"
        raise AdapterError(shown, f"peft_type is {words}; only LORA is judged")
    for key, problem in _OTHER_UPDATES.items():
        if raw.get(key):
            raise AdapterError(shown, problem)
    start = raw.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_REWRITTEN_BASE):
        advice = (
            "save it with path_initial_model_for_weight_conversion first"
            if start.lower().startswith(_CONVERTED)
            else "train from init_lora_weights=true instead, on the same quantised model if need be"
        )
        raise AdapterError(
            shown,
            f"init_lora_weights is {printable(start, 40)!r}, which also changes the base weights, "
            f"so B A is not what was learned; {advice}",
        )
    base = raw.get("base_model_name_or_path") or ""
    if not isinstance(base, str):
        raise AdapterError(shown, "base_model_name_or_path is not a text")
    rank = number(raw.get("r", 8), "r", shown, minimum=1)
    if rank != int(rank):
        raise AdapterError(shown, f"r must be a whole number, got {rank}")
    return AdapterConfig(
        base_model=base,
        r=int(rank),
        alpha=number(raw.get("lora_alpha", 8), "lora_alpha", shown),
        rslora=bool(raw.get("use_rslora", False)),
        rank_pattern=_pattern(raw, "rank_pattern", shown, minimum=1),
        alpha_pattern=_pattern(raw, "alpha_pattern", shown),
        raw=raw,
        notes=_left_out(raw),
    )


def number(value: Any, name: str, shown: str, minimum: float = -math.inf) -> float:
    """Check a number of a configuration, or raise `AdapterError` with the rule it breaks."""
    if value is None:
        raise AdapterError(shown, f"{name} is null, so the update's size is not known")
    if isinstance(value, str):
        raise AdapterError(
            shown, f"{name} is the text {printable(repr(value), 40)}; write it without quotes"
        )
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise AdapterError(shown, f"{name} must be a number, got {printable(value, 40)}")
    # abs() before isfinite(): an integer of a thousand digits is no float.
    if not abs(value) <= _LARGEST:
        problem = f"must be a number of at most {_LARGEST:,}, got {printable(value, 40)}"
        raise AdapterError(shown, f"{name} {problem}")
    if value < minimum:
        raise AdapterError(shown, f"{name} must be at least {minimum:g}, got {value:g}")
    return float(value)


def _pattern(
    raw: Mapping[str, Any], name: str, shown: str, minimum: float = -math.inf
) -> dict[str, float]:
    entries = raw.get(name) or {}
    if not isinstance(entries, dict):
        raise AdapterError(shown, f"{name} must map module names to numbers")
    return {
        key: number(value, f"{name}[{printable(key, 40)!r}]", shown, minimum)
        for key, value in entries.items()
    }


def _left_out(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Say which parts of an adapter are neither judged nor written back."""
    notes = []
    if raw.get("bias", "none") != "none":
        notes.append("trained biases are not judged and are left out of refined adapters")
    if raw.get("lora_bias"):
        notes.append("biases of lora_B are not judged and are left out of refined adapters")
    if raw.get("trainable_token_indices"):
        notes.append("trained tokens are not judged and are left out of refined adapters")
    return tuple(notes)
