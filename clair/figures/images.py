"""Small grey images as data addresses, in the colours of a theme."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.figures.palette import PAPERS, ThemeName, rgb
from clair.figures.pixels import data_uri


def ink_image(pixels: Sequence[int], side: int, top: int, theme: ThemeName, scale: int = 8) -> str:
    """Draw a square image in ink on paper, enlarged without smoothing.

    Parameters
    ----------
    pixels : sequence of int
        side * side values from 0 (paper) to `top` (ink), row by row.
    side, top : int
    theme : {"light", "dark"}
    scale : int
        Screen pixels of one pixel.

    Returns
    -------
    str
        A ``data:`` address.
    """
    paper = PAPERS[theme]
    share = (np.asarray(pixels, dtype=float).reshape(side, side) / top)[..., None]
    surface, ink = np.array(rgb(paper.surface)), np.array(rgb(paper.ink))
    rgba = np.full((side, side, 4), 255, dtype=np.uint8)
    rgba[..., :3] = np.round(surface + share * (ink - surface)).astype(np.uint8)
    return data_uri(rgba.repeat(scale, axis=0).repeat(scale, axis=1))
