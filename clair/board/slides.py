"""The slides of the board story; what they say follows the numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clair.board.limits import limits, remember
from clair.board.next_steps import takes, yours
from clair.board.story import Story
from clair.board.words import LEVEL, Slide, hospital, names, pct
from clair.methods import METHODS
from clair.sentences import count


def team(story: Story) -> Slide:
    config = story.main.config
    return Slide(
        "team",
        "Who they are",
        f"Five simulated hospitals train one model together. {hospital(story.poisoned)} sends "
        "poison.",
        (
            f"Each has {config.samples} patients and wants to predict {config.d_out} laboratory "
            f"values from {config.d_in - 1} measurements. All start from one common model, adapt "
            "it to their own patients, and send only the change. No patient's record leaves a "
            "hospital.",
            f"{hospital(story.poisoned)} files its results under the wrong names, by mistake or on "
            "purpose. Nobody in the group knows.",
        ),
        f"They are simulated (draw {story.seed}), so that the right answers are known and "
        "every error can be measured. All numbers about these five were computed just now.",
    )


def alone(story: Story) -> Slide:
    return Slide(
        "alone",
        "Each alone",
        f"Alone, a hospital removes {pct(story.removed_alone)} of the common model's error",
        (
            "Few patients teach only so much. The columns show what is left of the error when a "
            "hospital's model meets new patients.",
            "The mean of the honest four is our yardstick: 100\u00a0%. Below it, joining forces "
            "paid; above it, it did harm. Left as it is, the common model stands at "
            f"{pct(story.percent('base'))}.",
        ),
        "Error: squared distance of the predictions from the right values on "
        f"{story.main.config.n_test} new patients of each honest hospital.",
    )


def average(story: Story) -> Slide:
    poisoned, honest = story.percent("fedavg"), story.percent("fedavg_benign")
    if poisoned > 100 + LEVEL:
        headline = "With one poisoned hospital, the plain average is worse than staying alone"
    elif poisoned <= honest + LEVEL:
        headline = "In this draw the plain average hardly suffers from the poison"
    elif poisoned >= 100 - LEVEL:
        headline = "One poisoned hospital takes away what the plain average gains"
    else:
        headline = "One poisoned hospital takes away part of what the plain average gains"
    return Slide(
        "average",
        "Plain averaging",
        headline,
        (
            "The usual way: average all five changes and give everybody the result. An average "
            "believes everybody equally.",
            f"Over the honest four only, it would leave {pct(honest)} of the error of training "
            f"alone. With {hospital(story.poisoned).lower()} it is {pct(poisoned)}.",
        ),
    )


def robust(story: Story) -> Slide:
    best = story.best_robust
    if best < 100 - LEVEL:
        headline = "Cautious averages limit the damage, and gain a little"
    elif best <= 100 + LEVEL:
        headline = "Cautious averages undo the damage, and gain nothing"
    else:
        headline = "Even cautious averages are worse than staying alone"
    return Slide(
        "robust",
        "“Robust” averaging",
        headline,
        (
            "They take the middle value, drop extremes, or keep those who agree. The best of five "
            f"such rules ends at {pct(best)}, the plain average at {pct(story.percent('fedavg'))}.",
            "But each still gives everybody one and the same model, and the hospitals' patients "
            "differ.",
        ),
        "Which of the five is best is known only afterwards. The rules, in the order drawn: "
        + ", ".join(METHODS[key].label for key in story.robust)
        + ".",
    )


def idea(story: Story) -> Slide:
    outside, bad = story.outside, story.main.contaminated
    honest = outside[~bad]
    return Slide(
        "idea",
        "The idea of CLAIR",
        "CLAIR finds what the changes have in common, and looks at what sticks out",
        (
            "Honest changes differ, yet all move the model in the same few directions. CLAIR finds "
            "these directions without being told whom to trust.",
            f"Of an honest change {pct(honest.min())} to {pct(honest.max())} sticks out: chance, "
            "and what is special about that hospital. Of the poisoned one, "
            f"{pct(outside[bad][0])}.",
        ),
    )


def verdict(story: Story) -> Slide:
    flagged, bad = story.main.flagged, story.main.contaminated
    if np.array_equal(flagged, bad):
        headline = f"CLAIR flags {names(flagged)}, and nobody else"
    elif not flagged.any():
        headline = "CLAIR flags nobody: the poisoned hospital slips through"
    elif (flagged & bad).any():
        headline = f"CLAIR flags {names(flagged)}, innocent hospitals among them"
    else:
        headline = f"CLAIR flags the wrong one: {names(flagged)}"
    drawn = story.main.threshold is not None
    suspect = story.main.fit.suspect
    if suspect.any() and (suspect & bad).any() and not flagged.any():
        headline = f"CLAIR flags nobody, but suspects {names(suspect)}"
    elif suspect.any():
        headline += f"; {names(suspect)} {'is' if suspect.sum() == 1 else 'are'} suspect"
    return Slide(
        "verdict",
        "Who is flagged",
        headline,
        (
            "Each hospital gets a score: how far it stands outside of what the others share.",
            "The line lies in the gap between the scores, wide enough not to be chance among five."
            if drawn
            else "No gap between the scores is wide enough to draw a line, so nobody is flagged.",
            *(
                (
                    "A suspect stands out too little to be accused: it is helped like the others, "
                    "but they learn little or nothing from it.",
                )
                if suspect.any()
                else ()
            ),
            "Nobody had said how many were poisoned, or that anybody was. A flag is a reason to "
            "ask, not a proof of guilt.",
        ),
    )


def gain(story: Story) -> Slide:
    clair, own = story.percent("clair"), story.percent("clair_own")
    pca = story.percent("pca")
    best = min(story.percent("fedavg"), story.best_robust, pca)
    if clair > 100 + LEVEL:
        headline = f"In this draw CLAIR does harm: the error rises to {pct(clair)}"
    elif clair >= 100 - LEVEL:
        headline = f"In this draw CLAIR gains nothing: the error stays at {pct(clair)}"
    elif clair >= best - LEVEL:
        headline = f"With CLAIR {pct(clair)} of the error remains, no better than a simpler way"
    else:
        headline = f"With CLAIR {pct(clair)} of the error remains, less than in any simpler way"
    return Slide(
        "gain",
        "What it gained",
        headline,
        (
            "Every kept hospital keeps its own way of using the shared directions; the rest, "
            f"mostly chance, is averaged away. {_better_off(story)}",
            _unjudged(clair, pca),
            f"If all then train on their own patients once more: {pct(own)} after CLAIR, "
            f"{pct(story.percent('fedavg_finetuned'))} after the plain average.",
        ),
        "Training once more after CLAIR is an addition of ours to the published method.",
    )


def _unjudged(clair: float, pca: float) -> str:
    """Say what the verdict adds to looking for shared directions."""
    text = f"The same while believing everybody (PCA) leaves {pct(pca)}: "
    if pca <= clair + LEVEL:
        return f"{text}here it does as well without a verdict."
    return f"{text}the difference is what the verdict is worth."


def _better_off(story: Story) -> str:
    """Say how many of the honest gain, with each one's change against training alone."""
    change = story.changes
    n, better = len(change), sum(value < 0 for value in change.values())
    each = ", ".join(
        f"{'' if i else 'hospital '}{k + 1}:\u00a0{_signed(value)}"
        for i, (k, value) in enumerate(change.items())
    )
    if better == n:
        return f"All {count(n, 'honest one')} are better off than alone ({each})."
    who = count(better, "", " ").strip().capitalize() if better else "None"
    verb = "is" if better == 1 else "are"
    return f"{who} of the {count(n, 'honest one')} {verb} better off than alone ({each})."


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else chr(0x2212)}{pct(abs(value))}"


def summary(story: Story) -> str:
    """Tell the story: what averaging did, whom CLAIR flagged, the gain."""
    told = " ".join(f"{make(story).headline}." for make in (average, verdict, gain))
    return f"Five simulated hospitals, one of them poisoned. {told}"


#: The slides in order.
SLIDES: tuple[Callable[[Story], Slide], ...] = (
    team,
    alone,
    average,
    robust,
    idea,
    verdict,
    gain,
    limits,
    remember,
    takes,
    yours,
)


#: How many of them are about one draw; the others are the same for all.
OF_A_DRAW = SLIDES.index(remember)


def slides_of(story: Story) -> tuple[Slide, ...]:
    """Make all slides of a story."""
    return tuple(make(story) for make in SLIDES)
