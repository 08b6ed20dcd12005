"""Argument checks with one wording: the argument, the rule it breaks and the value received."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

import numpy as np


def check_integer(
    name: str, value: Any, *, minimum: int | None = None, maximum: int | None = None
) -> int:
    """Return `value` as int, or raise ``ValueError`` naming the bound it breaks."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    value = int(value)
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {value}")
    return value


def check_real(
    name: str,
    value: Any,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    open_minimum: bool = False,
    open_maximum: bool = False,
) -> float:
    """Return `value` as a finite float inside the interval, or raise ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    value = float(value)
    below = value <= minimum if open_minimum else value < minimum
    above = value >= maximum if open_maximum else value > maximum
    if below or above:
        left, right = "(" if open_minimum else "[", ")" if open_maximum else "]"
        if math.isinf(maximum):
            rule = f"greater than {minimum:g}" if open_minimum else f"at least {minimum:g}"
        else:
            rule = f"in {left}{minimum:g}, {maximum:g}{right}"
        raise ValueError(f"{name} must be {rule}, got {value:g}")
    return value


def check_automatic(name: str, value: Any) -> None:
    """Raise ``ValueError`` for a text other than "auto" where a number could stand instead."""
    if isinstance(value, str) and value != "auto":
        raise ValueError(f'{name} must be "auto" or a number, got {value!r}')


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """Return `value` if it is one of `choices`, or raise ``ValueError`` listing them."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def check_finite(name: str, array: np.ndarray) -> None:
    """Raise ``ValueError`` naming the first client with a NaN or infinite entry."""
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        clients = np.flatnonzero(~finite)
        raise ValueError(
            f"{name} must be finite, got NaN or infinity at client {clients[0]}"
            + (f" and {len(clients) - 1} more" if len(clients) > 1 else "")
        )


def check_mask(name: str, mask: Any, n_clients: int) -> np.ndarray:
    """Return `mask` as a boolean vector with one entry a client, or raise ``ValueError``."""
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.shape != (n_clients,):
        raise ValueError(
            f"{name} must be a boolean array of shape ({n_clients},), "
            f"got {array.dtype} of shape {array.shape}"
        )
    return array
