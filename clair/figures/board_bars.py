"""Which bars the slides of the board story show, so that its report shows the same."""

from __future__ import annotations

from clair.board.story import ROBUST, Story
from clair.board.words import pct
from clair.figures.board_parts import Bar

#: Bars under a heading, which may be empty.
Group = tuple[str, tuple[Bar, ...]]


def alone(story: Story) -> tuple[Group, ...]:
    less = f"Alone: {pct(story.removed_alone)} less"
    return (
        (
            "",
            (
                Bar("Common model as it is", story.percent("base"), "base"),
                Bar(less, 100, "local"),
            ),
        ),
    )


def average(story: Story) -> tuple[Group, ...]:
    return (
        (
            "",
            (
                Bar("Alone", 100, "local"),
                Bar(
                    "Average of the honest",
                    story.percent("fedavg_benign"),
                    "honest",
                    "if we knew who they are",
                ),
                Bar("Average of all five", story.percent("fedavg"), "fedavg"),
            ),
        ),
    )


def robust(story: Story) -> tuple[Group, ...]:
    return (
        (
            "",
            (
                Bar("Alone", 100, "local"),
                Bar("Plain average", story.percent("fedavg"), "fedavg"),
                *(Bar(ROBUST[key], value, "robust") for key, value in story.robust.items()),
            ),
        ),
    )


def gain(story: Story) -> tuple[Group, ...]:
    return (
        (
            "",
            (
                Bar("Alone", 100, "local"),
                Bar("Plain average", story.percent("fedavg"), "fedavg"),
                Bar("Best cautious average", story.best_robust, "robust"),
                Bar("PCA", story.percent("pca"), "pca", "CLAIR without a verdict"),
                Bar("CLAIR", story.percent("clair"), "clair"),
            ),
        ),
        (
            "Each then trained on its own patients once more",
            (
                Bar("Plain average", story.percent("fedavg_finetuned"), "fedavg"),
                Bar("CLAIR", story.percent("clair_own"), "clair"),
            ),
        ),
    )


def read(groups: tuple[Group, ...]) -> str:
    """List the bars in words."""
    return ", ".join(
        f"{bar.label}{f' ({title.lower()})' if title else ''} {pct(bar.value)}"
        for title, bars in groups
        for bar in bars
    )
