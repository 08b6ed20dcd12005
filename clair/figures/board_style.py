"""How the slides of the board story look: one stylesheet, coloured for a theme."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from clair.figures.palette import PAPERS, ThemeName, method_style, role_style, with_alpha


def colors(theme: ThemeName) -> dict[str, str]:
    """List the colours of the slides by what they stand for."""
    paper = PAPERS[theme]
    bad = role_style("contaminated", theme).color
    return {
        "ink": paper.ink,
        "muted": paper.muted,
        "grid": paper.grid,
        "paper": paper.background,
        "surface": paper.surface,
        "good": role_style("benign", theme).color,
        "bad": bad,
        "doubt": role_style("suspect", theme).color,
        "bad-pale": with_alpha(bad, 0.18),
        "base": method_style("base", theme).color,
        "local": method_style("local", theme).color,
        "fedavg": method_style("fedavg", theme).color,
        "robust": method_style("median", theme).color,
        "pca": method_style("pca", theme).color,
        "clair": method_style("clair_eb", theme).color,
    }


@cache
def stylesheet(theme: ThemeName, *, stage: bool = False) -> str:
    """Write the CSS of the slides.

    Parameters
    ----------
    theme : {"light", "dark"}
    stage : bool
        Whether a slide fills the window.
    """
    variables = "".join(f"--{name}:{value};" for name, value in colors(theme).items())
    here = Path(__file__).parent
    files = (here / f"{name}.css" for name in ("board", *["board_stage"] * stage))
    rules = "".join(path.read_text(encoding="utf-8") for path in files)
    return f"<style>.deck {{{variables}}}{rules}</style>"
