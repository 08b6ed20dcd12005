"""One visual language: readable on both papers, and never by colour alone."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from clair.figures.palette import (
    PAPERS,
    ROLES,
    ThemeName,
    method_style,
    rgb,
    role_style,
    with_alpha,
)
from clair.methods import METHODS

CONFIG = Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml"


def contrast(first: str, second: str) -> float:
    """Compute the WCAG 2 contrast ratio of two hex colours, in [1, 21]."""
    values = sorted((_luminance(first), _luminance(second)))
    return (values[1] + 0.05) / (values[0] + 0.05)


def _luminance(color: str) -> float:
    channels = [c / 255 for c in rgb(color)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", PAPERS)
def test_marks_and_text_are_readable(theme: ThemeName) -> None:
    paper = PAPERS[theme]
    styles = [role_style(role, theme) for role in ROLES]
    styles += [method_style(method, theme) for method in METHODS]
    assert min(contrast(style.color, paper.background) for style in styles) >= 3
    assert contrast(paper.ink, paper.background) >= 7
    assert contrast(paper.muted, paper.background) >= 4.5


@pytest.mark.parametrize("theme", PAPERS)
def test_no_two_methods_look_alike(theme: ThemeName) -> None:
    styles = [method_style(method, theme) for method in METHODS]
    assert len({(s.color, s.symbol, s.dash, s.pattern) for s in styles}) == len(styles)
    grey = [(s.symbol, s.dash, s.pattern) for s in styles]
    by_color = {s.color: [t for t in styles if t.color == s.color] for s in styles}
    for same in by_color.values():
        assert len({(s.symbol, s.pattern) for s in same}) == len(same)
    assert len(set(grey)) >= len(grey) - 1
    honest, poisoned = role_style("benign", theme), role_style("contaminated", theme)
    assert honest.symbol != poisoned.symbol
    assert honest.dash != poisoned.dash


def test_the_theme_of_the_page_has_the_same_paper() -> None:
    theme = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["theme"]
    for name in PAPERS:
        assert theme[name]["backgroundColor"] == PAPERS[name].background
        assert theme[name]["textColor"] == PAPERS[name].ink
        assert len(theme[name]["chartCategoricalColors"]) >= 10


def test_luminance_known_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert with_alpha("#0072b2", 0.5) == "rgba(0,114,178,0.5)"
