"""The last two slides: what CLAIR cannot do, and what to remember."""

from __future__ import annotations

from clair.board.record import Record, load_record
from clair.board.story import Story
from clair.board.words import Slide, hospital, pct


def limits(story: Story) -> Slide:
    return Slide(
        "limits",
        "What it cannot do",
        "Three things CLAIR cannot do",
        (),
        "The last two were run just now, with the same five hospitals.",
    )


def limit_texts(story: Story) -> tuple[tuple[str, str], ...]:
    """The three limits: what, and what happened here."""
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
            f"error is {pct(lonely)} of that of training alone.",
        ),
    )


def _imitator(story: Story) -> str:
    bad = story.poisoned
    text = (
        f"If {hospital(bad).lower()} sends an honest change, only reversed, it stays in the shared "
        "directions. "
    )
    if story.reversed.flagged[bad]:
        return text + "It is seldom flagged, though in this draw it is."
    if story.screened.flagged[bad]:
        return text + (
            "Here CLAIR does not flag it; an extra check of ours, for who pulls backwards, does."
        )
    return text + "Here neither CLAIR nor our extra check, for who pulls backwards, flags it."


def remember(story: Story, record: Record | None = None) -> Slide:
    record = record or load_record()
    n = record.n_draws
    return Slide(
        "remember",
        "What to remember",
        "An average believes everybody. CLAIR checks who fits in.",
        (
            f"**{record.held} of {n}** other draws went as the story says: exactly the poisoned "
            "hospital flagged, and less error than alone or with any of the six averages.",
            f"**{len(record.accused_clean)} of {n}** times it accused an innocent hospital while "
            "nobody was poisoned. Five are few; ask before you exclude.",
            f"**{n - len(record.reversed_missed)} of {n}** times it noticed the imitator who "
            f"reverses; with the extra check, {n - len(record.screened_missed)}.",
        ),
        "All of it on simulated hospitals that do share a few directions, seeds 5000 to 5049. "
        "Whether yours do is the first question to ask.",
    )
