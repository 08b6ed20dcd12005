"""Convert callers' updates to arrays, check them, and scale them to a size safe for floats.

The method squares updates, and squares them again, so entries of 1e-80 vanish and entries of 1e80
overflow. It is also equivariant under scaling, so updates of an unusual size are first multiplied
by a power of two, which is exact. Updates of ordinary size are left alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clair._validation import check_finite

#: Sizes within 2**-ORDINARY .. 2**ORDINARY are left alone (about 1e-30 to 1e30).
ORDINARY = 100
#: Largest ratio of the clients' sizes, and of a size and 1, as powers of two (1e60 and 1e270).
SPREAD, RANGE = 200, 900


def float_array(name: str, value: object) -> np.ndarray:
    """Convert to a finite float64 array of shape (n_clients, rows, columns).

    Parameters
    ----------
    name : str
        What to call it in messages.
    value : array-like
        Of real numbers; torch tensors and lists of them too, with or without gradients, and
        bfloat16.

    Raises
    ------
    ValueError
        For masked arrays, complex numbers, text, ragged shapes, and entries that are not finite.
    """
    try:
        array = np.asarray(_detached(name, value, depth=3))
        if array.dtype.name == "bfloat16":  # NumPy's own kinds do not have it
            array = array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} must be one array of numbers with equal shapes for all clients, got {error}"
        ) from None
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers, got entries of type {array.dtype}")
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f"{name} must have shape (n_clients, rows, columns), none of them 0, got {array.shape}"
        )
    array = array.astype(np.float64, copy=False)
    check_finite(name, array)
    return array


def _detached(name: str, value: Any, depth: int) -> Any:
    """Convert torch tensors to arrays, here and inside lists, without importing torch."""
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError("a masked array; fill what is masked first")
    if hasattr(value, "detach") and hasattr(value, "double"):
        return value.detach().double().cpu().numpy()
    if isinstance(value, list | tuple) and depth > 0:
        return [_detached(name, part, depth - 1) for part in value]
    return value


def log_sizes(array: np.ndarray) -> np.ndarray:
    """Find the power of two just above each client's largest entry, -inf for zeros."""
    largest = np.abs(array).max(axis=(1, 2))
    exponents: np.ndarray = np.where(largest > 0, np.frexp(largest)[1], -np.inf)
    return exponents


def scaling_of(sizes: list[np.ndarray]) -> int:
    """Choose the power of two to divide updates by.

    Parameters
    ----------
    sizes : list of ndarray of shape (n_clients,)
        Of every array that is worked on, see `log_sizes`.

    Returns
    -------
    int
        0 if all of them are of ordinary size, or zero.

    Raises
    ------
    ValueError
        If the updates are too large or small for any scaling, or too different in size.
    """
    joint = np.array(sizes)
    there = joint[np.isfinite(joint)]
    if not there.size:
        return 0
    lowest, highest = int(there.min()), int(there.max())
    if highest - lowest > SPREAD:
        smallest = int(np.where(np.isfinite(joint), joint, np.inf).min(axis=0).argmin())
        raise ValueError(
            "updates must not differ in size by more than a factor of 1e60, got client "
            f"{smallest} with entries up to {_decimal(lowest)} beside {_decimal(highest)}"
        )
    if max(abs(lowest), abs(highest)) > RANGE:
        raise ValueError(
            "updates must have sizes between 1e-270 and 1e270, got entries up to "
            f"{_decimal(highest)}, and at one client up to {_decimal(lowest)}"
        )
    return 0 if lowest >= -ORDINARY and highest <= ORDINARY else highest


def _decimal(exponent: int) -> str:
    """Write a power of two as a power of ten, also one that no float holds."""
    return f"1e{round(exponent * math.log10(2))}"
