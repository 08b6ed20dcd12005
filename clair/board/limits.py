"""The slides that end the story: what CLAIR cannot do, and what to remember."""

from __future__ import annotations

import numpy as np

from clair.board.record import Record, load_record
from clair.board.story import Story
from clair.board.words import Slide, hospital, names, pct


def limits(story: Story) -> Slide:
    return Slide(
        "limits",
        "What it cannot do",
        "Three things CLAIR cannot do",
        (),
        "The last two were run just now, with the same five hospitals.",
    )


def limit_texts(story: Story) -> tuple[tuple[str, str], ...]:
    """State the three limits, and what happened here."""
    lonely = story.percent("clair", story.apart)
    return (
        (
            "Save a poisoned majority",
            "If three of five send poison of one kind, theirs is the common pattern. No method can "
            "tell which group is the honest one.",
        ),
        ("See a perfect imitator", _imitator(story)),
        (
            "Help those who share little",
            "If half of what a hospital learns is its own, CLAIR averages that half away: here the "
            f"error is {pct(lonely)} of that of training alone. Hospitals that also train on two "
            "halves of their data can test beforehand whether sharing pays.",
        ),
    )


def _imitator(story: Story) -> str:
    bad, check = story.poisoned, "extra check of ours, for who pulls backwards,"
    plain, screened = story.reversed.flagged, story.screened.flagged
    accused, still = (run.flagged & ~run.contaminated for run in (story.reversed, story.screened))
    text = (
        f"If {hospital(bad).lower()} sends an honest change, only reversed, it stays in the shared "
        "directions. "
    )
    if plain[bad]:
        text += "It is seldom flagged, though in this draw it is"
        text += f", and CLAIR also flags {_honest(accused)}." if accused.any() else "."
        return text + (f" An {check} flags {_honest(still)}." if still.any() else "")
    if screened[bad]:
        text += "Here CLAIR does not flag it"
        text += f", and flags {_honest(accused)}" if accused.any() else ""
        return text + (
            f". An {check} flags it, and flags {_honest(still)}."
            if still.any()
            else f"; an {check} does."
        )
    text += "Here neither CLAIR nor our extra check, for who pulls backwards, flags it"
    instead = accused | still
    return text + (f". Flagged instead: {_honest(instead)}." if instead.any() else ".")


def _honest(accused: np.ndarray) -> str:
    return f"{names(accused)}, which {'is' if accused.sum() == 1 else 'are'} honest"


def remember(story: Story, record: Record | None = None) -> Slide:
    record = record or load_record()
    n, accused = record.n_draws, len({*record.accused, *record.accused_clean})
    room = f", which leaves room for {3 / n:.0%} in the long run" * (not accused)
    return Slide(
        "remember",
        "What to remember",
        f"CLAIR checks who fits in. In {accused} of {n} draws it accused an innocent hospital.",
        (
            f"**{record.held} of {n}** other draws went as the story says: exactly the poisoned "
            "hospital flagged, and less error than alone or with any of the six averages.",
            f"**{accused} of {n}** draws saw an innocent hospital accused, with one poisoned or "
            f"with none{room}. Where hospitals differed strongly in size and in kind, other "
            "simulations had 14\u00a0% of five innocent ones accused: ask before you exclude.",
            f"**{record.reversed_exact} of {n}** times it flagged the imitator who reverses, and "
            f"nobody else; with the extra check, {record.screened_exact}.",
            f"**{len(record.level_pca)} of {n}** times the shared directions alone (PCA), "
            "believing everybody, would have done as well as CLAIR; with nobody poisoned, in "
            f"{len(record.level_pca_clean)}.",
        ),
        "All of it on simulated hospitals that do share a few directions, seeds "
        f"{record.seeds[0]} to {record.seeds[-1]}, clair {record.version}. "
        "Whether yours do is the first question to ask.",
    )
