"""One colour, marker and line style per role and per method, in light and dark.

Starts from the Okabe-Ito palette (Okabe & Ito, "Color universal design", 2008), darkened on light
paper and lightened on dark paper until every mark has a contrast of at least 3:1. Colour never
carries meaning alone: each style has a marker, a dash and a fill pattern of its own, so charts stay
readable in grey print and for colour-blind readers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import Literal

from clair.methods import METHODS

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True)
class Style:
    r"""How one role or method is drawn.

    Attributes
    ----------
    color : str
        Hex colour of the mark.
    symbol : str
        Plotly marker symbol.
    dash : str
        Line style: "solid", "dash", "dot", "dashdot" or "longdash".
    pattern : str
        Fill pattern of bars: "", "/", "\\", "x", "-", "|", "+" or ".".
    """

    color: str
    symbol: str = "circle"
    dash: str = "solid"
    pattern: str = ""


@dataclass(frozen=True)
class Paper:
    """Surface and ink colours of a theme, the same as in ``.streamlit/config.toml``."""

    background: str
    surface: str
    ink: str
    muted: str
    grid: str


PAPERS: dict[ThemeName, Paper] = {
    "light": Paper("#fdfcf9", "#f3f1ea", "#12171c", "#565d66", "#e3e0d6"),
    "dark": Paper("#14181c", "#1e2429", "#e9e6df", "#a6adb5", "#333b43"),
}

# role -> (light, dark, symbol, dash)
_ROLES: dict[str, tuple[str, str, str, str]] = {
    "benign": ("#0072b2", "#56aee6", "circle", "solid"),
    "contaminated": ("#c24e00", "#f5894a", "x", "dash"),
    "suspect": ("#97700a", "#e3bd4a", "triangle-down-open", "dashdot"),
    "threshold": ("#12171c", "#e9e6df", "line-ew", "dash"),
    "truth": ("#12171c", "#e9e6df", "diamond-open", "dash"),
    "recovered": ("#00805d", "#2fc49a", "square", "solid"),
    "observed": ("#565d66", "#a6adb5", "circle-open", "dot"),
}

# method -> (light, dark, symbol, dash, pattern); see `_with_family_styles` for others
_METHODS: dict[str, tuple[str, str, str, str, str]] = {
    "base": ("#8a8f96", "#7d858d", "circle-open", "dot", "."),
    "local": ("#6a7078", "#aab1b8", "circle", "solid", ""),
    "local_longer": ("#6a7078", "#aab1b8", "circle-dot", "dash", "/"),
    "fedavg": ("#b57700", "#f0b030", "square", "solid", ""),
    "fedavg_finetuned": ("#b57700", "#f0b030", "square-open", "dash", "/"),
    "kept_finetuned": ("#b57700", "#f0b030", "square-dot", "dot", "x"),
    "median": ("#a8508a", "#db93c2", "triangle-up", "solid", ""),
    "trimmed_mean": ("#a8508a", "#db93c2", "triangle-up-open", "dash", "/"),
    "geometric_median": ("#a8508a", "#db93c2", "triangle-down", "dot", "x"),
    "geometric_median_finetuned": ("#a8508a", "#db93c2", "triangle-down-open", "dash", "+"),
    "krum": ("#2f86bd", "#7cc7f2", "diamond", "solid", ""),
    "multi_krum": ("#2f86bd", "#7cc7f2", "diamond-open", "dash", "/"),
    "multi_krum_finetuned": ("#2f86bd", "#7cc7f2", "diamond-dot", "dot", "x"),
    "pca": ("#7a6a4f", "#c7b48e", "hexagon", "solid", "-"),
    "clair": ("#00805d", "#2fc49a", "star-open", "solid", "/"),
    "clair_eb": ("#00805d", "#2fc49a", "star", "solid", ""),
    "clair_halves": ("#00805d", "#2fc49a", "star-square", "longdash", "\\"),
    "clair_own": ("#00805d", "#2fc49a", "star-diamond", "dashdot", "x"),
    "clair_finetuned": ("#00805d", "#2fc49a", "star-square", "dash", "+"),
    "clair_safe": ("#00805d", "#2fc49a", "star-diamond-open", "longdash", "-"),
    "clair_published": ("#5f7d2e", "#a3c76a", "star-triangle-up", "dot", "."),
    "fedavg_benign": ("#12171c", "#e9e6df", "square-open", "dash", "/"),
    "benign_finetuned": ("#12171c", "#e9e6df", "square-cross", "dashdot", "+"),
    "pooled_benign": ("#12171c", "#e9e6df", "pentagon-open", "dot", "."),
    "clair_oracle": ("#12171c", "#e9e6df", "star-open", "dash", "/"),
}

ROLES: tuple[str, ...] = tuple(_ROLES)


def _with_family_styles() -> dict[str, tuple[str, str, str, str, str]]:
    """Give a method without a style of its own its family's colours and a mark not used above."""
    colors = {METHODS[key].family: style[:2] for key, style in _METHODS.items()}
    spare = cycle(("hexagram", "hourglass", "bowtie", "octagon", "star-diamond-dot"))
    return _METHODS | {
        key: (*colors[info.family], next(spare), "longdash", "|")
        for key, info in METHODS.items()
        if key not in _METHODS
    }


_STYLES = _with_family_styles()


def role_style(role: str, theme: ThemeName) -> Style:
    """Return the style of a role such as "benign" or "contaminated".

    Raises
    ------
    KeyError
        If the role is unknown.
    """
    light, dark, symbol, dash = _ROLES[role]
    return Style(dark if theme == "dark" else light, symbol, dash)


def method_style(method: str, theme: ThemeName) -> Style:
    """Return the style of a method, e.g. "fedavg" or "clair_eb".

    Raises
    ------
    KeyError
        If the method is unknown.
    """
    light, dark, symbol, dash, pattern = _STYLES[method]
    return Style(dark if theme == "dark" else light, symbol, dash, pattern)


def rgb(color: str) -> tuple[int, int, int]:
    """Split "#rrggbb" into three integers in [0, 255]."""
    value = color.lstrip("#")
    return int(value[:2], 16), int(value[2:4], 16), int(value[4:6], 16)


def mixed(first: str, second: str, share: float) -> str:
    """Mix two colours "#rrggbb"; `share` in [0, 1] is the second one's."""
    parts = (
        round((1 - share) * a + share * b) for a, b in zip(rgb(first), rgb(second), strict=True)
    )
    return "#" + "".join(f"{part:02x}" for part in parts)


def with_alpha(color: str, alpha: float) -> str:
    """Return "#rrggbb" as a CSS ``rgba()`` string with the given opacity in [0, 1]."""
    red, green, blue = rgb(color)
    return f"rgba({red},{green},{blue},{alpha:g})"
