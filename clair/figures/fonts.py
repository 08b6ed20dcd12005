"""The app's typefaces inside a file, so that it looks the same anywhere."""

from __future__ import annotations

import base64

from clair._files import STATIC

# Family, weights, file, and the letters it is for ("" for all).
_FONTS = (
    ("Inter", "100 900", "inter-latin", ""),
    ("Inter", "100 900", "inter-greek", "U+0370-03FF"),
    ("Source Serif 4", "200 900", "source-serif-4-latin", ""),
    ("Source Serif 4", "200 900", "source-serif-4-greek", "U+0370-03FF"),
)


def font_faces(*families: str) -> str:
    """Write the style rules that embed these typefaces; none where the app's files are missing."""
    return "".join(
        f'@font-face{{font-family:"{family}";font-weight:{weight};font-display:swap;'
        f"src:url(data:font/woff2;base64,{_font(name)}) format('woff2')"
        + (f";unicode-range:{letters}" if letters else "")
        + "}\n"
        for family, weight, name, letters in _FONTS
        if family in families and (STATIC / f"{name}-wght-normal.woff2").is_file()
    )


def _font(name: str) -> str:
    data = (STATIC / f"{name}-wght-normal.woff2").read_bytes()
    return base64.b64encode(data).decode("ascii")
