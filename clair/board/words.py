"""What a slide is made of, and how its sentences name hospitals and shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clair.sentences import TIE, listing

#: Two errors closer than this, in per cent, are told as equal.
LEVEL = 100 * TIE


@dataclass(frozen=True)
class Slide:
    """One idea: a finding, a few words, and which picture shows it.

    Attributes
    ----------
    key : str
        Name of the picture.
    topic : str
        What the slide is about, in two or three words.
    headline : str
        What it says, as one sentence.
    text : tuple of str
        Paragraphs.
    note : str
        What must be said for exactness, in small type; may be empty.
    """

    key: str
    topic: str
    headline: str
    text: tuple[str, ...]
    note: str = ""


def hospital(index: int) -> str:
    """Name a hospital."""
    return f"Hospital {index + 1}"


def pct(value: float) -> str:
    """Write whole per cent that no line break can part."""
    return f"{value:.0f}\u00a0%"


def names(mask: np.ndarray) -> str:
    """Name the marked hospitals, at least one, in words."""
    numbers = [str(k + 1) for k in np.flatnonzero(mask)]
    return f"hospital{'s' * (len(numbers) > 1)} {listing(numbers)}"
