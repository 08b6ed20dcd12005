"""The two slides after the story: what it takes, and how to find out about one's own partners."""

from __future__ import annotations

from clair.board.story import Story
from clair.board.words import Slide

#: Measured by ``python benchmarks/adapters_scale.py`` (``benchmarks/results/adapters_scale.md``): a
#: set of adapters of rank 8 of all 128 modules of 4096 x 4096 of a language model.
ADAPTERS, ADAPTER_MB, SECONDS, GIGABYTES = 20, 17, 17, 0.5


def takes(story: Story) -> Slide:
    config = story.main.config
    numbers = config.d_in * config.d_out
    return Slide(
        "takes",
        "What it takes",
        f"It takes one file from each hospital, once, and {SECONDS} seconds of one computer",
        (
            f"**Once** each hospital sends the change it made: here {numbers} numbers, "
            f"{8 * numbers / 1024:.0f}\u00a0kB; for a language model with seven billion parameters "
            f"an adapter of {ADAPTER_MB}\u00a0MB. No patient's record is sent.",
            "**Nothing** need be known about who is poisoned, how many are, or anybody's patients. "
            "But all must start from the same common model, most must be honest, and whoever "
            "judges must see every change by itself: a protocol that shows only the sum hides the "
            "poison, too.",
            f"**{SECONDS}\u00a0s** to judge {ADAPTERS} such adapters on two processor cores with "
            f"{GIGABYTES:g}\u00a0GB of memory; these five take a fraction of one second. No "
            "hospital trains longer than it does anyway; the test whether sharing pays takes "
            "that time once more.",
        ),
        "Measured with rank 8 and 128 modules of 4096 × 4096 (benchmarks/adapters_scale.py). "
        "Not counted: the time of the people who ask a flagged partner what happened.",
    )


def yours(story: Story) -> Slide:
    return Slide(
        "yours",
        "How to find out about yours",
        "Three tries with your own partners, in which nobody hands out data",
        (
            "**Audit** what you have. Put each partner's adapter into a folder and give the "
            "folders to the page *Your adapters*, or run `clair audit FOLDER`, which sends nothing "
            "anywhere. Either names who stands out, by how much and why.",
            "**Halves** tell whether your partners share directions, the assumption everything "
            "here rests on. Each also sends what it gets from either half of its data: `clair "
            "audit FOLDER --halves HALF_1 HALF_2`. If sharing does not pay, stay alone, or "
            "train on from the average of those kept.",
            "**Rehearse** with one adapter spoilt on purpose: trained on wrong labels, or "
            "reversed. What the audit misses then, do not rely on it to find.",
        ),
        "Decide beforehand who asks a flagged partner, and what holds until there is an answer.",
    )
