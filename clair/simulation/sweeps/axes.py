"""The sides of a grid: any setting of a problem, and any option of CLAIR, with its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from inspect import signature
from typing import Any

import numpy as np

from clair._validation import check_choice, check_integer
from clair.method.choices import DETECTORS, SOLVERS
from clair.method.compressed_fit import POOLINGS, SIDES, FitOptions
from clair.method.fit import fit
from clair.simulation.attacks import ATTACKS

#: Values of an axis of words, or of an option that chooses among words.
CHOICES: dict[str, tuple[str, ...]] = {
    "attack": tuple(ATTACKS),
    "second_attack": tuple(ATTACKS),
    "side": SIDES,
    "solver": tuple(SOLVERS),
    "pooling": POOLINGS,
    "detector": tuple(DETECTORS),
}
#: Settings of a problem that may be an axis: title, and how a number is written.
PROBLEM_AXES: dict[str, tuple[str, str]] = {
    "poisoned_fraction": ("poisoned fraction γ", ".2f"),
    "rank": ("rank r of the shared subspace", ".0f"),
    "n_clients": ("clients K", ".0f"),
    "noise": ("noise σ", ".2f"),
    "off_subspace": ("off-subspace heterogeneity", ".1f"),
    "attack_scale": ("attack strength", ".1f"),
    "heterogeneity": ("heterogeneity", ".1f"),
    "unevenness": ("unevenness of the clients", ".1f"),
    "data_spread": ("spread of the clients' data", ".1f"),
    "attack": ("attack", ""),
    "second_share": ("share of the second attack", ".2f"),
    "second_attack": ("second attack", ""),
    "d_out": ("rows of an update", ".0f"),
    "d_in": ("columns of an update", ".0f"),
    "seed": ("seed", ".0f"),
}
#: Options of `clair.fit` that may be an axis. The rank CLAIR uses has a name of its own.
OPTION_AXES: dict[str, tuple[str, str]] = {
    "use_rank": ("rank CLAIR uses", ".0f"),
    "detector": ("detector", ""),
    "threshold": ("threshold of the scores", "g"),
    "gap": ("ratios of the gap rule", ""),
    "screen_coefficients": ("coefficient screen", ""),
    "compare_shape": ("shape compared", ""),
    "polish": ("polish", ""),
    "pooling": ("pooling", ""),
    "solver": ("solver", ""),
    "side": ("side examined", ""),
    "lam": ("λ", "g"),
    "tol": ("tolerance of the solver", "g"),
    "max_iter": ("iterations of the solver", ".0f"),
}
AXIS_TITLES: dict[str, tuple[str, str]] = PROBLEM_AXES | OPTION_AXES
AXES: tuple[str, ...] = tuple(AXIS_TITLES)
#: Other names that a command line takes for an axis.
ALIASES: dict[str, str] = {
    "strength": "attack_scale",
    "poisoned": "poisoned_fraction",
    "clients": "n_clients",
    "true_rank": "rank",
    "screen": "screen_coefficients",
}
WHOLE = {"rank", "n_clients", "d_out", "d_in", "seed", "use_rank", "max_iter"}
_FLAGS = {"screen_coefficients", "compare_shape", "polish"}
_AUTOMATIC = {"use_rank", "threshold", "lam", "gap"}
#: Options as `clair.fit` has them by default.
FIT_DEFAULTS: dict[str, Any] = {
    field.name: signature(fit).parameters[field.name].default for field in fields(FitOptions)
}


@dataclass(frozen=True)
class Axis:
    """One side of a grid.

    Attributes
    ----------
    name : str
        One of `AXES`.
    values : tuple
        Numbers strictly increase; words, truth values and pairs differ. "auto" may come first.
    """

    name: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        check_choice("axis", self.name, AXES)
        values = tuple(_checked(self.name, value) for value in self.values)
        object.__setattr__(self, "values", values)
        numbers = values[1:] if values[:1] == ("auto",) else values
        different = len(set(values)) == len(values)
        if self.numeric:
            different = "auto" not in numbers and all(np.diff(numbers) > 0)
        if not values or not different:
            raise ValueError(f"values of axis {self.name} must increase, got {self.values}")

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers, with "auto" among them at most."""
        return self.name not in CHOICES and self.name not in _FLAGS and self.name != "gap"

    @property
    def of_problem(self) -> bool:
        """Whether it changes the problem that is drawn."""
        return self.name in PROBLEM_AXES

    def plain(self, index: int) -> Any:
        """Look up the value at an index, an integer where the setting is one."""
        value = self.values[index]
        whole = self.name in WHOLE and value != "auto"
        return int(value) if whole else value

    @property
    def texts(self) -> list[str]:
        """The values as they are shown to people."""
        return [_text(self.name, value) for value in self.values]


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return "/".join(f"{ratio:g}" for ratio in value)
    if name in ("attack", "second_attack"):
        return ATTACKS[value].label
    if isinstance(value, str):
        return value
    how = AXIS_TITLES[name][1]
    short = format(value, how)
    return short if float(short) == value else f"{value:g}"


def _checked(name: str, value: Any) -> Any:
    """Check one value: its kind here, and the range of an option as `clair.fit` does."""
    if name in PROBLEM_AXES:
        if name in CHOICES:
            return check_choice(name, value, CHOICES[name])
        if isinstance(value, str | bool):
            raise ValueError(f"{name} must be a number, got {value!r}")
        number = float(value)
        if name in WHOLE and number != int(number):
            raise ValueError(f"{name} must be a whole number, got {value!r}")
        return number
    return check_option(name, value)


def check_option(name: str, value: Any) -> Any:
    """Check an option of `clair.fit` and return it in its plain form.

    Raises
    ------
    ValueError
        If there is no such option, or the value is out of its range.
    """
    check_choice("option", name, tuple(OPTION_AXES))
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be on or off, got {value!r}")
        return value
    if name in _AUTOMATIC and value == "auto":
        return value
    if name in WHOLE:
        value = int(value) if isinstance(value, float) and value == int(value) else value
        check_integer(name, value, minimum=1)
    if name != "use_rank":
        value = tuple(map(float, value)) if isinstance(value, list | tuple) else value
        FitOptions(**{**FIT_DEFAULTS, name: value})
    numeric = not isinstance(value, str | tuple)
    return float(value) if numeric else value


def parse_value(name: str, text: str) -> Any:
    """Read one value of an axis from text.

    Raises
    ------
    ValueError
        If it is of another kind.
    """
    text = text.strip()
    if name in CHOICES or (text == "auto" and name in _AUTOMATIC):
        return text
    if name in _FLAGS:
        flags = {"on": True, "true": True, "off": False, "false": False}
        if text.lower() not in flags:
            raise ValueError(f"{name} must be on or off, got {text!r}")
        return flags[text.lower()]
    try:
        if name == "gap":
            first, second = text.split("/")
            return float(first), float(second)
        return float(text)
    except ValueError:
        kind = "two ratios, as 1.15/1.25" if name == "gap" else "a number"
        raise ValueError(f"{name} must be {kind}, got {text!r}") from None


def parse_axis(text: str) -> Axis:
    """Read an axis from text: ``name=1,2,5``, or ``name=0.1:0.5:9`` for nine equal steps.

    Raises
    ------
    ValueError
        If there is no such setting, or a value is out of its range.

    Examples
    --------
    >>> parse_axis("poisoned_fraction=0.1:0.5:5").values
    (0.1, 0.2, 0.3, 0.4, 0.5)
    """
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    name = ALIASES.get(name, name)
    check_choice("axis", name, AXES)
    if not equals or not values.strip():
        raise ValueError(f"axis {name} must have values, as {name}=..., got {text!r}")
    parts = values.split(":")
    if len(parts) == 1:
        return Axis(name, tuple(parse_value(name, part) for part in values.split(",")))
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        raise ValueError(f"axis {name} must be first:last:count, got {values!r}") from None
    if len(parts) > 3 or not 1 <= count <= MOST_VALUES:
        raise ValueError(f"axis {name} must have 1 to {MOST_VALUES} values, got {values!r}")
    # twelve digits, so that a tenth is a tenth
    return Axis(name, tuple(float(f"{v:.12g}") for v in np.linspace(low, high, count)))


#: Values of one axis that a range may ask for.
MOST_VALUES = 1000


def plain_options(options: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Sort options by name, without those that are as by default, so that equal ones are equal."""
    checked = {name: check_option(name, value) for name, value in options.items()}
    return tuple(
        (name, value) for name, value in sorted(checked.items()) if FIT_DEFAULTS.get(name) != value
    )
