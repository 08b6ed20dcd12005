"""The pages of the app in the order of the navigation; a page's address is its file's stem."""

from __future__ import annotations

from typing import NamedTuple

from clair.federated import STAGE_LABELS

#: Stages of a run in which clients are trained.
TRAINED = tuple(STAGE_LABELS)


#: What the panel of a running job calls the stages.
STAGE_NAMES: dict[str, str] = {
    "prepare": "prepare",
    "train": "train",
    "finetune": "fine-tune",
    "clair": "CLAIR",
    "evaluate": "evaluate",
    "sweep": "draw and solve, cell by cell",
    "search": "try, keep the worst, change it",
    "read": "read",
    "detect": "compare",
    "split": "split",
    "report": "look at modules",
    "write": "write",
}


class PageInfo(NamedTuple):
    """A page of the navigation.

    Attributes
    ----------
    stem, title, help : str
        Of the page's file; name in the navigation; what the tooltip says.
    stages : tuple of str
        Stages of the page's jobs, keys of `STAGE_NAMES`; none if it has no jobs.
    """

    stem: str
    title: str
    help: str
    stages: tuple[str, ...] = ()

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
        "Six short courses that ask first, then compute: averaging, the split, liars, attackers, "
        "text, a real language model.",
    ),
    PageInfo(
        "lab",
        "Subspace lab",
        "The matrix model live: move a slider, see who is flagged and what it gains.",
        ("sweep",),
    ),
    PageInfo(
        "compare",
        "Compare",
        "Two scenarios of the matrix model side by side, live, on the same axes.",
        ("sweep",),
    ),
    PageInfo(
        "redteam",
        "Red team",
        "You are the attacker: who is caught, what it costs, and what defeats which defence.",
        ("search",),
    ),
    PageInfo(
        "copying",
        "Text copying",
        "Fine-tune a small Transformer with twelve clients, five of them poisoned.",
        TRAINED,
    ),
    PageInfo(
        "federation",
        "Federation",
        "Round by round under Flower: who is flagged, who crashes, who leaves.",
        ("prepare", "train"),
    ),
    PageInfo(
        "llm",
        "Language model",
        "A real language model, fine-tuned by twelve shops, four of them poisoned.",
        TRAINED,
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
        TRAINED,
    ),
    PageInfo(
        "adapters",
        "Your adapters",
        "Upload LoRA adapters of several clients and see which of them to trust.",
        ("read", "detect", "split", "report"),
    ),
    PageInfo(
        "theory",
        "Theory",
        "When CLAIR works and why: windows, proofs, phase diagrams, gains, blind spots.",
        ("sweep",),
    ),
    PageInfo(
        "board",
        "Board story",
        "Five simulated hospitals, one of them poisoned: the story and what to do next, in plain "
        "words.",
    ),
)
