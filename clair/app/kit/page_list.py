"""The pages of the app in the order of the navigation; a page's address is its file's stem."""

from __future__ import annotations

from typing import NamedTuple


class PageInfo(NamedTuple):
    """Name of a page in the navigation, and what its tooltip says."""

    stem: str
    title: str
    help: str

    @property
    def file(self) -> str:
        """Path of the page from the project's root."""
        return f"pages/{self.stem}.py"


PAGES: tuple[PageInfo, ...] = (
    PageInfo(
        "overview",
        "Overview",
        "What goes wrong when poisoned clients are averaged, and what CLAIR does instead.",
    ),
    PageInfo(
        "lessons",
        "Lessons",
        "Five short courses that ask first, then compute: averaging, the split, liars, attackers, "
        "text.",
    ),
    PageInfo(
        "lab",
        "Subspace lab",
        "The matrix model live: move a slider, see who is flagged and what it gains.",
    ),
    PageInfo(
        "compare",
        "Compare",
        "Two scenarios of the matrix model side by side, live, on the same axes.",
    ),
    PageInfo(
        "redteam",
        "Red team",
        "You are the attacker: who is caught, what it costs, and what defeats which defence.",
    ),
    PageInfo(
        "copying",
        "Text copying",
        "Fine-tune a small Transformer with twelve clients, three of them poisoned.",
    ),
    PageInfo(
        "federation",
        "Federation",
        "Round by round under Flower: who is flagged, who crashes, who leaves.",
    ),
    PageInfo(
        "llm",
        "Language model",
        "A real language model, fine-tuned by twelve shops, four of them poisoned.",
    ),
    PageInfo(
        "regression",
        "Regression",
        "Many small regressions, live: how much data it takes until CLAIR pays, or stops.",
    ),
    PageInfo(
        "digits",
        "Digits",
        "Real handwritten digits: sixteen clients who name some of them differently.",
    ),
    PageInfo(
        "adapters",
        "Your adapters",
        "Upload LoRA adapters of several clients and see which of them to trust.",
    ),
    PageInfo(
        "theory",
        "Theory",
        "When CLAIR works and why: windows, proofs, phase diagrams, gains, blind spots.",
    ),
    PageInfo(
        "board",
        "Board story",
        "Five hospitals, one of them poisoned: the whole story in nine slides, in plain words.",
    ),
)
